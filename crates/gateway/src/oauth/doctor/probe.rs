//! What can be asked without a person: the server, without a token, and the authorization page.

use bailiwick_mcp::Json;
use bailiwick_modules::egress::{HttpAnswer, HttpRequest};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use secrecy::ExposeSecret as _;
use url::Url;

use super::{Line, Verdict};
use crate::oauth::address::Address;
use crate::oauth::authorize::Started;
use crate::oauth::challenge::{self, Challenge, Malformed};
use crate::oauth::discover::Discovered;
use crate::oauth::fault::{self, OAuthFault, Step};
use crate::oauth::identity::{Client, Mode};
use crate::oauth::{FaultKind, Settings, wire};

/// Largest answer that is read; its content does not matter.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Where the older era names its sessions.
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const REVISION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// The mildest request that nearly every server with a token answers with a challenge, whatever its revision.
const OPEN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bailiwick","version":"1"}}}"#;
const OPENED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
/// The mildest request of an open session.
const LIST: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
/// The same for servers that know no sessions.
const LIST_MODERN: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"bailiwick","version":"1"}}}}"#;

/// What a server says to a request without a token.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) status: StatusCode,
    pub(crate) challenge: Option<Challenge>,
    malformed: Option<Malformed>,
}

impl Probe {
    /// Whether the server wants no token.
    pub(crate) fn is_open(&self) -> bool {
        self.status.is_success()
    }

    pub(super) fn words(&self) -> (Verdict, String, &'static str) {
        let status = self.status.as_u16();
        match (&self.challenge, self.malformed) {
            _ if self.is_open() => (Verdict::Ok, "the server answers without a token; nothing is to be authorized".to_owned(), ""),
            (_, Some(malformed)) => {
                (Verdict::Warn, format!("{malformed}, and is not used"), "the operator of the server has to correct the header")
            }
            (Some(challenge), None) if self.status == StatusCode::UNAUTHORIZED => {
                let named = if challenge.resource_metadata.is_some() { "and says where it describes itself" } else { "and no more" };
                (Verdict::Ok, format!("the server wants a bearer token {named}"), "")
            }
            (None, None) if self.status == StatusCode::UNAUTHORIZED => {
                (Verdict::Warn, "the server answers 401 without saying what it wants".to_owned(), "")
            }
            _ => (Verdict::Warn, format!("the server answers status {status} instead of 401"), "check `server_url`"),
        }
    }
}

/// Asks the server without a token.
///
/// # Errors
/// [`OAuthFault`] when nobody answers, or the address may not be dialled.
pub(crate) async fn probe(settings: &Settings, server_url: &str) -> Result<Probe, OAuthFault> {
    let server = settings.address(server_url).map_err(|rule| {
        OAuthFault::new(FaultKind::BadInput, Step::Challenge, format!("the address of the server {rule}"), "correct `server_url`")
    })?;
    let door = Door { settings, server: &server };
    let first = door.post(OPEN, &[]).await?;
    let told = match first.status {
        StatusCode::UNAUTHORIZED => first,
        status if status.is_success() => door.inside(&first).await.unwrap_or(first),
        status if status.is_client_error() => door.modern().await.unwrap_or(first),
        _ => first,
    };
    let (challenge, malformed) = match challenge::read(told.headers.get_all(header::WWW_AUTHENTICATE)) {
        Ok(challenge) => (challenge, None),
        Err(malformed) => (None, Some(malformed)),
    };
    Ok(Probe { status: told.status, challenge, malformed })
}

/// A server before which we stand without a token.
struct Door<'d> {
    settings: &'d Settings,
    server: &'d Address,
}

impl Door<'_> {
    async fn post(&self, body: &'static str, headers: &[(HeaderName, HeaderValue)]) -> Result<HttpAnswer, OAuthFault> {
        let request = HttpRequest::new(Method::POST, self.server.target.clone())
            .with(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"))
            .with_body("application/json", body);
        let request = headers.iter().fold(request, |request, (name, value)| request.with(name.clone(), value.clone()));
        let answer = wire::send(self.settings, self.server, request, ANSWER_BYTES_MAX).await;
        answer.map_err(|fault| OAuthFault::of_http(Step::Challenge, &self.server.shown(), &fault))
    }

    /// A server of the older era let us open a session. Some ask for a token only afterwards: then that answer counts.
    async fn inside(&self, opened: &HttpAnswer) -> Option<HttpAnswer> {
        let session = opened.headers.get(SESSION).map(|session| (SESSION, session.clone()));
        let headers: Vec<_> = session.clone().into_iter().chain(revision(opened).map(|revision| (REVISION, revision))).collect();
        // Whether it takes the notification does not matter: the list is asked for all the same.
        let _ = self.post(OPENED, &headers).await;
        let listed = self.post(LIST, &headers).await.ok();
        if session.is_some() {
            // The session was made for nothing.
            let end = HttpRequest::new(Method::DELETE, self.server.target.clone());
            let end = headers.into_iter().fold(end, |end, (name, value)| end.with(name, value));
            let _ = wire::send(self.settings, self.server, end, ANSWER_BYTES_MAX).await;
        }
        listed.filter(|listed| listed.status == StatusCode::UNAUTHORIZED)
    }

    /// A server that knows no `initialize` may want a token for what it knows, or answer without one.
    async fn modern(&self) -> Option<HttpAnswer> {
        let headers = [(REVISION, HeaderValue::from_static("2026-07-28")), (METHOD, HeaderValue::from_static("tools/list"))];
        let listed = self.post(LIST_MODERN, &headers).await.ok()?;
        (listed.status == StatusCode::UNAUTHORIZED || listed.status.is_success()).then_some(listed)
    }
}

/// The revision that a server chose: in an answer as JSON, or as the first event of a stream.
fn revision(opened: &HttpAnswer) -> Option<HeaderValue> {
    let event = opened.body.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"data:"));
    let body = event.map_or_else(|| opened.body.clone(), |event| opened.body.slice_ref(event));
    let answer = Json::check(body, &wire::ANSWER_LIMITS).ok()?;
    HeaderValue::from_str(&answer.member("result")?.text_of("protocolVersion")?).ok()
}

/// What the authorization page says before anybody signs in.
pub(super) struct Page {
    pub(super) line: Line,
    pub(super) rejects_scope: bool,
}

/// Asks for the page; follows nothing.
pub(super) async fn page(settings: &Settings, discovered: &Discovered, started: &Started, client: &Client) -> Page {
    let line = |verdict, text: String, remedy: &str| Line { step: Step::Authorization, verdict, text, remedy: remedy.to_owned() };
    let plain = |line| Page { line, rejects_scope: false };
    let endpoint = &discovered.endpoints.authorization;
    let target = Url::parse(started.url.expose_secret()).map(|url| format!("{}?{}", url.path(), url.query().unwrap_or_default()));
    let request = HttpRequest::new(Method::GET, target.unwrap_or_default());
    let answer = match wire::send(settings, endpoint, request, ANSWER_BYTES_MAX).await {
        Ok(answer) => answer,
        Err(fault) => return plain(line(Verdict::Warn, format!("the page could not be read: {}", fault.detail), "open it in a browser")),
    };
    if let Some(code) = error_in(answer.headers.get(header::LOCATION), &started.redirect_uri) {
        let rejects_scope = code == "invalid_scope";
        let remedy = if rejects_scope { "correct `scopes`, or send none" } else { "look at what the provider says about it" };
        return Page { line: line(Verdict::Fail, format!("the page refuses at once with `{code}`"), remedy), rejects_scope };
    }
    if answer.status.is_success() || answer.status.is_redirection() {
        return plain(line(Verdict::Ok, "the page opens".to_owned(), ""));
    }
    let status = answer.status.as_u16();
    if client.mode == Mode::Dcr && client.client_id == "client-to-be-registered" {
        let text = format!("the page answers status {status} to a client that is not registered, as it should");
        return plain(line(Verdict::Ok, text, ""));
    }
    plain(line(Verdict::Fail, format!("the page answers status {status}"), "check the client, its callback and the scopes"))
}

/// The error in a redirect back to us.
fn error_in(location: Option<&HeaderValue>, redirect_uri: &str) -> Option<String> {
    let to = location?.to_str().ok().filter(|to| to.starts_with(redirect_uri))?;
    let url = Url::parse(to).ok()?;
    url.query_pairs().find(|(name, _)| name == "error").map(|(_, code)| fault::code(&code))
}
