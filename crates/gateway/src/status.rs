//! The tool `scoped_mcp_status`, which an agent has when its manifest says `compat.status_tool`.

use std::sync::{Arc, Weak};

use bailiwick_modules::{Access, CallContext, Hints, Pending, ToolFault, ToolModule, ToolOutput, ToolSpec};
use serde_json::json;

use crate::bailiwick::Bailiwick;

/// Tells how the modules of its agent are.
pub(crate) struct Status(Weak<Bailiwick>);

impl Status {
    pub(crate) fn of(bailiwick: &Arc<Bailiwick>) -> Self {
        Self(Arc::downgrade(bailiwick))
    }
}

impl ToolModule for Status {
    fn tools(&self) -> Vec<ToolSpec> {
        vec![ToolSpec {
            name: "status".into(),
            title: "Module status".into(),
            description: "Tells for each module of this agent whether it works: `running`, `failed_init` (it could not be opened) or \
                          `failed_startup` (its server does not answer). Call it before a longer task. Failed modules are tried again in the \
                          background; optional ones do not count against `healthy`."
                .into(),
            input_schema: json!({"type": "object", "properties": {}, "additionalProperties": false}),
            output_schema: Some(json!({
                "type": "object",
                "properties": {
                    "modules": {"type": "object", "additionalProperties": {"type": "object", "properties": {"status": {"type": "string"}}}},
                    "failed_count": {"type": "integer"},
                    "total_count": {"type": "integer"},
                    "healthy": {"type": "boolean"},
                    "offline_optional_modules": {"type": "array", "items": {"type": "string"}},
                    "tool_inventory": {"type": "object"},
                },
                "required": ["modules", "failed_count", "total_count", "healthy"],
            })),
            access: Access::Read,
            hints: Hints::READ,
        }]
    }

    fn confine(&self, _: &str, _: &str) -> Result<(), ToolFault> {
        Ok(())
    }

    fn call<'a>(&'a self, _: &'a str, _: &'a str, _: CallContext<'a>) -> Pending<'a, Result<ToolOutput, ToolFault>> {
        let report = self.0.upgrade().map(|bailiwick| bailiwick.report().to_value());
        Box::pin(async move { ToolOutput::json(&report.unwrap_or_default()) })
    }
}
