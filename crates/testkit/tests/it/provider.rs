//! The fake providers: the door of the MCP server in every era, families of refresh tokens, what is kept.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use bailiwick_testkit::client::{Client, Era, Fault};
use bailiwick_testkit::provider::{Habits, KnownClient, Provider, words};
use serde_json::{Value, json};

/// A provider that knows one client with a secret.
fn provider(habits: Habits) -> Provider {
    let known = KnownClient { id: "c".into(), secret: Some("s".into()), redirect_uris: vec!["https://gateway.example.com/back".into()] };
    Provider::start(Habits { known_clients: vec![known], ..habits })
}

/// POST of a form; `None` when the connection is cut.
fn post(provider: &Provider, path: &str, form: &str) -> Option<(u16, Value)> {
    let form = format!("client_id=c&client_secret=s&{form}");
    let mut stream = TcpStream::connect(provider.origin().strip_prefix("http://").unwrap()).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().unwrap(), serde_json::from_str(body).unwrap_or_default()))
}

/// From the authorization page to tokens; the verifier and its challenge are those of RFC 7636, appendix B.
fn tokens(provider: &Provider) -> Value {
    let resource = provider.url();
    let url = format!(
        "{}/authorize?response_type=code&client_id=c&redirect_uri=https://gateway.example.com/back&state=st&resource={resource}\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&scope=read",
        provider.origin()
    );
    let back = provider.approve(&url);
    assert!(back.starts_with("https://gateway.example.com/back?code=") && back.contains("state=st") && back.contains("iss="), "{back}");
    let code = back.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let form = format!(
        "grant_type=authorization_code&code={code}&redirect_uri=https://gateway.example.com/back&resource={resource}\
         &code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let (status, reply) = post(provider, "/token", &form).unwrap();
    assert_eq!(status, 200, "{reply}");
    assert_eq!(post(provider, "/token", &form).unwrap().0, 400, "a code serves once");
    reply
}

fn refresh(provider: &Provider, token: &Value) -> Option<(u16, Value)> {
    let form = format!("grant_type=refresh_token&refresh_token={}&resource={}", token.as_str().unwrap(), provider.url());
    post(provider, "/token", &form)
}

#[tokio::test]
async fn the_door_is_the_same_in_every_era() {
    let provider = provider(Habits::default());
    let tokens = tokens(&provider);
    let token = tokens["access_token"].as_str().unwrap();
    for era in Era::ALL {
        let refused = Client::http(&provider.url(), era).open().await.unwrap_err();
        assert!(refused.to_string().contains("401"), "{era:?}: {refused}");
        let client = Client::http(&provider.url(), era).bearer(token);
        client.open().await.unwrap();
        let result = client.call("echo", json!({"payload": "a"})).await.unwrap();
        assert_eq!(result["content"][0]["text"], "a", "{era:?}");
        let refused: Fault = client.call("write_note", json!({"payload": "a"})).await.unwrap_err();
        assert!(refused.to_string().contains("403"), "{era:?}: {refused}");
    }
    assert!(provider.mcp_arrivals().iter().all(|arrival| arrival.tool.as_deref() != Some("write_note")), "refused at the door");
    provider.expire_access_tokens();
    assert!(!provider.accepts(token));
}

#[test]
fn a_refresh_token_serves_once_and_its_reuse_ends_the_family() {
    for grace in [0, 2] {
        let provider = provider(Habits { reuse_grace: grace, ..Habits::default() });
        let first = tokens(&provider)["refresh_token"].clone();
        let (status, reply) = refresh(&provider, &first).unwrap();
        assert_eq!(status, 200);
        assert_ne!(reply["refresh_token"], first);
        for _ in 0..grace {
            assert_eq!(refresh(&provider, &first).unwrap().0, 200);
        }
        assert!(provider.accepts(reply["access_token"].as_str().unwrap()));
        assert_eq!(refresh(&provider, &first).unwrap().0, 400);
        assert_eq!(refresh(&provider, &reply["refresh_token"]).unwrap().0, 400, "the whole family");
        assert!(!provider.accepts(reply["access_token"].as_str().unwrap()));
        assert_eq!(provider.revoked_families(), 1);
    }
}

#[test]
fn a_reply_is_lost_after_the_refresh_was_carried_out() {
    let provider = provider(Habits { reuse_grace: 1, ..Habits::default() });
    let first = tokens(&provider)["refresh_token"].clone();
    provider.lose_refresh_replies(1);
    assert!(refresh(&provider, &first).is_none());
    assert_eq!(provider.grants("refresh_token").len(), 1);
    assert_eq!(refresh(&provider, &first).unwrap().0, 200, "forgiven once");
    assert_eq!(refresh(&provider, &first).unwrap().0, 400);
}

#[test]
fn what_was_sent_is_kept() {
    let provider = provider(Habits { scopes: Some(words("a")), ..Habits::default() });
    let reply = tokens(&provider);
    let sent = &provider.grants("authorization_code")[0];
    assert_eq!((sent.path.as_str(), sent.field("client_secret"), sent.header("host")), ("/token", Some("s"), Some("x")));
    let (status, _) = post(&provider, "/revoke", &format!("token={}", reply["refresh_token"].as_str().unwrap())).unwrap();
    assert_eq!((status, provider.revoked_families()), (200, 1));
    assert_eq!(provider.sent_to("/authorize")[0].param("scope"), Some("read"));
    provider.set(|habits| habits.known_clients.clear());
    assert_eq!(refresh(&provider, &reply["refresh_token"]).unwrap().0, 401);
}
