//! Tools and the views that agents have of them.

mod admission;
mod module_tool;
mod render;
mod view;

pub(crate) use admission::{Rejected, admit, original_name};
pub(crate) use module_tool::module_tools;
pub(crate) use view::View;

use std::sync::Arc;

use bailiwick_contract::Risk;
use bailiwick_mcp::Json;
use bailiwick_mcp::exchange::ParamHeader;
use bailiwick_model::manifest::Access;
use bailiwick_model::policy::{Source, ToolFacts};
use bailiwick_modules::ToolModule;

use crate::limits::Places;
use crate::schema::Schema;
use crate::servers::Server;

/// Where a tool comes from, and so where its calls go.
pub(crate) enum Origin {
    /// A module of the agent's manifest.
    Module { key: Arc<str>, tool: Box<str>, module: Arc<dyn ToolModule>, places: Arc<Places> },
    /// An external server, shared or named in the agent's manifest.
    Server { server: Arc<Server>, tool: Box<str>, proxy_key: Option<Arc<str>> },
}

/// One tool as agents see it, with everything a call needs prepared.
pub(crate) struct Tool {
    /// The name agents see; shared with the rows of the ledger's index.
    name: Arc<str>,
    /// The name of the module or server.
    source: Arc<str>,
    origin: Origin,
    access: Access,
    risk: Risk,
    /// The definition in `tools/list`, for each era.
    modern: Json,
    legacy: Json,
    input: Schema,
    output: Option<Schema>,
    param_headers: Vec<ParamHeader>,
    /// Arguments that the schema marks as secret; redacted wherever arguments are shown.
    sensitive: Vec<String>,
}

impl Tool {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn served_name(&self) -> &Arc<str> {
        &self.name
    }

    /// The name of the module or server, for the ledger.
    pub(crate) fn source(&self) -> &Arc<str> {
        &self.source
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What the call may do; undeclared counts as writing.
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    pub(crate) fn risk(&self) -> Risk {
        self.risk
    }

    /// Whether a new discovery brought nothing new for this tool.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self.name == other.name && self.modern.bytes() == other.modern.bytes() && self.access == other.access
    }

    pub(crate) fn input(&self) -> &Schema {
        &self.input
    }

    pub(crate) fn output(&self) -> Option<&Schema> {
        self.output.as_ref()
    }

    pub(crate) fn sensitive(&self) -> &[String] {
        &self.sensitive
    }

    pub(crate) fn param_headers(&self) -> &[ParamHeader] {
        &self.param_headers
    }

    /// The places for calls to what is behind the tool.
    pub(crate) fn places(&self) -> &Places {
        match &self.origin {
            Origin::Server { server, .. } => server.places(),
            Origin::Module { places, .. } => places,
        }
    }

    /// What the decision looks at.
    pub(crate) fn facts(&self) -> ToolFacts<'_> {
        let source = match &self.origin {
            Origin::Module { key, .. } => Source::Module { key },
            // A server that the manifest itself names is one of its modules.
            Origin::Server { proxy_key: Some(key), .. } => Source::Module { key },
            Origin::Server { server, tool, proxy_key: None } => Source::Server { name: server.name(), tool },
        };
        ToolFacts { served_name: &self.name, source, access: self.access }
    }
}
