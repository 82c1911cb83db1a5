//! From a registration to a server that can be called (governance reference 5.4, 6.1): asked without a token, its authorization server
//! found, a client obtained there. A server that wants no token is ready at once.

use bailiwick_model::registered::{
    AuthMethod as StoredMethod, ClientId, EndpointUrl, Endpoints, RegistrationChoice, RegistrationMode, ServerStatus,
};
use bailiwick_store::{Found as FoundOut, NewClient, RegisteredServer, Registrar, ServerClient, StoreResult};

use super::{ConnectFault, Connections};
use crate::oauth::challenge::Challenge;
use crate::oauth::discover::{self, Discovered, KnownEndpoints, Query};
use crate::oauth::doctor::probe;
use crate::oauth::identity::{self, AuthMethod, Choice, Client, Mode, Proof, Registered, Wanted};
use crate::oauth::profiles::Profile;

/// What is known of a server after it was asked.
pub(super) struct Asked {
    pub(super) challenge: Option<Challenge>,
    pub(super) discovered: Discovered,
}

impl Connections {
    /// Sets a server up, and keeps how that went: it is `active` or in `error` afterwards.
    ///
    /// # Errors
    /// When the rows cannot be read or written. A server that cannot be set up is no error here: its status says why.
    pub async fn set_up(&self, registrar: Registrar<'_>, record: &RegisteredServer) -> Result<(), ConnectFault> {
        let status = match self.try_set_up(registrar, record).await {
            Ok(()) => (ServerStatus::Active, None),
            Err(fault) if fault.reason == "store" => return Err(fault),
            Err(fault) => (ServerStatus::Error, Some(format!("{}: {}; {}", fault.reason, fault.message, fault.remedy))),
        };
        Ok(self.store().servers().set_status(registrar, record.id, status.0, status.1.as_deref()).await?)
    }

    async fn try_set_up(&self, registrar: Registrar<'_>, record: &RegisteredServer) -> Result<(), ConnectFault> {
        let asked = match self.ask(record).await? {
            Some(asked) => asked,
            None => {
                let found = FoundOut { mode: RegistrationMode::None, client_id: None, endpoints: Endpoints::default() };
                return Ok(self.store().servers().set_found(registrar, record.id, &found).await?);
            }
        };
        let kept = self.kept_client(registrar, record, &asked.discovered.issuer).await?;
        let client = self.obtain(record, &asked.discovered, kept.as_ref()).await?;
        self.keep(registrar, record, &asked.discovered, &client).await
    }

    /// Asks the server without a token, and then for its authorization server; `None` when it wants no token.
    pub(super) async fn ask(&self, record: &RegisteredServer) -> Result<Option<Asked>, ConnectFault> {
        let url = record.server_url.as_str();
        let probed = probe(self.oauth(), url).await?;
        if probed.is_open() && record.choice != RegistrationChoice::Manual {
            return Ok(None);
        }
        let known = self.known(record);
        let preferred = record.endpoints().issuer;
        let query = Query {
            server_url: url,
            challenge: probed.challenge.as_ref(),
            preferred_issuer: preferred.as_ref().map(EndpointUrl::as_str),
            known: known.as_ref(),
        };
        let discovered = discover::discover(self.oauth(), query, &mut Vec::new()).await?;
        Ok(Some(Asked { challenge: probed.challenge, discovered }))
    }

    pub(super) fn profile(&self, record: &RegisteredServer) -> Option<&Profile> {
        self.0.profiles.of(record.server_url.as_str())
    }

    /// Endpoints that somebody wrote down: the administrator, else the profile of the provider.
    pub(super) fn known(&self, record: &RegisteredServer) -> Option<KnownEndpoints> {
        let given = &record.given;
        let text = |url: &Option<EndpointUrl>| url.as_ref().map(|url| url.as_str().to_owned());
        match (text(&given.issuer), text(&given.authorization), text(&given.token)) {
            (Some(issuer), Some(authorization_endpoint), Some(token_endpoint)) => {
                Some(KnownEndpoints { issuer, authorization_endpoint, token_endpoint, revocation_endpoint: text(&given.revocation) })
            }
            _ => self.profile(record).and_then(|profile| profile.known.clone()),
        }
    }

    /// The client that this issuer knows, if it can still be used.
    async fn kept_client(
        &self,
        registrar: Registrar<'_>,
        record: &RegisteredServer,
        issuer: &str,
    ) -> Result<Option<ServerClient>, ConnectFault> {
        let issuer = EndpointUrl::stored(issuer);
        let kept = match registrar {
            Registrar::Org(scope) => self.store().server_clients().get(scope, record.id, &issuer).await?,
            Registrar::Platform(scope) => self.store().server_clients().get_any(scope, record.id, &issuer).await?,
        };
        let ended = |client: &ServerClient| client.info.secret_expires_at.is_some_and(|end| end <= self.now());
        Ok(kept.filter(|client| !ended(client)))
    }

    async fn obtain(
        &self,
        record: &RegisteredServer,
        discovered: &Discovered,
        kept: Option<&ServerClient>,
    ) -> Result<Client, ConnectFault> {
        let registered = kept.filter(|client| client.info.mode != RegistrationMode::Cimd).map(|client| Registered {
            client_id: client.info.client_id.as_str().to_owned(),
            secret: client.secret.clone(),
            method: AuthMethod::parse(client.info.auth_method.as_str()),
            redirect_uri: client.info.redirect_uri.clone(),
        });
        let wanted = match record.choice {
            RegistrationChoice::Auto | RegistrationChoice::Dcr => Wanted::Auto,
            RegistrationChoice::Manual => Wanted::Only(Mode::Manual),
            RegistrationChoice::Cimd => Wanted::Only(Mode::Cimd),
        };
        let id = record.id.to_string();
        let choice = Choice { wanted, registered: registered.as_ref(), profile: self.profile(record), server_id: &id };
        let mut client = identity::obtain(self.oauth(), discovered, choice).await?;
        // One that was got by request before is not one that somebody registered by hand.
        if client.mode == Mode::Manual && kept.is_some_and(|kept| kept.info.mode == RegistrationMode::Dcr) {
            client.mode = Mode::Dcr;
        }
        Ok(client)
    }

    async fn keep(
        &self,
        registrar: Registrar<'_>,
        record: &RegisteredServer,
        discovered: &Discovered,
        client: &Client,
    ) -> Result<(), ConnectFault> {
        let mode = match client.mode {
            Mode::Manual => RegistrationMode::Manual,
            Mode::Cimd => RegistrationMode::Cimd,
            Mode::Dcr => RegistrationMode::Dcr,
        };
        let bad = |what: &str| {
            ConnectFault::new(
                bailiwick_model::Code::UpstreamProtocol,
                "bad_answer",
                format!("the authorization server's {what} cannot be kept"),
                "tell its operator",
            )
        };
        let client_id = ClientId::parse(&client.client_id).map_err(|_| bad("client id"))?;
        let issuer = EndpointUrl::stored(&discovered.issuer);
        let new = NewClient {
            issuer: &issuer,
            mode,
            client_id: &client_id,
            auth_method: StoredMethod::parse(client.proof.method().as_str()).map_err(|_| bad("method"))?,
            secret: client.proof.secret(),
            secret_expires_at: client.secret_expires_at,
            redirect_uri: Some(&client.redirect_uri),
        };
        self.store().server_clients().put(registrar, record.id, &new).await?;
        let url = |address: &str| Some(EndpointUrl::stored(address));
        let endpoints = Endpoints {
            issuer: Some(issuer.clone()),
            authorization: url(discovered.endpoints.authorization.as_str()),
            token: url(discovered.endpoints.token.as_str()),
            revocation: discovered.endpoints.revocation.as_ref().and_then(|address| url(address.as_str())),
        };
        let found = FoundOut { mode, client_id: Some(client_id), endpoints };
        Ok(self.store().servers().set_found(registrar, record.id, &found).await?)
    }

    /// The client that a server's issuer knows us as, ready to be used.
    pub(super) fn client_of(&self, record: &RegisteredServer, kept: ServerClient) -> Result<Client, ConnectFault> {
        let info = kept.info;
        let method = AuthMethod::parse(info.auth_method.as_str()).unwrap_or(AuthMethod::None);
        Ok(Client {
            client_id: info.client_id.as_str().to_owned(),
            proof: Proof::of(method, kept.secret)?,
            secret_expires_at: info.secret_expires_at,
            mode: match info.mode {
                RegistrationMode::Cimd => Mode::Cimd,
                RegistrationMode::Dcr => Mode::Dcr,
                RegistrationMode::Manual | RegistrationMode::None => Mode::Manual,
            },
            issuer: info.issuer.as_str().to_owned(),
            redirect_uri: info.redirect_uri.unwrap_or_else(|| match info.mode {
                RegistrationMode::Dcr => self.oauth().redirect_uri_of(&record.id.to_string()),
                _ => self.oauth().redirect_uri(),
            }),
        })
    }

    /// Notes that a server cannot be used any more, and why.
    pub(super) async fn note_broken(&self, record: &RegisteredServer, reason: &str) -> StoreResult<()> {
        let platform = self.platform()?;
        self.store().servers().set_status(&platform, record.id, ServerStatus::Error, Some(reason)).await
    }
}
