//! From a module's own description of a tool to a tool.

use std::sync::Arc;

use bailiwick_contract::Risk;
use bailiwick_mcp::Json;
use bailiwick_mcp::encode::legacy_tool;
use bailiwick_model::name::module_tool_name;
use bailiwick_model::policy::Kind;
use bailiwick_modules::{Access, ToolModule, ToolSpec};
use serde_json::json;

use super::{Origin, Tool};
use crate::limits::Places;
use crate::schema::Schema;

/// The tools of one opened module under `<key>_<tool>`.
pub(crate) fn module_tools(key: &Arc<str>, module: &Arc<dyn ToolModule>, places: &Arc<Places>, name_max: usize) -> Vec<Arc<Tool>> {
    module.tools().iter().map(|spec| Arc::new(tool(key, module, places, spec, name_max))).collect()
}

fn tool(key: &Arc<str>, module: &Arc<dyn ToolModule>, places: &Arc<Places>, spec: &ToolSpec, name_max: usize) -> Tool {
    let name = module_tool_name(key, &spec.name, name_max);
    let mut definition = json!({
        "name": name.as_str(),
        "title": spec.title,
        "description": spec.description,
        "inputSchema": spec.input_schema,
        "annotations": {
            "title": spec.title,
            "readOnlyHint": spec.access == Access::Read,
            "destructiveHint": spec.hints.destructive,
            "idempotentHint": spec.hints.idempotent,
            "openWorldHint": spec.hints.open_world,
        },
    });
    if let Some(output) = &spec.output_schema {
        definition["outputSchema"] = output.clone();
    }
    let text = |value: &serde_json::Value| Json::from_serialize(value).unwrap_or_else(|_| Json::from_static("{}"));
    let modern = text(&definition);
    Tool {
        kind: Kind::Tool,
        name: name.as_str().into(),
        source: key.clone(),
        access: spec.access,
        risk: risk(spec),
        legacy: legacy_tool(&modern),
        plain: modern.clone(),
        modern,
        input: Schema::new(text(&spec.input_schema)),
        // What a module gives back is made by our own code and tested there.
        output: None,
        param_headers: Vec::new(),
        sensitive: Vec::new(),
        origin: Origin::Module { key: key.clone(), tool: spec.name.as_ref().into(), module: module.clone(), places: places.clone() },
    }
}

fn risk(spec: &ToolSpec) -> Risk {
    match spec.access {
        Access::Read => Risk::ReadOnly,
        Access::Write if spec.hints.destructive => Risk::Destructive,
        Access::Write if spec.hints.open_world => Risk::ExternalPublication,
        Access::Write => Risk::LowRiskWrite,
    }
}
