//! Documents and callbacks that mean harm: each row has one thing wrong, and nothing but the fake itself is ever dialled.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_testkit::service::{FakeService, Received, Reply};
use bailiwick_testkit::time::SeededRandom;
use http::HeaderValue;
use serde_json::{Value, json};

use super::kit::{CALLBACK, DOCUMENT, Recorded, over};
use crate::oauth::authorize::{self, Start};
use crate::oauth::callback::{self, Reply as Back};
use crate::oauth::discover::{self, Discovered, Query};
use crate::oauth::identity::{Client, Mode, Proof};
use crate::oauth::{OAuthFault, Settings, challenge};

/// Distinct ideas that the table of documents must have at least.
const ROWS_MIN: usize = 80;
/// Requests that one discovery may cost, redirects included.
const REQUESTS_MAX: usize = 20;
/// Stands in every document, and in no message.
const CANARY: &str = "canary-7f3a";

const PATH: &str = "/.well-known/oauth-protected-resource/mcp";
const ROOT: &str = "/.well-known/oauth-protected-resource";
const ISSUER: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// One change to a world in which everything is right. `{o}` is the origin.
#[derive(Clone, Debug)]
enum Edit {
    /// A member of a document; null removes it.
    Set(&'static str, &'static str, Value),
    /// Another document or status.
    Put(&'static str, u16, String),
    /// A redirect.
    Lead(&'static str, String),
    /// The challenge of the server.
    Challenge(&'static str),
}

use Edit::{Challenge, Lead, Put, Set};

struct Row {
    name: &'static str,
    edits: Vec<Edit>,
    /// `ok`, or the word of the fault.
    expects: &'static str,
}

fn row(name: &'static str, edit: Edit, expects: &'static str) -> Row {
    Row { name, edits: vec![edit], expects }
}

fn rows() -> Vec<Row> {
    [resources(), issuers_named(), bodies(), challenges(), issuer_documents(), endpoints(), pkce(), several()]
        .into_iter()
        .flatten()
        .collect()
}

fn resources() -> Vec<Row> {
    let set = |name, value: Value, expects| row(name, Set(PATH, "resource", value), expects);
    vec![
        set("nothing wrong", json!("{o}/mcp"), "ok"),
        set("another host", json!("https://other.example.com/mcp"), "resource_mismatch"),
        set("another port", json!("http://127.0.0.1:1/mcp"), "resource_mismatch"),
        set("another path", json!("{o}/other"), "resource_mismatch"),
        set("half a segment", json!("{o}/mc"), "resource_mismatch"),
        set("a deeper path", json!("{o}/mcp/deeper"), "resource_mismatch"),
        set("dots that lead elsewhere", json!("{o}/mcp/../other"), "resource_mismatch"),
        set("no resource", Value::Null, "resource_mismatch"),
        set("a number as resource", json!(7), "resource_mismatch"),
        set("a list as resource", json!(["{o}/mcp"]), "resource_mismatch"),
        set("an empty resource", json!(""), "resource_mismatch"),
        set("a user in the resource", json!("http://me@127.0.0.1/mcp"), "resource_mismatch"),
        set("a fragment in the resource", json!("{o}/mcp#x"), "resource_mismatch"),
        set("a query in the resource", json!("{o}/mcp?x=1"), "resource_mismatch"),
        set("a resource that is no address", json!("mcp"), "resource_mismatch"),
        set("the origin as resource", json!("{o}"), "ok"),
        set("a slash behind the resource", json!("{o}/mcp/"), "ok"),
    ]
}

fn issuers_named() -> Vec<Row> {
    let set = |name, value: Value, expects| row(name, Set(PATH, "authorization_servers", value), expects);
    let one = |name, text: &str| set(name, json!([text]), "address_refused");
    vec![
        set("no authorization servers", Value::Null, "bad_answer"),
        set("an empty list of them", json!([]), "bad_answer"),
        set("a text in place of the list", json!("{o}"), "bad_answer"),
        set("numbers in the list", json!([7]), "bad_answer"),
        one("a file", "file:///etc/passwd"),
        one("a script", "javascript:alert(1)"),
        one("another scheme", "gopher://evil.example.com/"),
        one("no scheme", "//evil.example.com"),
        one("an empty issuer", ""),
        one("plain HTTP elsewhere", "http://evil.example.com"),
        one("a password in the issuer", "https://me:pw@evil.example.com"),
        one("a private address", "https://10.0.0.5"),
        one("the metadata address", "https://169.254.169.254"),
        one("loopback over TLS", "https://[::1]"),
        one("loopback as a number", "https://2130706433"),
        one("an IPv4 address in IPv6", "https://[::ffff:10.0.0.5]"),
        one("a name that leads inside", "https://inside.example.com"),
        one("a name that leads to metadata", "https://metadata.example.com"),
        one("the name of metadata", "https://metadata.google.internal"),
        one("localhost over TLS", "https://localhost"),
        one("a name below localhost", "https://a.localhost"),
        one("a name of one label", "https://intranet"),
        one("a backslash", "https://evil.example.com\\@good.example.com"),
        one("a space", "https://evil.example.com /"),
        one("a query in the issuer", "{o}?x=1"),
        one("a fragment in the issuer", "{o}#x"),
        one("port nought", "https://evil.example.com:0"),
        set("an issuer without end", json!([format!("https://evil.example.com/{}", "a".repeat(2_100))]), "bad_answer"),
        set("a long issuer", json!([format!("https://evil.example.com/{}", "a".repeat(2_020))]), "unreachable"),
    ]
}

fn bodies() -> Vec<Row> {
    let put = |name, status, body: String, expects| row(name, Put(PATH, status, body), expects);
    let lead = |name, to: &str, expects| row(name, Lead(PATH, to.to_owned()), expects);
    let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
    vec![
        // Without a usable document of the server, its own origin is what is left, and that one is in order here.
        put("a page in place of the document", 200, format!("<html>{CANARY}</html>"), "ok"),
        put("a member twice", 200, r#"{"resource":"{o}/mcp","resource":"https://evil.example.com"}"#.into(), "ok"),
        put("a deep document", 200, deep, "ok"),
        put("a list as document", 200, format!("[\"{CANARY}\"]"), "ok"),
        put("a huge document", 200, format!("{{\"a\":\"{}\"}}", "a".repeat(70_000)), "bad_answer"),
        put("an outage", 500, CANARY.into(), "not_now"),
        put("too many requests", 429, CANARY.into(), "not_now"),
        put("forbidden", 403, CANARY.into(), "ok"),
        lead("a redirect to another origin", "https://evil.example.com/doc", "ok"),
        lead("a redirect inside", "https://10.0.0.5/doc", "ok"),
        lead("a redirect to metadata", "http://169.254.169.254/latest", "ok"),
        lead("a redirect to a file", "file:///etc/passwd", "ok"),
        // The same path at home holds what would be refused, if the host were passed over.
        Row {
            name: "a redirect whose path is at home",
            edits: vec![
                Lead(PATH, "https://evil.example.com/trap".into()),
                Put("/trap", 200, r#"{"resource":"https://evil.example.com","authorization_servers":["{o}"]}"#.into()),
            ],
            expects: "ok",
        },
        Row {
            name: "a redirect at home to a trap",
            edits: vec![
                Lead(PATH, "/trap".into()),
                Put("/trap", 200, r#"{"resource":"https://evil.example.com","authorization_servers":["{o}"]}"#.into()),
            ],
            expects: "resource_mismatch",
        },
        lead("a redirect to itself", PATH, "ok"),
        lead("a redirect at home", ROOT, "ok"),
    ]
}

fn challenges() -> Vec<Row> {
    let at = |name, value, expects| row(name, Challenge(value), expects);
    let foreign = Put("/elsewhere", 200, r#"{"resource":"https://other.example.com","authorization_servers":["{o}"]}"#.into());
    let elsewhere = Challenge("Bearer resource_metadata=\"{o}/elsewhere\"");
    vec![
        at("a challenge with a file", "Bearer resource_metadata=\"file:///etc/passwd\"", "address_refused"),
        at("a challenge that leads inside", "Bearer resource_metadata=\"https://10.0.0.5/x\"", "address_refused"),
        at("a challenge over plain HTTP", "Bearer resource_metadata=\"http://evil.example.com/x\"", "address_refused"),
        at("a challenge with an empty address", "Bearer resource_metadata=\"\"", "address_refused"),
        at("a challenge to nothing", "Bearer resource_metadata=\"{o}/nothing\"", "ok"),
        Row { name: "a challenge to another's document", edits: vec![foreign, elsewhere], expects: "resource_mismatch" },
    ]
}

fn issuer_documents() -> Vec<Row> {
    let set = |name, value: Value| row(name, Set(ISSUER, "issuer", value), "issuer_mismatch");
    vec![
        set("another issuer", json!("https://evil.example.com")),
        set("a slash behind the issuer", json!("{o}/")),
        set("an issuer in capitals", json!("HTTP://127.0.0.1")),
        set("no issuer", Value::Null),
        set("a number as issuer", json!(7)),
        set("a list as issuer", json!(["{o}"])),
        set("a blank behind the issuer", json!("{o} ")),
        row("an outage of the issuer", Put(ISSUER, 503, CANARY.into()), "not_now"),
        row("a huge document of the issuer", Put(ISSUER, 200, format!("{{\"a\":\"{}\"}}", "a".repeat(70_000))), "bad_answer"),
        row("a page in place of the issuer's document", Put(ISSUER, 200, format!("<html>{CANARY}</html>")), "metadata_missing"),
        row("no document of the issuer", Put(ISSUER, 404, CANARY.into()), "metadata_missing"),
        row("an issuer that leads elsewhere", Lead(ISSUER, "https://evil.example.com/doc".into()), "metadata_missing"),
    ]
}

fn endpoints() -> Vec<Row> {
    let set = |name, member, value: Value, expects| row(name, Set(ISSUER, member, value), expects);
    let (authorization, token) = ("authorization_endpoint", "token_endpoint");
    vec![
        set("no authorization endpoint", authorization, Value::Null, "bad_answer"),
        set("no token endpoint", token, Value::Null, "bad_answer"),
        set("a script as page", authorization, json!("javascript:alert(1)"), "address_refused"),
        set("data as page", authorization, json!("data:text/html,x"), "address_refused"),
        set("a plain page elsewhere", authorization, json!("http://evil.example.com/a"), "address_refused"),
        set("a number as page", authorization, json!(7), "address_refused"),
        set("a fragment on the page", authorization, json!("{o}/authorize#x"), "address_refused"),
        set("a password on the page", authorization, json!("https://me:pw@evil.example.com/a"), "address_refused"),
        set("a file for tokens", token, json!("file:///etc/passwd"), "address_refused"),
        set("plain HTTP for tokens", token, json!("http://evil.example.com/t"), "address_refused"),
        set("localhost for tokens", token, json!("https://localhost/t"), "address_refused"),
        set("a file for registration", "registration_endpoint", json!("file:///etc/passwd"), "address_refused"),
        set("a list for registration", "registration_endpoint", json!(["{o}/register"]), "address_refused"),
        set("a password for revocation", "revocation_endpoint", json!("https://a:b@evil.example.com/r"), "address_refused"),
        set("a page that brings a callback", authorization, json!("{o}/a?redirect_uri=https://evil.example.com"), "bad_answer"),
        set("a page that brings a state", authorization, json!("{o}/a?state=x"), "bad_answer"),
        set("a page that brings a client", authorization, json!("{o}/a?Client_ID=x"), "bad_answer"),
        set("a page that brings a challenge", authorization, json!("{o}/a?tenant=a&code%5Fchallenge=x"), "bad_answer"),
        set("a page with a tenant", authorization, json!("{o}/a?tenant=a"), "ok"),
    ]
}

fn pkce() -> Vec<Row> {
    let set = |name, value: Value| row(name, Set(ISSUER, "code_challenge_methods_supported", value), "pkce_missing");
    vec![
        set("no word about PKCE", Value::Null),
        set("plain only", json!(["plain"])),
        set("no method at all", json!([])),
        set("a text in place of the methods", json!("S256")),
        set("a method in small letters", json!(["s256"])),
        set("a number among the methods", json!(["S256", 7])),
        set("an object in place of the methods", json!({"S256": true})),
    ]
}

fn several() -> Vec<Row> {
    let named = |all: Value| Set(PATH, "authorization_servers", all);
    let many: Vec<String> = (0..100).map(|n| format!("{{o}}/none{n}")).collect();
    let right = r#"{"issuer":"{o}","authorization_endpoint":"{o}/a","token_endpoint":"{o}/t","code_challenge_methods_supported":["S256"]}"#;
    vec![
        row("the first has no document", named(json!(["{o}/none", "{o}"])), "ok"),
        Row {
            name: "the first is about another",
            edits: vec![named(json!(["{o}/x", "{o}"])), Put("/.well-known/oauth-authorization-server/x", 200, right.into())],
            expects: "issuer_mismatch",
        },
        row("the first leads inside", named(json!(["https://10.0.0.5", "{o}"])), "address_refused"),
        row("a hundred without documents", named(json!(many)), "metadata_missing"),
        Row {
            name: "wrong at the first place, right at the second",
            edits: vec![Set(ISSUER, "issuer", json!("https://evil.example.com")), Put(OPENID, 200, right.into())],
            expects: "ok",
        },
    ]
}

/// The world of a row: what stands where.
fn world(edits: &[Edit]) -> (BTreeMap<String, (u16, String)>, Option<&'static str>) {
    let mut documents: BTreeMap<&str, Value> = BTreeMap::new();
    documents.insert(PATH, json!({"resource": "{o}/mcp", "authorization_servers": ["{o}"], "note": CANARY}));
    documents.insert(
        ISSUER,
        json!({
            "issuer": "{o}", "authorization_endpoint": "{o}/authorize", "token_endpoint": "{o}/token",
            "code_challenge_methods_supported": ["S256"], "note": CANARY,
        }),
    );
    let (mut other, mut challenge) = (BTreeMap::new(), None);
    for edit in edits {
        match edit {
            Set(place, member, value) => {
                let document = documents.get_mut(place).unwrap().as_object_mut().unwrap();
                document.insert((*member).to_owned(), value.clone());
                document.retain(|_, value| !value.is_null());
            }
            Put(place, status, body) => _ = other.insert((*place).to_owned(), (*status, body.clone())),
            Lead(place, to) => _ = other.insert((*place).to_owned(), (302, to.clone())),
            Challenge(text) => challenge = Some(*text),
        }
    }
    let documents = documents.into_iter().map(|(place, document)| (place.to_owned(), (200, document.to_string())));
    (documents.chain(other).collect(), challenge)
}

async fn serve(places: BTreeMap<String, (u16, String)>) -> FakeService {
    FakeService::start(move |asked: &Received| {
        let host = asked.header("host").unwrap_or_default();
        let Some((status, body)) = places.get(&asked.target) else { return Reply::new(404, CANARY) };
        let body = body.replace("{o}", &format!("http://{host}"));
        if *status == 302 { Reply::new(302, CANARY).with("location", body) } else { Reply::new(*status, body) }
    })
    .await
}

fn network() -> Arc<Recorded> {
    let names = [("inside.example.com", "10.0.0.5"), ("metadata.example.com", "169.254.169.254")];
    let names = names.into_iter().map(|(name, address)| (name.to_owned(), address.parse().unwrap())).collect();
    Arc::new(Recorded { names, ..Recorded::default() })
}

fn client(discovered: &Discovered) -> Client {
    Client {
        client_id: DOCUMENT.into(),
        proof: Proof::None,
        secret_expires_at: None,
        mode: Mode::Cimd,
        issuer: discovered.issuer.clone(),
        redirect_uri: CALLBACK.into(),
    }
}

/// Discovery, and the address for a person.
async fn go(settings: &Settings, origin: &str, header: Option<&str>) -> Result<Discovered, OAuthFault> {
    let header = header.map(|text| HeaderValue::try_from(text.replace("{o}", origin)).unwrap());
    let challenge = challenge::read(&header).unwrap();
    let server_url = format!("{origin}/mcp");
    let query = Query { server_url: &server_url, challenge: challenge.as_ref(), ..Query::default() };
    let mut findings = Vec::new();
    let found = discover::discover(settings, query, &mut findings).await;
    assert!(!format!("{findings:?}").contains(CANARY), "{findings:?}");
    let discovered = found?;
    let client = client(&discovered);
    let start =
        Start { discovered: &discovered, client: &client, configured: &[], challenged: None, step_up: None, profile: None, extra: &[] };
    authorize::start(start, &SeededRandom::new(1))?;
    Ok(discovered)
}

#[tokio::test]
async fn no_document_leads_astray() {
    let rows = rows();
    let mut wrong = Vec::new();
    for row in &rows {
        let (places, header) = world(&row.edits);
        let service = serve(places).await;
        let network = network();
        let ended = go(&over(network.clone()), &service.url(), header).await;
        let word = ended.as_ref().map_or_else(|fault| fault.kind.as_str(), |_| "ok");
        if word != row.expects {
            wrong.push(format!("{}: {word} instead of {}: {ended:?}", row.name, row.expects));
        }
        if let Err(fault) = &ended
            && (fault.to_string().contains(CANARY) || fault.remedy.is_empty())
        {
            wrong.push(format!("{}: {fault}", row.name));
        }
        let strayed: Vec<_> = network.dialled.lock().unwrap().iter().filter(|to| **to != service.address).copied().collect();
        if !strayed.is_empty() {
            wrong.push(format!("{}: dialled {strayed:?}", row.name));
        }
        if service.received().len() > REQUESTS_MAX {
            wrong.push(format!("{}: {} requests", row.name, service.received().len()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    println!("{} rows", rows.len());
    assert!(rows.len() >= ROWS_MIN, "only {}", rows.len());
}

/// Without the flag, and from a server that is not on this machine, plain addresses of this machine are refused.
#[tokio::test]
async fn plain_http_needs_the_flag() {
    let (places, _) = world(&[]);
    let service = serve(places).await;
    let network = network();
    let strict =
        Settings::new("https://gateway.example.com", "Bailiwick", bailiwick_modules::egress::Egress::new(network.clone())).unwrap();
    let fault = go(&strict, &service.url(), None).await.unwrap_err();
    assert_eq!((fault.kind.as_str(), network.dialled.lock().unwrap().len()), ("bad_input", 0));
    for server in ["http://10.0.0.5", "https://me@server.example.com", "file:///etc", "ftp://server.example.com", "https://localhost"] {
        let fault = go(&over(network.clone()), server, None).await.unwrap_err();
        assert_eq!((fault.kind.as_str(), network.dialled.lock().unwrap().len()), ("bad_input", 0), "{server}");
    }
    let fault = go(&over(network.clone()), "https://inside.example.com", None).await.unwrap_err();
    assert_eq!((fault.kind.as_str(), network.dialled.lock().unwrap().len()), ("address_refused", 0));
}

#[tokio::test]
async fn a_far_server_cannot_name_this_machine() {
    let network = network();
    let query_challenge = challenge::read(&[HeaderValue::from_static("Bearer resource_metadata=\"http://127.0.0.1:9/x\"")]).unwrap();
    let query = Query { server_url: "https://server.example.com/mcp", challenge: query_challenge.as_ref(), ..Query::default() };
    let fault = discover::discover(&over(network.clone()), query, &mut Vec::new()).await.unwrap_err();
    assert_eq!((fault.kind.as_str(), network.dialled.lock().unwrap().len()), ("address_refused", 0));
}

/// Endpoints that look harmless and lead inside: found out when they are used, before anything is dialled.
#[tokio::test]
async fn endpoints_that_lead_inside_are_never_dialled() {
    let inside = "https://inside.example.com/x";
    let edits = ["token_endpoint", "registration_endpoint", "revocation_endpoint"].map(|member| Set(ISSUER, member, json!(inside)));
    let service = serve(world(&edits).0).await;
    let network = network();
    let settings = over(network.clone());
    let discovered = go(&settings, &service.url(), None).await.unwrap();
    let before = network.dialled.lock().unwrap().len();
    let (client, secret) = (client(&discovered), secrecy::SecretString::from("secret-c0de"));
    let desk = crate::oauth::token::Desk {
        settings: &settings,
        token_endpoint: &discovered.endpoints.token,
        client: &client,
        now: bailiwick_testkit::time::ManualClock::START,
        random: &SeededRandom::new(1),
    };
    let refresh = crate::oauth::token::Refresh { refresh_token: &secret, resource: "r", scopes: &[] };
    let refreshed = crate::oauth::token::refresh(desk, refresh).await.unwrap_err();
    let endpoint = discovered.endpoints.revocation.as_ref().unwrap();
    let revoked = crate::oauth::token::revoke(desk, endpoint, crate::oauth::token::TokenKind::Refresh, &secret).await.unwrap_err();
    let choice = crate::oauth::identity::Choice {
        wanted: crate::oauth::identity::Wanted::Only(Mode::Dcr),
        registered: None,
        profile: None,
        server_id: "s",
    };
    let registered = crate::oauth::identity::obtain(&settings, &discovered, choice).await.unwrap_err();
    for fault in [refreshed, revoked, registered] {
        assert_eq!(fault.kind.as_str(), "address_refused");
        assert!(!fault.to_string().contains("secret-c0de"));
    }
    assert_eq!(network.dialled.lock().unwrap().len(), before);
}

/// Query, whether `iss` is promised, and what comes of it.
#[test]
fn callbacks() {
    const OWN: &str = "https://as.example.com";
    let iss = "iss=https%3A%2F%2Fas.example.com";
    let long = format!("code={}", "c".repeat(5_000));
    let huge = format!("code={}", "c".repeat(9_000));
    let rows: Vec<(&str, String, bool, &str)> = vec![
        ("right, promised", format!("code=c&{iss}"), true, "ok"),
        ("right, not promised", format!("code=c&{iss}"), false, "ok"),
        ("absent, not promised", "code=c".into(), false, "ok"),
        ("absent, promised", "code=c".into(), true, "issuer_mismatch"),
        ("another's", "code=c&iss=https%3A%2F%2Fevil.example.com".into(), false, "issuer_mismatch"),
        ("with a slash", format!("code=c&{iss}%2F"), true, "issuer_mismatch"),
        ("in capitals", "code=c&iss=HTTPS%3A%2F%2Fas.example.com".into(), true, "issuer_mismatch"),
        ("with its port", format!("code=c&{iss}%3A443"), true, "issuer_mismatch"),
        ("empty", "code=c&iss=".into(), false, "issuer_mismatch"),
        ("twice", format!("code=c&{iss}&{iss}"), true, "bad_input"),
        ("two codes", format!("code=c&code=d&{iss}"), true, "bad_input"),
        ("two states", "code=c&state=a&state=b".into(), false, "bad_input"),
        ("no code", iss.into(), true, "bad_answer"),
        ("an empty code", format!("code=&{iss}"), true, "bad_answer"),
        ("a code with a line break", format!("code=a%0Ab&{iss}"), true, "bad_answer"),
        ("a long code", long, false, "bad_answer"),
        ("a huge callback", huge, false, "bad_input"),
        ("many parameters", "a=b&".repeat(40), false, "bad_input"),
        ("refused", format!("error=access_denied&{iss}"), true, "oauth_refused"),
        ("refused and a code", format!("error=access_denied&code=c&{iss}"), true, "oauth_refused"),
        ("another refuses", "error=access_denied&iss=https%3A%2F%2Fevil.example.com".into(), true, "issuer_mismatch"),
        ("nobody refuses", "error=access_denied".into(), true, "issuer_mismatch"),
    ];
    for (name, query, required, expects) in rows {
        let ended = Back::read(&query).and_then(|reply| callback::accept(&reply, OWN, required));
        let word = ended.as_ref().map_or_else(|fault| fault.kind.as_str(), |_| "ok");
        assert_eq!(word, expects, "{name}");
    }
}

#[test]
fn words_of_others_are_cleaned_and_those_of_strangers_not_shown() {
    let query = "error=%3Cb%3E&error_description=%1b%5B31mred%0A%22quoted%22%3Cscript%3E".to_owned() + &"x".repeat(500);
    let fault = callback::accept(&Back::read(&query).unwrap(), "https://as.example.com", false).unwrap_err();
    assert_eq!(fault.kind, crate::oauth::FaultKind::Refused { code: "unreadable".into() });
    assert!(fault.message.contains("[31mredquotedscript") && fault.message.len() < 220, "{}", fault.message);
    assert!(!fault.message.contains(['\u{1b}', '\n', '<', '>']), "{}", fault.message);
    let stranger = "error=boo&error_description=boo&iss=https%3A%2F%2Fboo.example.com";
    let fault = callback::accept(&Back::read(stranger).unwrap(), "https://as.example.com", false).unwrap_err();
    assert!(!format!("{fault:?}").contains("boo"), "{fault:?}");
}
