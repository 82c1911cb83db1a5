//! Asking a server for what it has, with somebody's connection. Tools are kept in rows, for every replica and for times when nobody is
//! connected; prompts and resources are kept while the process runs.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_mcp::Json;
use bailiwick_mcp::client::Upstream;
use bailiwick_model::Code;
use bailiwick_model::registered::Holder;
use bailiwick_store::{ListedTool, OrgScope, RegisteredServer, ToolChanges};
use tracing::warn;

use super::lending::Lending;
use super::line::{Kind, Line, Token};
use super::refresh::Refreshed;
use super::{ConnectFault, Connections};
use crate::catalog::original_name;
use crate::changes::Changes;
use crate::mask::Mask;
use crate::servers::{Found, Server};

/// Limit for opening and listing.
const LISTING_TIMEOUT: Duration = Duration::from_secs(15);
/// Pause between two listings, whatever the server announces.
const RELIST_PAUSE_MIN: Duration = Duration::from_secs(1);

impl Connections {
    /// Asks a server for its tools and keeps them: with the connection of `holder`, else of the organisation, else with its secret.
    ///
    /// # Errors
    /// `needs_authorization` when there is none of these, `server_not_active`, and whatever keeps the server from answering.
    pub async fn list_tools(
        &self,
        scope: &OrgScope,
        record: &RegisteredServer,
        holder: Option<&Holder>,
    ) -> Result<ToolChanges, ConnectFault> {
        if record.status != bailiwick_model::registered::ServerStatus::Active {
            return Err(ConnectFault::not_active(record.display_name.as_str()));
        }
        let line = self.line_for(scope, record, holder).await?;
        let listed = self.keep_list(scope, record, line.upstream()).await;
        line.close(&self.0.mask).await;
        listed.map(|(_, changes)| changes)
    }

    async fn line_for(&self, scope: &OrgScope, record: &RegisteredServer, holder: Option<&Holder>) -> Result<Line, ConnectFault> {
        let (upstream, authorization) = self.0.workshop.registered(record, self.oauth()).map_err(unfit)?;
        let line = Line::new(upstream, authorization, Kind::Nothing);
        if record.mode == Some(bailiwick_model::registered::RegistrationMode::None) {
            return Ok(line);
        }
        for holder in holder.into_iter().chain([&Holder::Organisation]) {
            if let Some(Refreshed::Token(token)) = self.current(scope, record, holder).await {
                line.send(token, 0, &self.0.mask)?;
                return Ok(line);
            }
        }
        let value = match self.store().server_orgs().credential(scope, record.id).await? {
            Some(credential) => self.store().secrets().open(scope, &credential.secret_name).await?,
            None => {
                let message = format!("nobody has a connection to server `{}` that could be used", record.display_name);
                let remedy = "connect first, or set the organisation's credential";
                return Err(ConnectFault::new(Code::NeedsAuthorization, "needs_authorization", message, remedy));
            }
        };
        line.send(Token { version: 0, made: None, until: None, value }, 0, &self.0.mask)?;
        Ok(line)
    }

    /// Asks, and keeps the tools.
    pub(super) async fn keep_list(
        &self,
        scope: &OrgScope,
        record: &RegisteredServer,
        upstream: &Upstream,
    ) -> Result<(Found, ToolChanges), ConnectFault> {
        let name = &record.display_name;
        let slow =
            || ConnectFault::new(Code::UpstreamTimeout, "timeout", format!("server `{name}` gave no list in time"), "try again later");
        let asked = tokio::time::timeout(LISTING_TIMEOUT, Found::ask(upstream)).await.map_err(|_| slow())?;
        let (found, _) = asked.map_err(|fault| {
            let detail = self.0.mask.clean_text(&fault.detail).into_owned();
            ConnectFault::new(
                Code::UpstreamUnreachable,
                "no_list",
                format!("server `{name}` gave no list: {detail}"),
                "look at the server, and try again",
            )
        })?;
        let found = found.masked(&self.0.mask);
        let named: Vec<(Box<str>, &Json)> = found.tools.iter().filter_map(|tool| Some((original_name(tool).ok()?, tool))).collect();
        let mut seen = std::collections::BTreeSet::new();
        let listed: Vec<ListedTool<'_>> = named
            .iter()
            .filter(|(name, _)| bailiwick_model::registered::is_tool_name(name) && seen.insert(name.clone()))
            .map(|(name, tool)| ListedTool { name, definition: tool.bytes() })
            .collect();
        if listed.len() < found.tools.len() {
            warn!(server = %name, left_out = found.tools.len() - listed.len(), "tools without a usable name of their own are left out");
        }
        let changes = self.store().servers().record_tools(scope, record.id, &listed).await?;
        Ok((found, changes))
    }
}

impl Lending {
    /// Lists the server again whenever somebody finds that what is known of it is out of date, until the task is ended.
    pub(crate) async fn watch(&self, server: &Arc<Server>, changes: &Changes, mask: &Mask) {
        server.settle();
        loop {
            tokio::select! {
                () = server.found_stale() => {}
                () = self.wanted.notified() => {}
            }
            if let Some((upstream, shared)) = self.newest_upstream() {
                let record = self.record();
                match self.connections().keep_list(self.scope(), &record, &upstream).await {
                    Ok((found, _)) => {
                        self.listed.store(Arc::new(fit_for_all(found, shared)));
                        if self.offer(server, mask) {
                            changes.bump();
                        }
                    }
                    Err(cause) => warn!(server = %server.name(), %cause, "the server is not listed again"),
                }
            }
            tokio::time::sleep(RELIST_PAUSE_MIN).await;
        }
    }
}

impl Lending {
    /// Offers what is exposed now; `true` when that is another offer than before.
    pub(super) fn offer(&self, server: &Arc<Server>, mask: &Mask) -> bool {
        let _one_at_a_time = self.adopting.lock();
        let offer = Found { tools: self.exposed.load().to_vec(), ..Found::clone(&self.listed.load()) };
        server.adopt(&offer.masked(mask))
    }
}

/// Tools stand in rows. Prompts and resources of a person are his alone: their names may be what he has there. Only those that the
/// organisation's own credential shows are everybody's.
fn fit_for_all(found: Found, shared: bool) -> Found {
    let found = Found { tools: Vec::new(), ..found };
    if shared { found } else { Found { prompts: Vec::new(), resources: Vec::new(), templates: Vec::new(), ..found } }
}

pub(super) fn unfit(unfit: crate::servers::Unfit) -> ConnectFault {
    ConnectFault::new(Code::InvalidArgument, "bad_input", unfit.message, unfit.remedy)
}
