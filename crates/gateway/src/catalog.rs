//! Tools, prompts and resources, and the views that agents have of them.

mod admission;
mod bind;
mod module_tool;
pub(crate) mod relabel;
#[cfg(test)]
mod relay;
mod render;
mod resource;
mod view;

pub(crate) use admission::{Rejected, admit, admit_prompt, admit_resource, original_name};
pub(crate) use bailiwick_mcp::client::List;
pub(crate) use bind::{Bindings, Level};
pub(crate) use module_tool::{OpenModule, module_tools};
pub(crate) use relabel::Relabel;
pub(crate) use resource::{Resource, admits};
pub(crate) use view::{Stock, View, ViewSettings};

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_contract::Risk;
use bailiwick_mcp::Json;
use bailiwick_mcp::exchange::ParamHeader;
use bailiwick_model::manifest::Access;
use bailiwick_model::policy::{Kind, Source, ToolFacts};
use bailiwick_modules::ToolModule;
use data_encoding::HEXLOWER;

use crate::house::HouseTool;
use crate::limits::Places;
use crate::schema::Schema;
use crate::servers::Server;

/// Where the house's own tools come from, on the ledger.
pub(crate) const HOUSE: &str = "bailiwick";

/// Where a tool comes from, and so where its calls go.
#[derive(Clone)]
pub(crate) enum Origin {
    /// A module of the agent's manifest.
    Module { key: Arc<str>, tool: Box<str>, module: Arc<dyn ToolModule>, places: Arc<Places> },
    /// The house: instructions, runs, feedback.
    House { tool: HouseTool, places: Arc<Places> },
    /// An external server, shared or named in the agent's manifest.
    Server { server: Arc<Server>, tool: Box<str>, proxy_key: Option<Arc<str>> },
}

/// One thing that agents can call, with everything a call needs prepared: a tool, a prompt, or the reading of one resource. They take
/// the same path; "tool" stands for all of them there.
#[derive(Clone)]
pub(crate) struct Tool {
    pub(crate) kind: Kind,
    /// The name agents see; shared with the rows of the ledger's index.
    pub(crate) name: Arc<str>,
    /// The name of the module or server.
    pub(crate) source: Arc<str>,
    pub(crate) origin: Origin,
    pub(crate) access: Access,
    pub(crate) risk: Risk,
    /// The definition under the served name, for each era.
    pub(crate) modern: Json,
    pub(crate) legacy: Json,
    /// The server's own definition, for the server's own endpoint.
    pub(crate) plain: Json,
    pub(crate) input: Schema,
    pub(crate) output: Option<Schema>,
    pub(crate) param_headers: Vec<ParamHeader>,
    /// Which definition this is; see [`revision`]. Empty for what has none.
    pub(crate) revision: Arc<str>,
    /// Whether a credential of the organisation goes along with a call.
    pub(crate) lends: bool,
    /// Arguments that the schema marks as secret; redacted wherever arguments are shown.
    pub(crate) sensitive: Vec<String>,
    /// Arguments that the agent's manifest binds; the definitions are then narrowed, `input` is not.
    pub(crate) bound: Option<Arc<Level>>,
}

/// Digits of a revision.
const REVISION_DIGITS: usize = 16;

/// Tells definitions of one tool apart, on every replica and after a restart: the beginning of a digest of the definition as its server
/// or module gave it.
pub(crate) fn revision(definition: &Json) -> Arc<str> {
    let digest = HEXLOWER.encode(digest(&SHA256, definition.as_str().as_bytes()).as_ref());
    digest.get(..REVISION_DIGITS).unwrap_or_default().into()
}

impl Tool {
    /// See the field.
    pub(crate) fn revision(&self) -> Option<&Arc<str>> {
        Some(&self.revision).filter(|revision| !revision.is_empty())
    }

    /// Whose credential goes along with a call (reference, governance 4.1); `None` where that is decided with each call.
    pub(crate) fn credential_kind(&self) -> Option<&'static str> {
        match &self.origin {
            Origin::Server { server, .. } if server.lending().is_some() => None,
            _ => Some(if self.lends { "org" } else { "none" }),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The name at the server, or inside the module.
    pub(crate) fn original(&self) -> &str {
        match &self.origin {
            Origin::Module { tool, .. } | Origin::Server { tool, .. } => tool,
            Origin::House { tool, .. } => tool.name(),
        }
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

    /// See the field.
    pub(crate) fn bound(&self) -> Option<&Level> {
        self.bound.as_deref()
    }

    pub(crate) fn param_headers(&self) -> &[ParamHeader] {
        &self.param_headers
    }

    /// The places for calls to what is behind the tool.
    pub(crate) fn places(&self) -> &Places {
        match &self.origin {
            Origin::Server { server, .. } => server.places(),
            Origin::Module { places, .. } | Origin::House { places, .. } => places,
        }
    }

    /// What the decision looks at.
    pub(crate) fn facts(&self) -> ToolFacts<'_> {
        let source = match &self.origin {
            Origin::Module { key, .. } => Source::Module { key },
            Origin::House { .. } => Source::House,
            // A server that the manifest itself names is one of its modules.
            Origin::Server { proxy_key: Some(key), .. } => Source::Module { key },
            Origin::Server { server, tool, proxy_key: None } => Source::Server { name: server.name(), tool },
        };
        ToolFacts { kind: self.kind, served_name: &self.name, source, access: self.access }
    }
}
