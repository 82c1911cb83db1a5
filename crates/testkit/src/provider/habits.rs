//! How a fake provider differs from others; presets behave as governance reference 6.4 tells of the real ones.

use std::collections::BTreeMap;

use crate::upstream::Behaviour;

/// Where the server describes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourcePlaces {
    /// At the place for its path and at the root.
    Both,
    /// At the place for its path; the root is 404.
    PathOnly,
    /// At the root; the place for its path is 404.
    RootOnly,
    /// Nowhere.
    Nowhere,
}

/// Where the authorization server describes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerPlace {
    /// RFC 8414.
    OAuth,
    /// OpenID Connect: the well-known path in front of that of the issuer.
    OpenId,
    /// OpenID Connect: the well-known path behind that of the issuer.
    OpenIdBehind,
    /// Nowhere.
    Nowhere,
}

/// Where tokens are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// At an endpoint of its own.
    Own,
    /// At the token endpoint.
    AtToken,
    /// Nowhere.
    Nowhere,
}

/// When there is a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshRule {
    /// Always.
    Always,
    /// With `access_type=offline` and `prompt=consent` in the authorization request.
    OfflineParameters,
    /// With the scope `offline_access`.
    OfflineScope,
    /// Never.
    Never,
}

/// A client that a person registered there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownClient {
    /// Its id.
    pub id: String,
    /// Its secret; `None` for a public client.
    pub secret: Option<String>,
    /// Where its people may be sent back to.
    pub redirect_uris: Vec<String>,
}

/// Everything a fake provider can be told. The default registers public clients, takes documents, rotates refresh tokens and does nothing odd.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Path of the MCP endpoint.
    pub mcp_path: String,
    /// Path of the issuer; empty for none.
    pub issuer_path: String,
    /// What the issuer writes into documents and callbacks, when it is another than where it is.
    pub issuer_says: Option<String>,
    /// What the server writes as `resource`, when it is another than where it is.
    pub resource_says: Option<String>,
    /// A 401 names the server's document.
    pub challenge_names_document: bool,
    /// A 401 names these scopes.
    pub challenge_scope: Option<String>,
    /// Where the server describes itself.
    pub resource_places: ResourcePlaces,
    /// Where the authorization server does.
    pub issuer_place: IssuerPlace,
    /// Members put over the issuer's document; null removes one.
    pub issuer_members: BTreeMap<String, serde_json::Value>,
    /// There is a registration endpoint.
    pub registers: bool,
    /// Registration gives these secrets, whatever was asked for: the seconds since the epoch when they end.
    pub registers_with_secret_until: Option<u64>,
    /// The address of a document is taken as client id.
    pub takes_documents: bool,
    /// Only clients that were registered by request get tokens.
    pub dcr_only: bool,
    /// Clients that a person registered.
    pub known_clients: Vec<KnownClient>,
    /// An authorization request with a scope is rejected.
    pub rejects_scope: bool,
    /// `scopes_supported` of the server.
    pub scopes: Option<Vec<String>>,
    /// `scopes_supported` of the authorization server.
    pub issuer_scopes: Option<Vec<String>>,
    /// Granted when none are asked for.
    pub default_scopes: Vec<String>,
    /// Granted scopes are told with commas.
    pub commas: bool,
    /// How `token_type` is spelled.
    pub token_type: String,
    /// The scheme has to be spelled `Bearer`.
    pub exact_scheme: bool,
    /// `token_endpoint_auth_methods_supported`.
    pub auth_methods: Option<Vec<String>>,
    /// Where tokens are revoked.
    pub revocation: Revocation,
    /// When there is a refresh token.
    pub refresh: RefreshRule,
    /// A refresh gives a new refresh token, and retires the old one.
    pub rotates: bool,
    /// How often a retired refresh token may come again before its family is revoked.
    pub reuse_grace: u32,
    /// Errors of the token endpoint come with status 200, under the provider's own words.
    pub refuses_with_ok: bool,
    /// `iss` stands in callbacks, and the document promises it.
    pub tells_iss: bool,
    /// Seconds that an access token is said to live.
    pub expires_in: u64,
    /// Tools that need a scope beyond those of the default.
    pub tool_scopes: BTreeMap<String, String>,
    /// Codes, tokens and secrets are random values that this number decides, with every sign that a token may hold.
    pub random_values: Option<u64>,
    /// Every credential is said back wherever a text may stand: in what the MCP server lists, answers, tells and asks, in challenges, in
    /// refusals, in scopes. The MCP server then has tools for it, each named `repeat_` and more.
    pub repeats_credentials: bool,
    /// What the MCP server does.
    pub behaviour: Behaviour,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            mcp_path: "/mcp".into(),
            issuer_path: String::new(),
            issuer_says: None,
            resource_says: None,
            challenge_names_document: true,
            challenge_scope: None,
            resource_places: ResourcePlaces::Both,
            issuer_place: IssuerPlace::OAuth,
            issuer_members: BTreeMap::new(),
            registers: true,
            registers_with_secret_until: None,
            takes_documents: true,
            dcr_only: false,
            known_clients: Vec::new(),
            rejects_scope: false,
            scopes: Some(words("read write")),
            issuer_scopes: None,
            default_scopes: words("read"),
            commas: false,
            token_type: "Bearer".into(),
            exact_scheme: false,
            auth_methods: Some(words("none client_secret_basic client_secret_post")),
            revocation: Revocation::Own,
            refresh: RefreshRule::Always,
            rotates: true,
            reuse_grace: 0,
            refuses_with_ok: false,
            tells_iss: true,
            expires_in: 3600,
            tool_scopes: [("write_note".to_owned(), "admin".to_owned())].into(),
            random_values: None,
            repeats_credentials: false,
            behaviour: Behaviour::default(),
        }
    }
}

impl Habits {
    /// GitHub: no registration, a path in the issuer, errors with status 200, scopes with commas, no `iss`.
    #[must_use]
    pub fn github(redirect_uri: &str) -> Self {
        Self {
            mcp_path: "/mcp/".into(),
            issuer_path: "/login/oauth".into(),
            registers: false,
            takes_documents: false,
            known_clients: vec![confidential(redirect_uri)],
            scopes: Some(words("repo read:user")),
            default_scopes: words("repo"),
            commas: true,
            token_type: "bearer".into(),
            auth_methods: None,
            refuses_with_ok: true,
            tells_iss: false,
            revocation: Revocation::Nowhere,
            ..Self::default()
        }
    }

    /// Atlassian: a scope in the authorization request is rejected, the document stands at the place for the issuer's path only, tokens are for
    /// registered clients only.
    #[must_use]
    pub fn atlassian() -> Self {
        Self {
            mcp_path: "/v2/mcp".into(),
            issuer_path: "/authv2".into(),
            dcr_only: true,
            rejects_scope: true,
            scopes: None,
            default_scopes: words("read:jira-work"),
            tells_iss: false,
            ..Self::default()
        }
    }

    /// Linear: `bearer` in answers, `Bearer` in requests, secrets that end after a day for those who are not public.
    #[must_use]
    pub fn linear() -> Self {
        Self { token_type: "bearer".into(), exact_scheme: true, ..Self::default() }
    }

    /// Notion: no list of scopes, one proof of the client and no more, revocation at the token endpoint.
    #[must_use]
    pub fn notion() -> Self {
        Self { scopes: None, default_scopes: words("workspace"), revocation: Revocation::AtToken, tells_iss: false, ..Self::default() }
    }

    /// Sentry: the server's document stands at the place for its path only; no documents as clients.
    #[must_use]
    pub fn sentry() -> Self {
        Self {
            resource_places: ResourcePlaces::PathOnly,
            challenge_names_document: false,
            takes_documents: false,
            scopes: Some(words("org:read project:write team:write event:write")),
            default_scopes: words("org:read"),
            tells_iss: false,
            ..Self::default()
        }
    }

    /// Slack: no registration, a secret in the form, scopes with commas, errors with status 200.
    #[must_use]
    pub fn slack(redirect_uri: &str) -> Self {
        Self {
            registers: false,
            takes_documents: false,
            known_clients: vec![confidential(redirect_uri)],
            scopes: Some(words("search:read channels:history")),
            default_scopes: words("search:read"),
            commas: true,
            auth_methods: Some(words("client_secret_post")),
            refuses_with_ok: true,
            tells_iss: false,
            ..Self::default()
        }
    }

    /// Google: no registration, scopes that are addresses, a refresh token only when it is asked for in its own way, which does not rotate.
    #[must_use]
    pub fn google(redirect_uri: &str) -> Self {
        Self {
            registers: false,
            takes_documents: false,
            known_clients: vec![confidential(redirect_uri)],
            issuer_place: IssuerPlace::OpenId,
            scopes: Some(words("https://mail.example/auth/gmail.readonly")),
            default_scopes: words("https://mail.example/auth/gmail.readonly"),
            auth_methods: Some(words("client_secret_post client_secret_basic")),
            refresh: RefreshRule::OfflineParameters,
            rotates: false,
            tells_iss: false,
            ..Self::default()
        }
    }
}

/// The client that presets without registration know.
fn confidential(redirect_uri: &str) -> KnownClient {
    KnownClient { id: "by-hand".into(), secret: Some("by-hand-secret".into()), redirect_uris: vec![redirect_uri.into()] }
}

/// A list from one text.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}
