//! Asking a server for what it has, with somebody's connection. Tools are kept in rows, for every replica and for times when nobody is
//! connected; prompts and resources are kept while the process runs.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_mcp::Json;
use bailiwick_mcp::client::{Demand, FaultKind, Upstream, UpstreamFault};
use bailiwick_model::registered::Holder;
use bailiwick_model::{Code, ServerName};
use bailiwick_store::{ListedTool, OrgScope, RegisteredServer, ToolChanges};
use tracing::warn;

use super::lending::Lending;
use super::line::{Kind, Line, Token};
use super::refresh::Refreshed;
use super::{ConnectFault, Connections};
use crate::catalog::original_name;
use crate::changes::Changes;
use crate::mask::Mask;
use crate::oauth::challenge;
use crate::servers::{Found, Server};

/// Limit for opening and listing.
const LISTING_TIMEOUT: Duration = Duration::from_secs(15);
/// The reason of a list that was refused with 401.
const UNAUTHORIZED: &str = "unauthorized";
/// Pause between two listings, whatever the server announces.
const RELIST_PAUSE_MIN: Duration = Duration::from_secs(1);

impl Connections {
    /// Asks a server for its tools and keeps them: with the connection of `holder`, else of the organisation, else with its secret.
    ///
    /// # Errors
    /// `needs_authorization` when there is none of these, or the server takes it no longer and it cannot be renewed; `server_not_active`, and
    /// whatever keeps the server from answering.
    pub async fn list_tools(
        &self,
        scope: &OrgScope,
        record: &RegisteredServer,
        holder: Option<&Holder>,
    ) -> Result<ToolChanges, ConnectFault> {
        if record.status != bailiwick_model::registered::ServerStatus::Active {
            return Err(ConnectFault::not_active(record.display_name.as_str()));
        }
        let (line, lent) = self.line_for(scope, record, holder).await?;
        let mut listed = self.keep_list(scope, record, line.upstream()).await;
        if let (Err(fault), Some((holder, version))) = (&listed, lent)
            && fault.reason == UNAUTHORIZED
        {
            listed = match self.renewed(scope, record, holder, version).await {
                Refreshed::Token(token) => match line.send(token, 0, &self.0.mask) {
                    Ok(_) => self.keep_list(scope, record, line.upstream()).await,
                    Err(fault) => Err(fault),
                },
                Refreshed::Dead => Err(no_connection(record)),
                Refreshed::Later(cause) => Err(renewed_later(record, &cause)),
            };
        }
        line.close(&self.0.mask).await;
        listed.map(|(_, changes)| changes)
    }

    /// A way there; and for one that is a connection, whose, and the version of its tokens.
    async fn line_for<'h>(
        &self,
        scope: &OrgScope,
        record: &RegisteredServer,
        holder: Option<&'h Holder>,
    ) -> Result<(Line, Option<(&'h Holder, i64)>), ConnectFault> {
        let (upstream, authorization) = self.0.workshop.registered(record, self.oauth()).map_err(unfit)?;
        let line = Line::new(upstream, authorization, Kind::Nothing);
        if record.mode == Some(bailiwick_model::registered::RegistrationMode::None) {
            return Ok((line, None));
        }
        for holder in holder.into_iter().chain([&Holder::Organisation]) {
            if let Some(Refreshed::Token(token)) = self.current(scope, record, holder).await {
                let version = token.version;
                line.send(token, 0, &self.0.mask)?;
                return Ok((line, Some((holder, version))));
            }
        }
        let value = match self.store().server_orgs().credential(scope, record.id).await? {
            Some(credential) => self.store().secrets().open(scope, &credential.secret_name).await?,
            None => return Err(no_connection(record)),
        };
        line.send(Token { version: 0, made: None, until: None, value }, 0, &self.0.mask)?;
        Ok((line, None))
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
        let (found, _) = asked.map_err(|fault| self.no_list(name, &fault))?;
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

    fn no_list(&self, name: &ServerName, fault: &UpstreamFault) -> ConnectFault {
        let detail = self.0.mask.clean_text(&fault.detail);
        let message = format!("server `{name}` gave no list: {detail}");
        match &fault.kind {
            FaultKind::Auth(demand) if demand.status == 401 => {
                let remedy = "connect again, or set another credential of the organisation";
                ConnectFault::new(Code::UpstreamAuth, UNAUTHORIZED, message, remedy)
            }
            FaultKind::Auth(demand) => {
                let wanted = wanted(demand).map_or_else(String::new, |scopes| format!(": it wants {}", scopes.join(" ")));
                let remedy = format!("add the scopes that it wants to `scopes` of the server{wanted}; then connect again");
                ConnectFault::new(Code::UpstreamAuth, "insufficient_scope", message, remedy)
            }
            _ => ConnectFault::new(Code::UpstreamUnreachable, "no_list", message, "look at the server, and try again"),
        }
    }
}

/// Scopes that a server names when it refuses.
fn wanted(demand: &Demand) -> Option<Vec<String>> {
    let values: Vec<http::HeaderValue> = demand.challenges.iter().filter_map(|text| http::HeaderValue::from_str(text).ok()).collect();
    challenge::read(&values).ok()??.scopes
}

fn no_connection(record: &RegisteredServer) -> ConnectFault {
    let message = format!("nobody has a connection to server `{}` that could be used", record.display_name);
    let remedy = "connect first, or set the organisation's credential";
    ConnectFault::new(Code::NeedsAuthorization, "needs_authorization", message, remedy)
}

fn renewed_later(record: &RegisteredServer, cause: &str) -> ConnectFault {
    let message = format!("the connection to server `{}` cannot be renewed at the moment: {cause}", record.display_name);
    ConnectFault::new(Code::UpstreamUnreachable, "later", message, "try again later")
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
