//! The organisation's data sources, and which of them the agent may use.

use std::collections::BTreeSet;

use bailiwick_model::Code;
use serde::{Deserialize, Serialize};

use super::Grafana;
use super::references::Reference;
use crate::context::CallContext;
use crate::fault::ToolFault;

/// Longest name of a data source.
const NAME_CHARS_MAX: usize = 64;

/// What an agent may know of a data source. Addresses, users and settings stay in Grafana.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Source {
    pub(super) uid: String,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) is_default: bool,
    #[serde(default, skip_serializing)]
    id: i64,
}

/// Whether the whole of `name` is a name that may be listed.
pub(super) fn is_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'_' | b'.' | b'-'))
}

impl Grafana {
    /// Every data source of the organisation.
    pub(super) async fn all_sources(&self, context: CallContext<'_>) -> Result<Vec<Source>, ToolFault> {
        let found = self.api.get("/api/datasources", context).await?;
        serde_json::from_value(found).map_err(|cause| {
            ToolFault::new(Code::UpstreamProtocol, "Grafana's list of data sources cannot be read", "ask the operator to look at Grafana")
                .because(cause)
        })
    }

    /// Refuses references that no list of data sources could make allowed.
    pub(super) fn refuse_references(&self, found: &BTreeSet<Reference>) -> Result<(), ToolFault> {
        let refused = found.iter().find(|reference| self.sources.is_empty() && !reference.is_built_in());
        refused.map_or(Ok(()), |reference| Err(closed(reference)))
    }

    /// Refuses references to data sources that the agent may not use. Every data source that a reference could mean has to be allowed.
    pub(super) async fn check_references(&self, found: &BTreeSet<Reference>, context: CallContext<'_>) -> Result<(), ToolFault> {
        self.refuse_references(found)?;
        if found.iter().all(Reference::is_built_in) {
            return Ok(());
        }
        let all = self.all_sources(context).await?;
        for reference in found {
            let meant = |source: &&Source| match reference {
                Reference::Default => source.is_default,
                Reference::Named(name) => source.uid == *name || source.name == *name || source.id.to_string() == *name,
            };
            let mut meant = all.iter().filter(meant).peekable();
            let is_known = meant.peek().is_some() || reference.is_built_in();
            if !is_known || !meant.all(|source| self.sources.contains(&source.name)) {
                return Err(closed(reference));
            }
        }
        Ok(())
    }
}

fn closed(reference: &Reference) -> ToolFault {
    let what = match reference {
        Reference::Default => "the default data source is used (by a `datasource` that is null or left out)".to_owned(),
        Reference::Named(name) => {
            format!("the data source `{}` is used", name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect::<String>())
        }
    };
    ToolFault::new(
        Code::ScopeViolation,
        format!("{what}, which is not opened for the agent"),
        "use data sources from the list of data sources",
    )
}
