//! From a module's own description of a tool to a tool.

use std::sync::Arc;

use bailiwick_contract::{Contract, Risk};
use bailiwick_mcp::Json;
use bailiwick_mcp::encode::legacy_tool;
use bailiwick_model::name::module_tool_name;
use bailiwick_model::policy::Kind;
use bailiwick_modules::{Access, ToolModule, ToolSpec};
use serde_json::{Map, Value, json};

use super::{Origin, Tool, revision};
use crate::limits::Places;
use crate::schema::Schema;

/// An opened module as its tools are made from it.
pub(crate) struct OpenModule<'a> {
    pub(crate) key: &'a Arc<str>,
    pub(crate) module: &'a Arc<dyn ToolModule>,
    pub(crate) places: &'a Arc<Places>,
    /// Whether it was lent a credential of the organisation.
    pub(crate) lends: bool,
}

/// The tools of one opened module under `<key>_<tool>`.
pub(crate) fn module_tools(open: &OpenModule<'_>, name_max: usize) -> Vec<Arc<Tool>> {
    open.module.tools().iter().map(|spec| Arc::new(tool(open, spec, name_max))).collect()
}

fn tool(open: &OpenModule<'_>, spec: &ToolSpec, name_max: usize) -> Tool {
    let OpenModule { key, module, places, lends } = *open;
    let name = module_tool_name(key, &spec.name, name_max);
    let definition = definition(name.as_str(), spec);
    let text = |value: &Value| Json::from_serialize(value).unwrap_or_else(|_| Json::from_static("{}"));
    let definition = text(&definition);
    let modern = definition.clone();
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
        revision: revision(&definition),
        lends,
        sensitive: Vec::new(),
        bound: None,
        origin: Origin::Module { key: key.clone(), tool: spec.name.as_ref().into(), module: module.clone(), places: places.clone() },
    }
}

/// The definition with the module's contract in it; a built-in module is believed.
fn definition(name: &str, spec: &ToolSpec) -> Value {
    let mut definition = Map::new();
    definition.insert("name".to_owned(), json!(name));
    definition.insert("title".to_owned(), json!(spec.title));
    definition.insert("description".to_owned(), json!(spec.description));
    definition.insert("inputSchema".to_owned(), spec.input_schema.clone());
    if let Some(output) = &spec.output_schema {
        definition.insert("outputSchema".to_owned(), output.clone());
    }
    definition.insert("annotations".to_owned(), json!({ "title": spec.title, "openWorldHint": spec.hints.open_world }));
    let contract = Contract::new(risk(spec)).content_trust(spec.hints.content);
    let contract = if spec.hints.idempotent { contract.idempotent() } else { contract };
    contract.put_into(&mut definition);
    Value::Object(definition)
}

fn risk(spec: &ToolSpec) -> Risk {
    match spec.access {
        Access::Read => Risk::ReadOnly,
        Access::Write if spec.hints.destructive => Risk::Destructive,
        Access::Write if spec.hints.open_world => Risk::ExternalPublication,
        Access::Write => Risk::LowRiskWrite,
    }
}
