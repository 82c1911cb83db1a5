//! Settings, a network that keeps what is dialled, and one connection step by step.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use bailiwick_modules::Pending;
use bailiwick_modules::egress::{Egress, HttpAnswer, HttpRequest, Network, Stream, SystemNetwork};
use bailiwick_testkit::provider::Provider;
use bailiwick_testkit::time::{ManualClock, SeededRandom};
use http::{HeaderValue, Method, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::oauth::authorize::{self, Start, Started};
use crate::oauth::callback::{self, Reply};
use crate::oauth::challenge;
use crate::oauth::discover::{self, Discovered, Query};
use crate::oauth::identity::{self, Choice, Client, Registered, Wanted};
use crate::oauth::profiles::Profile;
use crate::oauth::token::{self, Desk, Exchange, Grant, Refresh};
use crate::oauth::{OAuthFault, Settings, wire};

pub(super) const PUBLIC: &str = "https://gateway.example.com";
pub(super) const CALLBACK: &str = "https://gateway.example.com/v1/mcp/oauth/callback";
pub(super) const DOCUMENT: &str = "https://gateway.example.com/oauth/client-metadata.json";

/// Loopback is real; every other address is noted and refuses.
#[derive(Default)]
pub(super) struct Recorded {
    pub(super) names: BTreeMap<String, IpAddr>,
    pub(super) dialled: Mutex<Vec<SocketAddr>>,
}

impl Network for Recorded {
    fn resolve<'a>(&'a self, host: &'a str) -> Pending<'a, io::Result<Vec<IpAddr>>> {
        let found = self.names.get(host).map(|address| vec![*address]).ok_or_else(|| io::ErrorKind::NotFound.into());
        Box::pin(std::future::ready(found))
    }

    fn connect(&self, address: SocketAddr) -> Pending<'_, io::Result<Box<dyn Stream>>> {
        self.dialled.lock().unwrap().push(address);
        if address.ip().is_loopback() {
            return Box::pin(async move { SystemNetwork.connect(address).await });
        }
        Box::pin(std::future::ready(Err(io::ErrorKind::ConnectionRefused.into())))
    }
}

pub(super) fn over(network: Arc<Recorded>) -> Settings {
    let settings = Settings::new(PUBLIC, "Bailiwick", Egress::new(network)).unwrap();
    settings.with_loopback_http().with_client_metadata_url(DOCUMENT).unwrap()
}

pub(super) fn settings() -> Settings {
    over(Arc::default())
}

pub(super) fn by_hand() -> Registered {
    Registered { client_id: "by-hand".into(), secret: Some("by-hand-secret".into()), method: None, redirect_uri: None }
}

/// One person's way to a server.
pub(super) struct Way<'w> {
    pub(super) provider: &'w Provider,
    pub(super) settings: Settings,
    pub(super) profile: Option<&'w Profile>,
    pub(super) registered: Option<Registered>,
    pub(super) random: SeededRandom,
}

impl<'w> Way<'w> {
    pub(super) fn to(provider: &'w Provider) -> Self {
        let settings = settings();
        provider.publish(DOCUMENT, identity::client_metadata(&settings).unwrap());
        Self { provider, settings, profile: None, registered: None, random: SeededRandom::new(7) }
    }

    pub(super) fn with(mut self, profile: Option<&'w Profile>, registered: Option<Registered>) -> Self {
        (self.profile, self.registered) = (profile, registered);
        self
    }

    pub(super) async fn discover(&self) -> Result<Discovered, OAuthFault> {
        let url = self.provider.url();
        let answer = self.call(None, "echo").await;
        let challenge = challenge::read(answer.headers.get_all(header::WWW_AUTHENTICATE)).unwrap();
        let query = Query { server_url: &url, challenge: challenge.as_ref(), ..Query::default() };
        discover::discover(&self.settings, query, &mut Vec::new()).await
    }

    pub(super) async fn client(&self, discovered: &Discovered) -> Result<Client, OAuthFault> {
        let choice = Choice { wanted: Wanted::Auto, registered: self.registered.as_ref(), profile: self.profile, server_id: "srv_1" };
        identity::obtain(&self.settings, discovered, choice).await
    }

    pub(super) fn start(&self, discovered: &Discovered, client: &Client, step_up: Option<&[String]>) -> Result<Started, OAuthFault> {
        let start = Start { discovered, client, configured: &[], challenged: None, step_up, profile: self.profile, extra: &[] };
        authorize::start(start, &self.random)
    }

    /// Sends the person, who agrees, and takes what comes back.
    pub(super) async fn agree(&self, discovered: &Discovered, client: &Client, started: &Started) -> Result<Grant, OAuthFault> {
        let back = Url::parse(&self.provider.approve(started.url.expose_secret())).unwrap();
        assert!(back.as_str().starts_with(&started.redirect_uri));
        let reply = Reply::read(back.query().unwrap()).unwrap();
        assert_eq!(reply.state.as_ref().unwrap().expose_secret(), started.state.expose_secret());
        let code = callback::accept(&reply, &started.issuer, started.iss_required)?;
        let exchange = Exchange {
            code: &code,
            verifier: &started.verifier,
            redirect_uri: &started.redirect_uri,
            resource: &started.resource,
            scopes: &started.scopes,
        };
        token::exchange(self.desk(discovered, client), exchange).await
    }

    pub(super) async fn refresh(&self, discovered: &Discovered, client: &Client, token: &SecretString) -> Result<Grant, OAuthFault> {
        let refresh = Refresh { refresh_token: token, resource: &discovered.resource, scopes: &[] };
        token::refresh(self.desk(discovered, client), refresh).await
    }

    pub(super) fn desk<'d>(&'d self, discovered: &'d Discovered, client: &'d Client) -> Desk<'d> {
        let (settings, token_endpoint) = (&self.settings, &discovered.endpoints.token);
        Desk { settings, token_endpoint, client, now: ManualClock::START, random: &self.random }
    }

    /// A call of a tool with a token.
    pub(super) async fn call(&self, token: Option<&SecretString>, tool: &str) -> HttpAnswer {
        let address = self.settings.address(&self.provider.url()).unwrap();
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{"payload":"x"}}}}}}"#);
        let mut request = HttpRequest::new(Method::POST, address.target.clone())
            .with(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"))
            .with_body("application/json", body);
        if let Some(token) = token {
            let value = format!("Bearer {}", token.expose_secret()).try_into().unwrap();
            request = request.with(header::AUTHORIZATION, value);
        }
        wire::send(&self.settings, &address, request, 1 << 20).await.unwrap()
    }
}
