//! Which credential a call goes with (governance reference 5.5): the caller's own connection; else the organisation's, where that may stand
//! in; else nobody's, and a person is asked to connect. The inbound credential is never passed on.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use bailiwick_mcp::Json;
use bailiwick_mcp::client::{Demand, Upstream};
use bailiwick_model::registered::{CredentialFallback, Holder, RegistrationMode, ServerStatus, TokenStatus};
use bailiwick_model::{ServerId, ServerName, Timestamp};
use bailiwick_store::{OrgScope, RegisteredServer, Scope, StoreErrorKind, StoreResult, Tenant};
use data_encoding::HEXLOWER;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Connections;
use super::line::{Kind, Line, Token};
use super::refresh::Refreshed;
use crate::lock::Lock;
use crate::oauth::challenge;
use crate::oauth::step_up;
use crate::servers::{Found, Link};

/// Ways to one server that are kept open at once; the longest unused one is closed for another.
const LINES_MAX: usize = 1_000;

/// Time in which consent to more scopes is asked for a few times at most.
const STEP_UPS_WINDOW_MICROS: i64 = 10 * 60 * 1_000_000;

/// What one organisation's callers are lent for one registered server.
pub(crate) struct Lending {
    connections: Connections,
    scope: OrgScope,
    record: ArcSwap<RegisteredServer>,
    /// The generation of the rows as last seen; what was read in an earlier one is read again.
    generation: Arc<AtomicI64>,
    lines: Lock<HashMap<Purse, Arc<Line>>>,
    /// Prompts and resources as they were last listed; tools are kept in rows.
    pub(super) listed: ArcSwap<Found>,
    /// Definitions of the tools that the allowlist exposes.
    pub(super) exposed: ArcSwap<Vec<Json>>,
    /// What the organisation says of the server.
    pub(super) context: ArcSwapOption<String>,
    /// What the server lists besides tools may be asked for.
    pub(super) wanted: Notify,
    /// A way was opened and has no credential yet.
    fresh: AtomicBool,
    /// Held while an offer is made of what is exposed.
    pub(super) adopting: Lock<()>,
    /// Who lists the server again; ends with it.
    pub(super) watcher: Lock<Option<AbortHandle>>,
    /// How often each holder was sent to consent to more scopes, since when.
    step_ups: Lock<HashMap<Holder, (u32, Timestamp)>>,
}

/// Where a credential comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purse {
    /// A connection.
    Connection(Holder),
    /// A secret of the organisation.
    Secret,
    /// The server wants nothing.
    Nothing,
}

/// What goes along with a call.
#[derive(Clone, Debug)]
pub(crate) struct Loan {
    pub(super) kind: Kind,
    pub(super) version: i64,
    /// Whose connection it is; `None` for what is no connection.
    pub(super) holder: Option<Holder>,
}

impl Loan {
    /// `user`, `org` or `none`.
    pub(crate) fn kind(&self) -> &'static str {
        self.kind.as_str()
    }
}

/// Why nothing is lent.
#[derive(Debug)]
pub(crate) enum Unlent {
    /// The server is not set up, or in error.
    NotActive,
    /// A person has to connect first.
    SignIn(Box<Need>),
    /// The server refused what there is, and there is nothing else.
    Refused,
    /// It cannot be said now; the cause is for operators.
    Later(String),
}

/// What a person is asked for.
#[derive(Debug)]
pub(crate) struct Need {
    pub(crate) server: ServerName,
    /// Names the question.
    pub(crate) id: String,
    /// What he opens; `None` when the caller may not connect for anybody.
    pub(crate) link: Option<String>,
    /// For operators.
    pub(crate) why: &'static str,
}

impl Lending {
    pub(super) fn new(connections: Connections, scope: OrgScope, record: RegisteredServer, generation: Arc<AtomicI64>) -> Self {
        Self {
            connections,
            scope,
            record: ArcSwap::from_pointee(record),
            generation,
            lines: Lock::default(),
            listed: ArcSwap::default(),
            exposed: ArcSwap::default(),
            context: ArcSwapOption::default(),
            wanted: Notify::new(),
            fresh: AtomicBool::new(false),
            adopting: Lock::default(),
            watcher: Lock::default(),
            step_ups: Lock::default(),
        }
    }

    pub(super) fn record(&self) -> Arc<RegisteredServer> {
        self.record.load_full()
    }

    pub(super) fn scope(&self) -> &OrgScope {
        &self.scope
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Whether this is the server of the row, reached as the row says; a server that moved is another one.
    pub(super) fn is_of(&self, record: &RegisteredServer) -> bool {
        let own = self.record.load();
        own.id == record.id && own.server_url == record.server_url && own.era == record.era && own.display_name == record.display_name
    }

    /// What the organisation says of the server.
    pub(crate) fn context(&self) -> Option<Arc<String>> {
        self.context.load_full()
    }

    /// The way that was used last and whose credential still counts; with it, whether what it shows is everybody's in the organisation.
    pub(super) fn newest_upstream(&self) -> Option<(Upstream, bool)> {
        let (generation, now) = (self.generation(), self.connections.now());
        let lines = self.lines.lock();
        let good = lines.values().filter(|line| line.ready(generation, now).is_some());
        good.max_by_key(|line| line.used()).map(|line| (line.upstream().clone(), line.is_shared()))
    }

    /// Whether the allowlist exposes this tool, by the name that the server knows it by.
    pub(crate) fn allows(&self, tool: &str) -> bool {
        self.record.load().allowed_tools.as_ref().is_none_or(|allowed| allowed.allows(tool))
    }

    /// Closes ways whose credential was taken away: nothing goes out with it any more, listings and subscriptions included.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub(super) async fn close_stale(&self) -> StoreResult<()> {
        let lines: Vec<(Purse, Arc<Line>)> = self.lines.lock().iter().map(|(purse, line)| (purse.clone(), line.clone())).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let id = self.record().id;
        let live = self.live_connections(id).await?;
        let has_secret = self.connections.store().server_orgs().credential(&self.scope, id).await?.is_some();
        for (purse, line) in lines {
            let counts = match &purse {
                Purse::Connection(holder) => live.get(holder).is_some_and(|made| line.made().is_none_or(|own| own == *made)),
                Purse::Secret => has_secret,
                Purse::Nothing => self.record().mode == Some(RegistrationMode::None),
            };
            if !counts {
                self.drop_exactly(&purse, &line);
            }
        }
        Ok(())
    }

    async fn live_connections(&self, id: ServerId) -> StoreResult<HashMap<Holder, Timestamp>> {
        let mut live = HashMap::new();
        let mut after: Option<Holder> = None;
        loop {
            let page = self.connections.store().connections().list(&self.scope, id, after.as_ref()).await?;
            let Some(last) = page.last() else { return Ok(live) };
            after = Some(last.holder.clone());
            let good = page.into_iter().filter(|one| one.status != TokenStatus::RefreshFailed);
            live.extend(good.map(|one| (one.holder, one.created_at)));
        }
    }

    /// The row as it is now.
    pub(super) fn set_record(&self, record: RegisteredServer) {
        self.record.store(Arc::new(record));
    }

    /// The way of this caller.
    pub(crate) async fn link(&self, scope: &Scope) -> Result<Link, Unlent> {
        let record = self.record();
        if record.status != ServerStatus::Active {
            return Err(Unlent::NotActive);
        }
        let caller = scope.principal().sub.clone().map(Holder::Person);
        let why = match self.own_or_shared(&record, caller.as_ref()).await? {
            Ok(link) => return Ok(link),
            Err(why) => why,
        };
        Err(Unlent::SignIn(Box::new(self.need(scope, &record, &[], why).await)))
    }

    /// Another way after the server refused what was lent: a 401 asks for a fresh token, a 403 for more scopes.
    pub(crate) async fn renew(&self, scope: &Scope, loan: &Loan, demand: &Demand) -> Result<Link, Unlent> {
        let record = self.record();
        let Some(holder) = &loan.holder else { return Err(Unlent::Refused) };
        // The person may have connected again a moment ago, perhaps elsewhere.
        if demand.status == 403 && !self.connections.has_other(&self.scope, &record, holder, loan.version).await {
            return Err(self.step_up(scope, &record, holder, demand).await);
        }
        let generation = self.generation();
        match self.connections.renewed(&self.scope, &record, holder, loan.version).await {
            Refreshed::Token(token) => {
                let line = self.line(Purse::Connection(holder.clone()), &record, token.made)?;
                self.lend(&line, holder, token, generation)
            }
            Refreshed::Dead => {
                Err(Unlent::SignIn(Box::new(self.need(scope, &record, &[], "the token is refused and cannot be renewed").await)))
            }
            Refreshed::Later(cause) => Err(Unlent::Later(cause)),
        }
    }

    /// The person is asked to consent to what the server wants beyond what was granted.
    async fn step_up(&self, scope: &Scope, record: &RegisteredServer, holder: &Holder, demand: &Demand) -> Unlent {
        let values: Vec<http::HeaderValue> = demand.challenges.iter().filter_map(|text| http::HeaderValue::from_str(text).ok()).collect();
        let mut challenge = match challenge::read(&values) {
            Ok(Some(challenge)) if challenge.wants_more_scope() => challenge,
            _ => return Unlent::Refused,
        };
        // Scopes go into addresses, and are kept in clear: a token that was sent is none.
        if let Some(wanted) = &mut challenge.scopes {
            wanted.retain(|scope| !self.connections.0.mask.holds(scope));
        }
        let granted: Vec<String> = match self.connections.store().connections().info(&self.scope, record.id, holder).await {
            Ok(Some(info)) => info.scopes.iter().map(str::to_owned).collect(),
            _ => return Unlent::Refused,
        };
        match step_up::scopes(&granted, &challenge, self.count_step_up(holder)) {
            Ok(scopes) => {
                Unlent::SignIn(Box::new(self.need(scope, record, &scopes, "the server wants more scopes than were granted").await))
            }
            Err(fault) => {
                tracing::warn!(server = %record.display_name, cause = %fault, "no further consent is asked for");
                Unlent::Refused
            }
        }
    }

    /// How often it was done before within [`STEP_UPS_WINDOW_MICROS`]; counts this time.
    fn count_step_up(&self, holder: &Holder) -> u32 {
        let now = self.connections.now();
        let mut counts = self.step_ups.lock();
        if counts.len() >= LINES_MAX {
            counts.clear();
        }
        let (count, since) = counts.entry(holder.clone()).or_insert((0, now));
        if now.as_micros() - since.as_micros() > STEP_UPS_WINDOW_MICROS {
            (*count, *since) = (0, now);
        }
        *count += 1;
        *count - 1
    }

    /// The first of the credentials that there is; else why there is none.
    async fn own_or_shared(&self, record: &RegisteredServer, caller: Option<&Holder>) -> Result<Result<Link, &'static str>, Unlent> {
        if record.mode == Some(RegistrationMode::None) {
            let link = self.line(Purse::Nothing, record, None)?.bare(self.generation());
            self.wants_listing();
            return Ok(Ok(link));
        }
        let mut why = "there is no connection";
        if let Some(holder) = caller {
            match self.of_connection(record, holder).await? {
                Ok(link) => return Ok(Ok(link)),
                Err(cause) => why = cause,
            }
        }
        if !self.may_stand_in(caller.is_some()).await? {
            return Ok(Err(why));
        }
        if let Some(link) = self.of_secret(record).await? {
            return Ok(Ok(link));
        }
        match self.of_connection(record, &Holder::Organisation).await? {
            Ok(link) => Ok(Ok(link)),
            Err(cause) => Ok(Err(if caller.is_some() { why } else { cause })),
        }
    }

    /// Whether the organisation's credential may stand in; `person`: for somebody, not for an agent by itself.
    async fn may_stand_in(&self, person: bool) -> Result<bool, Unlent> {
        let fallback = self.connections.store().server_orgs().credential_fallback(&self.scope).await.map_err(later)?;
        Ok(match fallback {
            CredentialFallback::On => true,
            CredentialFallback::ServiceOnly => !person,
            CredentialFallback::Off => false,
        })
    }

    async fn of_connection(&self, record: &RegisteredServer, holder: &Holder) -> Result<Result<Link, &'static str>, Unlent> {
        let purse = Purse::Connection(holder.clone());
        // Before the row is read: what changes meanwhile is read again.
        let generation = self.generation();
        if let Some(link) = self.ready(&purse) {
            return Ok(Ok(self.with_holder(link, holder)));
        }
        match self.connections.current(&self.scope, record, holder).await {
            None => {
                self.drop_line(&purse);
                Ok(Err("there is no connection"))
            }
            Some(Refreshed::Token(token)) => {
                let line = self.line(purse, record, token.made)?;
                self.lend(&line, holder, token, generation).map(Ok)
            }
            Some(Refreshed::Dead) => Ok(Err("the connection's token cannot be renewed")),
            Some(Refreshed::Later(cause)) => Err(Unlent::Later(cause)),
        }
    }

    async fn of_secret(&self, record: &RegisteredServer) -> Result<Option<Link>, Unlent> {
        if let Some(link) = self.ready(&Purse::Secret) {
            return Ok(Some(link));
        }
        let generation = self.generation();
        let store = self.connections.store();
        let credential = store.server_orgs().credential(&self.scope, record.id).await.map_err(later)?;
        let Some(credential) = credential else { return Ok(None) };
        let value = match store.secrets().open(&self.scope, &credential.secret_name).await {
            Ok(value) => value,
            Err(fault) if fault.kind() == StoreErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(later(fault)),
        };
        let line = self.line(Purse::Secret, record, None)?;
        let token = Token { version: 0, made: None, until: None, value };
        let link = line.send(token, generation, &self.connections.0.mask).map_err(|fault| Unlent::Later(fault.to_string()))?;
        self.wants_listing();
        Ok(Some(link))
    }

    fn lend(&self, line: &Line, holder: &Holder, token: Token, generation: i64) -> Result<Link, Unlent> {
        let link = line.send(token, generation, &self.connections.0.mask).map_err(|fault| Unlent::Later(fault.to_string()))?;
        self.wants_listing();
        Ok(self.with_holder(link, holder))
    }

    fn with_holder(&self, mut link: Link, holder: &Holder) -> Link {
        if let Some(loan) = &mut link.loan {
            loan.holder = Some(holder.clone());
        }
        link
    }

    fn ready(&self, purse: &Purse) -> Option<Link> {
        let line = self.lines.lock().get(purse).cloned()?;
        let link = line.ready(self.generation(), self.connections.now())?;
        line.touch();
        Some(link)
    }

    /// The open way, or a new one; a connection that was made anew has a new one.
    fn line(&self, purse: Purse, record: &RegisteredServer, made: Option<Timestamp>) -> Result<Arc<Line>, Unlent> {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get(&purse) {
            if line.is_of(made) {
                line.touch();
                return Ok(line.clone());
            }
            let old = lines.remove(&purse);
            self.close_soon(old);
        }
        if lines.len() >= LINES_MAX {
            let oldest = lines.iter().min_by_key(|(_, line)| line.used()).map(|(purse, _)| purse.clone());
            let old = oldest.and_then(|purse| lines.remove(&purse));
            self.close_soon(old);
        }
        let made =
            self.connections.0.workshop.registered(record, self.connections.oauth()).map_err(|unfit| Unlent::Later(unfit.message))?;
        let kind = match &purse {
            Purse::Connection(Holder::Person(_)) => Kind::User,
            Purse::Connection(Holder::Organisation) | Purse::Secret => Kind::Org,
            Purse::Nothing => Kind::Nothing,
        };
        let line = Arc::new(Line::new(made.0, made.1, kind));
        lines.insert(purse, line.clone());
        self.fresh.store(true, Ordering::Relaxed);
        Ok(line)
    }

    /// A way was opened, and has its credential by now: what the server lists besides tools may be asked for.
    fn wants_listing(&self) {
        if self.fresh.swap(false, Ordering::Relaxed) {
            self.wanted.notify_one();
        }
    }

    /// Drops this very line: meanwhile another may stand in its place, for a connection that was made anew.
    fn drop_exactly(&self, purse: &Purse, line: &Arc<Line>) {
        let mut lines = self.lines.lock();
        let old = if lines.get(purse).is_some_and(|known| Arc::ptr_eq(known, line)) { lines.remove(purse) } else { None };
        drop(lines);
        self.close_soon(old);
    }

    fn drop_line(&self, purse: &Purse) {
        let old = self.lines.lock().remove(purse);
        self.close_soon(old);
    }

    fn close_soon(&self, line: Option<Arc<Line>>) {
        if let (Some(line), Ok(runtime)) = (line, tokio::runtime::Handle::try_current()) {
            let connections = self.connections.clone();
            runtime.spawn(async move { line.close(&connections.0.mask).await });
        }
    }

    /// Closes every way.
    pub(crate) async fn close(&self) {
        if let Some(watcher) = self.watcher.lock().take() {
            watcher.abort();
        }
        let lines: Vec<Arc<Line>> = self.lines.lock().drain().map(|(_, line)| line).collect();
        for line in lines {
            line.close(&self.connections.0.mask).await;
        }
    }

    fn generation(&self) -> i64 {
        self.generation.load(Ordering::Acquire)
    }

    async fn need(&self, scope: &Scope, record: &RegisteredServer, scopes: &[String], why: &'static str) -> Need {
        let holder = match &scope.principal().sub {
            Some(sub) => Some(Holder::Person(sub.clone())),
            None if self.connections.0.is_single => Some(Holder::Organisation),
            None => None,
        };
        let mut id = [0; 16];
        self.connections.0.random.fill(&mut id);
        let id = HEXLOWER.encode(&id);
        let link = match &holder {
            None => None,
            Some(holder) => {
                let (name, asked_by) = (&record.display_name, scope.agent_id().as_str());
                let link = self.connections.link(&self.scope, self.scope.org(), record, holder, (scopes, asked_by)).await;
                link.inspect_err(|cause| tracing::warn!(server = %name, %cause, "no link to connect can be given")).ok()
            }
        };
        Need { server: record.display_name.clone(), id, link, why }
    }
}

fn later(fault: bailiwick_store::StoreError) -> Unlent {
    Unlent::Later(fault.to_string())
}
