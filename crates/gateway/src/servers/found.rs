//! What a server lists when it is asked.

use bailiwick_mcp::client::{FaultKind, List, Probe, Upstream, UpstreamFault};
use bailiwick_mcp::{Era, Json};
use tracing::warn;

use crate::mask::Mask;

/// Largest definition of a prompt, a resource or a template. Tools have limits of their own.
const DEFINITION_BYTES_MAX: usize = 16 << 10;
/// All prompts, resources and templates of one server together: every agent's lists hold them.
const OFFER_BYTES_MAX: usize = 4 << 20;
/// Templates of one server; each is compared with every URI that is looked for.
const TEMPLATES_MAX: usize = 200;

/// What a server listed.
#[derive(Clone, Default)]
pub(crate) struct Found {
    pub(crate) tools: Vec<Json>,
    pub(crate) prompts: Vec<Json>,
    pub(crate) resources: Vec<Json>,
    pub(crate) templates: Vec<Json>,
    pub(crate) capabilities: Option<Json>,
    pub(crate) is_legacy: bool,
    /// The revision spoken with it.
    pub(crate) revision: &'static str,
}

impl Found {
    /// Without secrets, and without what is too large to be shown to every agent. What is left out is named in the log.
    pub(crate) fn masked(mut self, mask: &Mask) -> Self {
        for (list, kind) in
            [(&mut self.tools, "tool"), (&mut self.prompts, "prompt"), (&mut self.resources, "resource"), (&mut self.templates, "template")]
        {
            let max = if kind == "tool" { usize::MAX } else { DEFINITION_BYTES_MAX };
            let before = list.len();
            list.retain(|definition| definition.len() <= max);
            if list.len() < before {
                warn!(kind, left_out = before - list.len(), max, "definitions that are too large are left out");
            }
            let clean = |definition: Json| mask.clean(definition).ok();
            *list = std::mem::take(list).into_iter().filter_map(clean).collect();
        }
        let mut left = OFFER_BYTES_MAX;
        for list in [&mut self.prompts, &mut self.resources, &mut self.templates] {
            list.retain(|definition| {
                let fits = definition.len() <= left;
                left -= if fits { definition.len() } else { 0 };
                fits
            });
        }
        self.templates.truncate(TEMPLATES_MAX);
        self
    }

    /// Asks for everything that the server says it has. Tools are asked for in any case: some servers have them and do not say so.
    pub(crate) async fn ask(upstream: &Upstream) -> Result<(Self, Probe), UpstreamFault> {
        let probe = upstream.open().await?;
        let announces = |capability: &str| probe.capabilities.member(capability).is_some_and(|one| one.is_object());
        let mut found = Self { tools: upstream.list(List::Tools).await?.items, ..Self::default() };
        if announces("prompts") {
            found.prompts = optional(upstream, List::Prompts).await?;
        }
        if announces("resources") {
            found.resources = optional(upstream, List::Resources).await?;
            found.templates = optional(upstream, List::Templates).await?;
        }
        found.revision = probe.revision.as_str();
        found.is_legacy = probe.revision.era() == Era::Legacy;
        found.capabilities = Some(probe.capabilities.clone());
        Ok((found, probe))
    }
}

/// A list that a server may have announced and not implemented: an error answer means that there is nothing.
async fn optional(upstream: &Upstream, list: List) -> Result<Vec<Json>, UpstreamFault> {
    match upstream.list(list).await {
        Ok(listed) => Ok(listed.items),
        Err(UpstreamFault { kind: FaultKind::Rpc(_), .. }) => Ok(Vec::new()),
        Err(fault) => Err(fault),
    }
}
