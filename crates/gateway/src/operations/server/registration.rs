//! A registration as somebody sent it, checked part by part: every rule that is broken is told at once, with its place.

use std::collections::BTreeMap;

use bailiwick_model::ServerName;
use bailiwick_model::registered::{
    AllowedTools, AuthMethod, ClientId, EndpointUrl, Endpoints, ExtraAuthParams, NewServer, NewToolsPolicy, RegistrationChoice, Scopes,
    ServerEra, ServerUrl,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::operations::fault::{Done, Fault, Wrong};

/// Longest secret of a client.
const CLIENT_SECRET_BYTES_MAX: usize = 4 * 1024;

/// What is given to register a server (reference, governance 5.2).
#[derive(Debug)]
pub struct Registration {
    /// How we should become known to its issuer.
    pub choice: RegistrationChoice,
    /// Where it is.
    pub server_url: String,
    /// What agents and people will call it.
    pub display_name: String,
    /// Its issuer.
    pub oauth_issuer_url: Option<String>,
    /// Where people consent.
    pub authorization_endpoint: Option<String>,
    /// Where codes become tokens.
    pub token_endpoint: Option<String>,
    /// Where tokens are given back.
    pub revocation_endpoint: Option<String>,
    /// What the issuer calls us.
    pub client_id: Option<String>,
    /// With what we prove it.
    pub client_secret: Option<SecretString>,
    /// How we prove it, when it is not to be found out.
    pub auth_method: Option<AuthMethod>,
    /// Which scopes to ask for.
    pub scopes: Vec<String>,
    /// What to add to authorization requests.
    pub extra_auth_params: BTreeMap<String, String>,
    /// Which tools are exposed; `None`: not configured.
    pub allowed_tools: Option<BTreeMap<String, bool>>,
    /// What becomes of tools that appear later.
    pub new_tools_policy: NewToolsPolicy,
    /// Which revisions to speak.
    pub era: ServerEra,
}

/// What is wrong so far.
#[derive(Default)]
struct Wrongs(Vec<Wrong>);

impl Wrongs {
    fn add(&mut self, place: &str, rule: impl Into<String>) {
        self.0.push(Wrong { place: place.to_owned(), rule: rule.into() });
    }

    /// The value, or a note of the rule that it breaks.
    fn take<T>(&mut self, place: &str, read: Result<T, bailiwick_model::id::InvalidId>) -> Option<T> {
        read.map_err(|fault| self.add(place, fault.rule())).ok()
    }

    fn endpoint(&mut self, place: &str, given: Option<&String>, allow_http: bool) -> Option<EndpointUrl> {
        let given = given?;
        let read = if place == ISSUER { EndpointUrl::parse_issuer(given, allow_http) } else { EndpointUrl::parse(given, allow_http) };
        self.take(place, read)
    }
}

const ISSUER: &str = "/oauth_issuer_url";

impl Registration {
    /// The checked form, and the client secret. `allow_http`: plain http to this machine is accepted.
    ///
    /// # Errors
    /// `invalid_argument` with every place.
    pub(super) fn check(self, allow_http: bool) -> Done<(NewServer, Option<SecretString>)> {
        let mut wrongs = Wrongs::default();
        self.check_client(&mut wrongs);
        let endpoints = Endpoints {
            issuer: wrongs.endpoint(ISSUER, self.oauth_issuer_url.as_ref(), allow_http),
            authorization: wrongs.endpoint("/authorization_endpoint", self.authorization_endpoint.as_ref(), allow_http),
            token: wrongs.endpoint("/token_endpoint", self.token_endpoint.as_ref(), allow_http),
            revocation: wrongs.endpoint("/revocation_endpoint", self.revocation_endpoint.as_ref(), allow_http),
        };
        let client_id = self.client_id.as_deref().and_then(|id| wrongs.take("/client_id", ClientId::parse(id)));
        let scopes = wrongs.take("/scopes", Scopes::new(&self.scopes));
        let params = wrongs.take("/extra_auth_params", ExtraAuthParams::new(self.extra_auth_params));
        let tools = self.allowed_tools.map(|tools| wrongs.take("/allowed_tools", AllowedTools::new(tools)));
        let name = wrongs.take("/display_name", ServerName::parse(&self.display_name));
        let url = wrongs.take("/server_url", ServerUrl::parse(&self.server_url, allow_http));
        let (Some(scopes), Some(extra_auth_params), Some(display_name), Some(server_url), true) =
            (scopes, params, name, url, wrongs.0.is_empty())
        else {
            return Err(refused(wrongs.0));
        };
        let new = NewServer {
            display_name,
            server_url,
            choice: self.choice,
            endpoints,
            client_id,
            auth_method: self.auth_method,
            scopes,
            extra_auth_params,
            era: self.era,
            allowed_tools: tools.flatten(),
            new_tools_policy: self.new_tools_policy,
        };
        Ok((new, self.client_secret))
    }

    /// What belongs to a client that somebody registered by hand is wanted for `manual`, and would go unheard otherwise.
    fn check_client(&self, wrongs: &mut Wrongs) {
        let manual = self.choice == RegistrationChoice::Manual;
        let needed = [
            (ISSUER, self.oauth_issuer_url.is_some()),
            ("/authorization_endpoint", self.authorization_endpoint.is_some()),
            ("/token_endpoint", self.token_endpoint.is_some()),
            ("/client_id", self.client_id.is_some()),
        ];
        for (place, _) in needed.iter().filter(|(_, given)| manual && !given) {
            wrongs.add(place, "the registration mode `manual` needs it");
        }
        if !manual {
            for (place, _) in [("/client_id", self.client_id.is_some()), ("/client_secret", self.client_secret.is_some())]
                .iter()
                .filter(|(_, given)| *given)
            {
                wrongs.add(place, "only with the registration mode `manual`");
            }
        }
        let secret = self.client_secret.as_ref().map(|secret| secret.expose_secret().len());
        if secret.is_some_and(|bytes| !(1..=CLIENT_SECRET_BYTES_MAX).contains(&bytes)) {
            wrongs.add("/client_secret", "1 to 4096 bytes");
        }
        let unproven = self.auth_method.is_some_and(|method| method != AuthMethod::None) && self.client_secret.is_none();
        if manual && unproven {
            wrongs.add("/token_endpoint_auth_method", "this method needs a `client_secret`");
        }
        if manual && self.auth_method == Some(AuthMethod::None) && self.client_secret.is_some() {
            wrongs.add("/client_secret", "not with the method `none`");
        }
    }
}

/// Every place at once.
pub(super) fn refused(wrongs: Vec<Wrong>) -> Fault {
    let lines: Vec<String> = wrongs.iter().map(|wrong| format!("`{}`: {}", wrong.place, wrong.rule)).collect();
    Fault { errors: wrongs, message: lines.join(" ; ").into(), ..Fault::invalid("", "") }
}
