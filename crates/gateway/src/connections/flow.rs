//! From a person's wish to connect to a stored token (governance reference 6.2, security reference 10). A flow is a row that any replica
//! finds; it is used up by the first answer, good or bad, and counts only for who began it: the caller of the API who starts it, or the
//! browser that agreed on our page.

use bailiwick_model::registered::{EndpointUrl, GrantKind, Holder, RegistrationMode, Scopes, ServerStatus, ServerUrl};
use bailiwick_model::{Code, OrgId, ServerId, ServerName, Subject, Timestamp};
use bailiwick_store::{Flow, FlowBearer, Grantor, NewFlow, OrgScope, RegisteredServer, TakenFlow, Tenant};
use data_encoding::BASE64URL_NOPAD;
use secrecy::{ExposeSecret, SecretString};
use tracing::warn;

use super::refresh::tokens_of;
use super::{ConnectFault, Connections, Ticket};
use crate::oauth::authorize::{self, Start};
use crate::oauth::callback::{self, Reply};
use crate::oauth::token::{self, Desk, Exchange};

/// How long a person may take.
const LIFE_MICROS: i64 = 10 * 60 * 1_000_000;
/// Bytes of the secret that binds a flow to a browser.
const BROWSER_BYTES: usize = 32;

/// An authorization that waits for its person.
#[derive(Debug)]
pub struct Started {
    /// What he opens.
    pub authorization_url: SecretString,
    /// What comes back with him.
    pub state: SecretString,
}

/// What came back.
#[derive(Clone, Default)]
pub struct Returned(Reply);

/// An answer that was taken, and not yet acted upon.
pub struct Pending {
    flow: Box<Flow>,
    returned: Returned,
}

impl Pending {
    /// In which organisation.
    #[must_use]
    pub fn org(&self) -> &OrgId {
        &self.flow.org
    }

    /// Who began it: a subject, or `link:` and who asked for the link.
    #[must_use]
    pub fn begun_by(&self) -> &str {
        self.flow.acting.as_str()
    }

    /// Whose connection it will be; empty for the organisation's.
    #[must_use]
    pub fn holder(&self) -> &str {
        self.flow.holder.as_str()
    }

    pub(crate) fn server(&self) -> ServerId {
        self.flow.server
    }
}

/// A connection that came about.
#[derive(Clone, Debug)]
pub struct Connected {
    /// In which organisation.
    pub org: OrgId,
    /// With which server.
    pub server: ServerId,
    /// Its name.
    pub name: ServerName,
    /// Whose it is.
    pub holder: Holder,
}

impl Returned {
    /// From the members of a request.
    #[must_use]
    pub fn new(code: Option<SecretString>, state: SecretString, iss: Option<String>, error: Option<String>) -> Self {
        Self(Reply { code, state: Some(state), iss, error, error_description: None })
    }

    /// From the query of the address that a browser was sent to.
    ///
    /// # Errors
    /// For a query that is too long or has a parameter twice.
    pub fn read(query: &str) -> Result<Self, ConnectFault> {
        Ok(Self(Reply::read(query)?))
    }
}

impl Connections {
    /// Begins an authorization for `holder`; `acting` alone can end it. `scopes` are asked for instead of those that are configured, unless
    /// there are none.
    ///
    /// # Errors
    /// `not_found` for a server that the organisation does not see, `server_not_active`, and whatever keeps its authorization server from
    /// being found.
    pub async fn start(
        &self,
        scope: &OrgScope,
        holder: &Holder,
        acting: &str,
        server: ServerId,
        scopes: &[String],
    ) -> Result<Started, ConnectFault> {
        self.check_reachable()?;
        let record = self.store().servers().get(scope, server).await?;
        let name = record.display_name.as_str();
        if record.status != ServerStatus::Active {
            return Err(ConnectFault::not_active(name));
        }
        if record.mode == Some(RegistrationMode::None) {
            let message = format!("server `{name}` wants no authorization");
            return Err(ConnectFault::new(Code::Conflict, "no_authorization", message, "call its tools right away"));
        }
        let asked = self.ask(&record).await?.ok_or_else(|| {
            let message = format!("server `{name}` answers without a token by now");
            ConnectFault::new(Code::Conflict, "no_authorization", message, format!("set it up again: `bailiwick server retry {name}`"))
        })?;
        let issuer = EndpointUrl::stored(&asked.discovered.issuer);
        let kept = self.store().server_clients().get(scope, server, &issuer).await?;
        let Some(kept) = kept else { return Err(self.issuer_changed(&record, &asked.discovered.issuer).await) };
        let client = self.client_of(&record, kept)?;
        let configured: Vec<String> = record.scopes.iter().map(str::to_owned).collect();
        let extra: Vec<(String, String)> =
            record.extra_auth_params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let challenged = asked.challenge.as_ref().and_then(|challenge| challenge.scopes.as_deref());
        let start = Start {
            discovered: &asked.discovered,
            client: &client,
            configured: &configured,
            challenged,
            step_up: (!scopes.is_empty()).then_some(scopes),
            profile: self.profile(&record),
            extra: &extra,
        };
        let started = authorize::start(start, self.0.random.as_ref())?;
        let resource = ServerUrl::stored(&started.resource);
        let flow = NewFlow {
            server,
            holder,
            acting: &subject(acting)?,
            issuer: &EndpointUrl::stored(&started.issuer),
            iss_required: started.iss_required,
            redirect_uri: &started.redirect_uri,
            resource: &resource,
            scopes: &Scopes::new(&started.scopes).map_err(|rule| {
                ConnectFault::new(Code::UpstreamProtocol, "bad_answer", rule.to_string(), "set `scopes` of the server by hand")
            })?,
            state: &started.state,
            verifier: &started.verifier,
            expires_at: Timestamp::from_micros(self.now().as_micros() + LIFE_MICROS),
        };
        self.store().flows().begin(scope, &flow).await?;
        Ok(Started { authorization_url: started.url, state: started.state })
    }

    /// Begins what a link is for, in the browser that agreed. Gives what the browser has to keep: what it `kept` of an earlier one, so that
    /// it can be about several at a time.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_in_browser(
        &self,
        org: &OrgId,
        ticket: &Ticket,
        kept: Option<SecretString>,
    ) -> Result<(Started, SecretString), ConnectFault> {
        let secret = kept.filter(|kept| is_browser_secret(kept.expose_secret())).unwrap_or_else(|| {
            let mut secret = [0; BROWSER_BYTES];
            self.0.random.fill(&mut secret);
            SecretString::from(BASE64URL_NOPAD.encode(&secret))
        });
        let scope = self.within(org)?;
        let (Some(holder), Some(server)) = (ticket.holder(), ticket.server()) else { return Err(ConnectFault::unknown_flow()) };
        let started = self.start(&scope, &holder, &format!("link:{}", ticket.asked_by), server, &ticket.scopes).await?;
        if self.store().flows().set_browser(&self.platform()?, &started.state, &secret).await? {
            return Ok((started, secret));
        }
        Err(ConnectFault::unknown_flow())
    }
    pub(super) fn check_reachable(&self) -> Result<(), ConnectFault> {
        match &self.0.unreachable {
            None => Ok(()),
            Some(cause) => {
                let message = format!("people cannot connect at this gateway: {cause}");
                Err(ConnectFault::new(Code::Conflict, "no_public_url", message, "write `public_url` into the configuration, with https"))
            }
        }
    }

    /// Clients and tokens are bound to the issuer that gave them; another one is not believed without an administrator (governance
    /// reference 6.1).
    async fn issuer_changed(&self, record: &RegisteredServer, issuer: &str) -> ConnectFault {
        let name = record.display_name.as_str();
        let message = format!("server `{name}` names another authorization server by now: {issuer}");
        let remedy = format!("if that is right, register there: `bailiwick server retry {name}`");
        if let Err(cause) = self.note_broken(record, &format!("issuer_changed: {message}; {remedy}")).await {
            warn!(server = name, %cause, "that the issuer changed is not kept");
        }
        ConnectFault::new(Code::ServerNotActive, "issuer_changed", message, remedy)
    }

    /// Ends an authorization that the caller himself began through the API.
    ///
    /// # Errors
    /// `not_found` for a state that is unknown, used, too old, or of somebody else: then nothing is asked for, and the state is used up;
    /// and whatever the authorization server objects to.
    pub async fn finish(&self, scope: &OrgScope, acting: &str, returned: Returned) -> Result<Connected, ConnectFault> {
        let sub = subject(acting)?;
        let flow = self.take(&returned, FlowBearer::Person { org: Tenant::org(scope), sub: &sub }).await?;
        self.complete(Pending { flow: Box::new(flow), returned }).await
    }

    /// Takes what a browser brings back, at the path to which it came: used up from now on, and still to be completed.
    ///
    /// # Errors
    /// `not_found` for a state that is unknown, used, too old, or of another browser, and for another path than the one that was registered
    /// for the server: somebody mixes servers up.
    pub async fn take_in_browser(&self, secret: &SecretString, path: &str, returned: Returned) -> Result<Pending, ConnectFault> {
        let flow = self.take(&returned, FlowBearer::Browser(secret)).await?;
        if !flow.redirect_uri.ends_with(path) {
            return Err(ConnectFault::unknown_flow());
        }
        Ok(Pending { flow: Box::new(flow), returned })
    }

    /// The flow of a state, used up from now on.
    async fn take(&self, returned: &Returned, bearer: FlowBearer<'_>) -> Result<Flow, ConnectFault> {
        let state = returned.0.state.as_ref().ok_or_else(ConnectFault::unknown_flow)?;
        match self.store().flows().take(&self.platform()?, state, bearer).await? {
            TakenFlow::Good(flow) => Ok(*flow),
            TakenFlow::Expired | TakenFlow::Foreign | TakenFlow::Unknown => Err(ConnectFault::unknown_flow()),
        }
    }

    /// Exchanges what was brought back for tokens, and keeps them.
    ///
    /// # Errors
    /// Whatever the authorization server objects to.
    pub async fn complete(&self, pending: Pending) -> Result<Connected, ConnectFault> {
        let Pending { flow, returned } = pending;
        let scope = self.within(&flow.org)?;
        let record = self.store().servers().get(&scope, flow.server).await?;
        let code = callback::accept(&returned.0, flow.issuer.as_str(), flow.iss_required)?;
        let (client, endpoint) = self.client_at(&scope, &record, &flow.issuer).await?;
        let desk =
            Desk { settings: self.oauth(), token_endpoint: &endpoint, client: &client, now: self.now(), random: self.0.random.as_ref() };
        let asked: Vec<String> = flow.scopes.iter().map(str::to_owned).collect();
        let exchange = Exchange {
            code: &code,
            verifier: &flow.verifier,
            redirect_uri: &flow.redirect_uri,
            resource: flow.resource.as_str(),
            scopes: &asked,
        };
        let grant = token::exchange(desk, exchange).await?;
        if grant.wider {
            warn!(server = %record.display_name, "more scopes were granted than asked for");
        }
        let from = Grantor { issuer: &flow.issuer, resource: Some(flow.resource.as_str()), grant: GrantKind::Code };
        self.store().connections().put(&scope, flow.server, &flow.holder, from, &tokens_of(grant)?).await?;
        let key = (flow.org.clone(), flow.server, flow.holder.clone());
        self.0.rests.succeeded(&key);
        // Whoever connects first brings the list of tools.
        if let Err(cause) = self.list_tools(&scope, &record, Some(&flow.holder)).await {
            warn!(server = %record.display_name, %cause, "connected, and the server gives no list of tools");
        }
        Ok(Connected { org: flow.org.clone(), server: flow.server, name: record.display_name, holder: flow.holder.clone() })
    }

    /// A link for `holder` to connect, and who asks for it.
    ///
    /// # Errors
    /// When the organisation's key cannot be opened.
    pub async fn person_link(
        &self,
        scope: &OrgScope,
        record: &RegisteredServer,
        holder: &Holder,
        asked_by: &str,
    ) -> Result<String, ConnectFault> {
        let org = Tenant::org(scope);
        self.link(scope, org, record, holder, (&[], asked_by)).await
    }

    /// Our client id metadata document; `None` where it cannot stand.
    #[must_use]
    pub fn client_metadata(&self) -> Option<serde_json::Value> {
        crate::oauth::identity::client_metadata(self.oauth())
    }
}

fn is_browser_secret(text: &str) -> bool {
    BASE64URL_NOPAD.decode(text.as_bytes()).is_ok_and(|bytes| bytes.len() == BROWSER_BYTES)
}

/// Who acts, as a flow names him.
fn subject(acting: &str) -> Result<Subject, ConnectFault> {
    let bad = |rule: String| ConnectFault::new(Code::InvalidArgument, "bad_input", rule, "sign in as a person");
    Subject::parse(acting).map_err(|rule| bad(rule.to_string()))
}
