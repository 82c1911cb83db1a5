//! What token and registration endpoints answer, and what is made of it.

use std::time::Duration;

use bailiwick_testkit::service::{FakeService, Reply};
use bailiwick_testkit::time::{ManualClock, SeededRandom};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::kit::{CALLBACK, settings};
use crate::oauth::assertion::ClientKey;
use crate::oauth::discover::{Capabilities, Discovered, Endpoints, Pkce, Source};
use crate::oauth::identity::{self, AuthMethod, Choice, Client, Mode, Proof, Registered, Wanted};
use crate::oauth::token::{self, Desk, Grant, Refresh, TokenKind};
use crate::oauth::{FaultKind, OAuthFault, Settings};

/// Stands in answers, and in no message.
const CANARY: &str = "canary-51ab";

pub(super) fn discovered(settings: &Settings, origin: &str) -> Discovered {
    let at = |path: &str| settings.address(&format!("{origin}{path}")).unwrap();
    let (authorization, token) = (at("/authorize"), at("/token"));
    let endpoints = Endpoints { authorization, token, registration: Some(at("/register")), revocation: Some(at("/revoke")) };
    let capabilities = Capabilities { pkce: Pkce::S256, ..Capabilities::default() };
    let (resource, issuer) = (format!("{origin}/mcp"), origin.to_owned());
    Discovered { resource, issuer, endpoints, capabilities, scopes: None, source: Source::Metadata }
}

pub(super) fn public(discovered: &Discovered) -> Client {
    Client {
        client_id: "the client&me".into(),
        proof: Proof::None,
        secret_expires_at: None,
        mode: Mode::Dcr,
        issuer: discovered.issuer.clone(),
        redirect_uri: CALLBACK.into(),
    }
}

/// One refresh that is answered so.
async fn refreshed(status: u16, body: String, asked: &[String]) -> Result<Grant, OAuthFault> {
    let service = FakeService::start(move |_| Reply::new(status, body.clone()).with("content-type", "application/json")).await;
    let settings = settings();
    let discovered = discovered(&settings, &service.url());
    let client = public(&discovered);
    let desk = Desk {
        settings: &settings,
        token_endpoint: &discovered.endpoints.token,
        client: &client,
        now: ManualClock::START,
        random: &SeededRandom::new(3),
    };
    let secret = SecretString::from("refresh-secret");
    token::refresh(desk, Refresh { refresh_token: &secret, resource: &discovered.resource, scopes: asked }).await
}

fn with(member: &str, value: Value) -> String {
    let mut answer = json!({"access_token": "at", "token_type": "Bearer", "expires_in": 60, "refresh_token": "rt", "note": CANARY});
    answer[member] = value;
    answer.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    answer.to_string()
}

#[tokio::test]
async fn answers_that_break_a_rule() {
    let huge = with("access_token", "a".repeat(17_000).into());
    let rows: Vec<(&str, u16, String, FaultKind)> = vec![
        ("no token type", 200, with("token_type", Value::Null), FaultKind::BadAnswer),
        ("another type", 200, with("token_type", "DPoP".into()), FaultKind::BadAnswer),
        ("a number as type", 200, with("token_type", 7.into()), FaultKind::BadAnswer),
        ("no token", 200, with("access_token", Value::Null), FaultKind::BadAnswer),
        ("an empty token", 200, with("access_token", "".into()), FaultKind::BadAnswer),
        ("a token with a line break", 200, with("access_token", "a\nb".into()), FaultKind::BadAnswer),
        ("a token with a blank", 200, with("access_token", "a b".into()), FaultKind::BadAnswer),
        ("a token beyond ASCII", 200, with("access_token", "a\u{e4}".into()), FaultKind::BadAnswer),
        ("a number as token", 200, with("access_token", 7.into()), FaultKind::BadAnswer),
        ("a refresh token with a zero byte", 200, with("refresh_token", "a\u{0}".into()), FaultKind::BadAnswer),
        ("a life in words", 200, with("expires_in", "soon".into()), FaultKind::BadAnswer),
        ("a life in a list", 200, with("expires_in", json!([60])), FaultKind::BadAnswer),
        ("a life in powers", 200, with("expires_in", json!(1e300)), FaultKind::BadAnswer),
        ("a scope with a quotation mark", 200, with("scope", "a\"b".into()), FaultKind::BadAnswer),
        ("a scope in a list", 200, with("scope", json!(["a"])), FaultKind::BadAnswer),
        ("a huge answer", 200, huge, FaultKind::BadAnswer),
        ("a page", 200, format!("<html>{CANARY}"), FaultKind::BadAnswer),
        ("a token twice", 200, r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#.into(), FaultKind::BadAnswer),
        ("a list", 200, "[]".into(), FaultKind::BadAnswer),
        ("a redirect", 307, CANARY.into(), FaultKind::BadAnswer),
        ("created", 201, with("scope", Value::Null), FaultKind::BadAnswer),
        ("a page with 400", 400, format!("<html>{CANARY}"), FaultKind::BadAnswer),
        ("a used grant", 400, r#"{"error":"invalid_grant"}"#.into(), FaultKind::InvalidGrant),
        ("an unknown client", 401, r#"{"error":"invalid_client"}"#.into(), FaultKind::InvalidClient),
        ("another error", 400, r#"{"error":"invalid_target"}"#.into(), FaultKind::Refused { code: "invalid_target".into() }),
        ("an error in disguise", 400, format!(r#"{{"error":"<{CANARY}>"}}"#), FaultKind::Refused { code: "unreadable".into() }),
        ("an error with 200", 200, r#"{"error":"bad_refresh_token"}"#.into(), FaultKind::InvalidGrant),
        ("an error beside a token", 200, with("error", "invalid_grant".into()), FaultKind::InvalidGrant),
        ("later, in words", 400, r#"{"error":"temporarily_unavailable"}"#.into(), FaultKind::NotNow),
        ("an outage", 503, CANARY.into(), FaultKind::NotNow),
        ("an outage that looks like a refusal", 500, r#"{"error":"invalid_grant"}"#.into(), FaultKind::NotNow),
        ("too many requests", 429, String::new(), FaultKind::NotNow),
    ];
    for (name, status, body, kind) in rows {
        let fault = refreshed(status, body, &[]).await.unwrap_err();
        assert_eq!(fault.kind, kind, "{name}: {fault}");
        assert!(!format!("{fault:?} {fault}").contains(CANARY) && !fault.remedy.is_empty(), "{name}: {fault:?}");
        assert!(!fault.to_string().contains("refresh-secret"), "{name}");
    }
}

#[tokio::test]
async fn answers_that_are_taken() {
    let asked = ["a".to_owned(), "b".to_owned()];
    let life = |span: u64| Some(ManualClock::START.after(Duration::from_secs(span)));
    for (member, value, expires_at) in [
        ("token_type", json!("bEaReR"), life(60)),
        ("expires_in", json!("120"), life(120)),
        ("expires_in", json!(59.9), life(59)),
        ("expires_in", json!(-5), life(0)),
        ("expires_in", json!(0), life(0)),
        ("expires_in", json!(99_999_999_999_u64), life(30 * 24 * 3600)),
        ("expires_in", json!("99999999999999999999999999"), life(30 * 24 * 3600)),
        ("expires_in", Value::Null, None),
    ] {
        let grant = refreshed(200, with(member, value.clone()), &asked).await.unwrap();
        assert_eq!(grant.expires_at, expires_at, "{member} {value}");
        assert_eq!((grant.scopes.as_slice(), grant.wider), (asked.as_slice(), false), "silence means: as asked");
    }
    let grant = refreshed(200, with("refresh_token", Value::Null), &asked).await.unwrap();
    assert!(grant.refresh_token.is_none(), "the old one stays");
    assert!(refreshed(200, with("refresh_token", "".into()), &asked).await.unwrap().refresh_token.is_none());
    let grant = refreshed(200, with("scope", "a c".into()), &asked).await.unwrap();
    assert_eq!((grant.scopes, grant.wider), (vec!["a".to_owned(), "c".to_owned()], true));
    let grant = refreshed(200, with("scope", "a".into()), &asked).await.unwrap();
    assert!(!grant.wider);
    let shown = format!("{grant:?}");
    assert!(!shown.contains("\"at\"") && !shown.contains("\"rt\""), "{shown}");
}

#[tokio::test]
async fn nobody_there_is_not_the_same_as_a_lost_reply() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (url, settings) = (format!("http://{}", listener.local_addr().unwrap()), settings());
    drop(listener);
    let discovered = discovered(&settings, &url);
    let client = public(&discovered);
    let desk = Desk {
        settings: &settings,
        token_endpoint: &discovered.endpoints.token,
        client: &client,
        now: ManualClock::START,
        random: &SeededRandom::new(3),
    };
    let secret = SecretString::from("x");
    let fault = token::refresh(desk, Refresh { refresh_token: &secret, resource: "r", scopes: &[] }).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable { sent: false });
    assert!(fault.kind.is_passing());
}

#[tokio::test]
async fn a_client_proves_itself_in_exactly_one_way() {
    let service = FakeService::start(|_| Reply::new(200, with("scope", Value::Null))).await;
    let settings = settings();
    let discovered = discovered(&settings, &service.url());
    let secret = || SecretString::from("s:1 %&");
    for (proof, fields, authorization) in [
        (Proof::None, vec!["client_id"], None),
        (Proof::Post(secret()), vec!["client_id", "client_secret"], None),
        // `the+client%26me:s%3A1+%25%26`
        (Proof::Basic(secret()), vec![], Some("Basic dGhlK2NsaWVudCUyNm1lOnMlM0ExKyUyNSUyNg==")),
    ] {
        let client = Client { proof, ..public(&discovered) };
        let desk = Desk {
            settings: &settings,
            token_endpoint: &discovered.endpoints.token,
            client: &client,
            now: ManualClock::START,
            random: &SeededRandom::new(3),
        };
        let refresh_token = SecretString::from("rt");
        token::refresh(desk, Refresh { refresh_token: &refresh_token, resource: "https://r", scopes: &[] }).await.unwrap();
        token::revoke(desk, discovered.endpoints.revocation.as_ref().unwrap(), TokenKind::Refresh, &refresh_token).await.unwrap();
        for sent in service.take() {
            let form: Vec<(String, String)> = url::form_urlencoded::parse(&sent.body).into_owned().collect();
            let named: Vec<&str> = form.iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with("client_")).collect();
            assert_eq!(named, fields);
            assert_eq!(sent.header("authorization"), authorization);
            assert!(!form.iter().any(|(name, _)| name == "scope"), "a refresh leaves the scopes as they are");
        }
    }
}

const ED25519: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

#[tokio::test]
async fn a_key_signs_an_assertion_for_the_issuer() {
    use aws_lc_rs::signature::{ED25519 as ALGORITHM, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
    use data_encoding::{BASE64, BASE64URL_NOPAD};
    let service = FakeService::start(|_| Reply::new(200, with("scope", Value::Null))).await;
    let settings = settings();
    let discovered = discovered(&settings, &service.url());
    let key = ClientKey::from_pem(&SecretString::from(ED25519), Some("k1".into())).unwrap();
    let client = Client { proof: Proof::Key(key), ..public(&discovered) };
    let desk = Desk {
        settings: &settings,
        token_endpoint: &discovered.endpoints.token,
        client: &client,
        now: ManualClock::START,
        random: &SeededRandom::new(3),
    };
    token::client_credentials(desk, &discovered.resource, &["a".to_owned()]).await.unwrap();
    let sent = service.only();
    let form: std::collections::BTreeMap<String, String> = url::form_urlencoded::parse(&sent.body).into_owned().collect();
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!(form["scope"], "a");
    assert!(!form.contains_key("client_secret") && sent.header("authorization").is_none());
    let (signed, signature) = form["client_assertion"].rsplit_once('.').unwrap();
    let der = BASE64.decode(ED25519.lines().nth(1).unwrap().as_bytes()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
    let verifier = UnparsedPublicKey::new(&ALGORITHM, pair.public_key().as_ref());
    verifier.verify(signed.as_bytes(), &BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap()).unwrap();
    let part = |n: usize| -> Value {
        serde_json::from_slice(&BASE64URL_NOPAD.decode(signed.split('.').nth(n).unwrap().as_bytes()).unwrap()).unwrap()
    };
    assert_eq!((part(0)["alg"].as_str(), part(0)["kid"].as_str()), (Some("EdDSA"), Some("k1")));
    assert_eq!((part(1)["aud"].as_str(), part(1)["sub"].as_str()), (Some(discovered.issuer.as_str()), Some("the client&me")));
    let (issued, ends) = (part(1)["iat"].as_i64().unwrap(), part(1)["exp"].as_i64().unwrap());
    assert!(ends - issued <= 120, "{issued} {ends}");
    for bad in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----"] {
        assert!(ClientKey::from_pem(&SecretString::from(bad), None).is_err());
    }
}

async fn registered(status: u16, body: String) -> Result<Client, OAuthFault> {
    let service = FakeService::start(move |_| Reply::new(status, body.clone())).await;
    let settings = settings();
    let discovered = discovered(&settings, &service.url());
    let choice = Choice { wanted: Wanted::Only(Mode::Dcr), registered: None, profile: None, server_id: "srv_1" };
    identity::obtain(&settings, &discovered, choice).await
}

#[tokio::test]
async fn registrations() {
    let client = registered(201, json!({"client_id": "c", "client_secret": CANARY}).to_string()).await.unwrap();
    assert!(client.proof.secret().is_none(), "it was asked for a public client, and says nothing else");
    let body = json!({"client_id": "c", "client_secret": "s", "token_endpoint_auth_method": "client_secret_post"});
    let client = registered(201, body.to_string()).await.unwrap();
    assert_eq!((client.proof.method(), client.proof.secret().unwrap().expose_secret()), (AuthMethod::ClientSecretPost, "s"));
    assert_eq!(client.secret_expires_at, None);
    assert!(!format!("{client:?}").contains("\"s\""));
    let secret = |expires: Value| {
        json!({"client_id": "c", "client_secret": "s", "token_endpoint_auth_method": "client_secret_basic", "client_secret_expires_at": expires})
            .to_string()
    };
    assert_eq!(registered(201, secret(json!(0))).await.unwrap().secret_expires_at, None, "0 is never");
    assert_eq!(registered(201, secret(json!(5))).await.unwrap().secret_expires_at.unwrap().as_micros(), 5_000_000);
    let bad = [
        json!({}).to_string(),
        json!({"client_id": ""}).to_string(),
        json!({"client_id": "a\nb"}).to_string(),
        json!({"client_id": 7}).to_string(),
        json!({"client_id": "c", "redirect_uris": ["https://evil.example.com"]}).to_string(),
        json!({"client_id": "c", "redirect_uris": "x"}).to_string(),
        json!({"client_id": "c", "token_endpoint_auth_method": "tls_client_auth"}).to_string(),
        json!({"client_id": "c", "token_endpoint_auth_method": "client_secret_basic"}).to_string(),
        json!({"client_id": "c", "client_secret": "s", "token_endpoint_auth_method": "private_key_jwt"}).to_string(),
        secret(json!("tomorrow")),
        secret(json!(-1)),
        format!("<html>{CANARY}"),
        json!({"client_id": "c", "note": "n".repeat(17_000)}).to_string(),
    ];
    for body in bad {
        let fault = registered(201, body.clone()).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::BadAnswer, "{body}");
        assert!(!fault.to_string().contains(CANARY));
    }
    let fault = registered(400, json!({"error": "invalid_redirect_uri", "error_description": CANARY}).to_string()).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused { code: "invalid_redirect_uri".into() });
    assert!(!fault.to_string().contains(CANARY));
    assert_eq!(registered(503, String::new()).await.unwrap_err().kind, FaultKind::NotNow);
    let by_hand = Registered { client_id: String::new(), ..super::kit::by_hand() };
    let settings = settings();
    let choice = Choice { wanted: Wanted::Auto, registered: Some(&by_hand), profile: None, server_id: "s" };
    let fault = identity::obtain(&settings, &discovered(&settings, "https://as.example.com"), choice).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::BadInput);
}
