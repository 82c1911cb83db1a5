//! A vault in memory, and a clock that jumps when everybody waits.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_model::manifest::Vault;
use bailiwick_model::{AgentId, AgentType};
use bailiwick_modules::Pending;
use bailiwick_modules::egress::{Egress, Network, Stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::Vaults;
use crate::mask::Mask;

const ROLE_ID: &str = "role-4c1f";
const SECRET_ID: &str = "canary-secret-id";

/// One request: method and path, token, namespace, body.
type Asked = (String, Option<String>, Option<String>, String);
type Answer = (u16, Value);
type Script = dyn Fn(usize, &Asked) -> Answer + Send + Sync;

/// Serves every connection from a script, which is told how many requests came before.
#[derive(Clone)]
struct Memory {
    script: Arc<Script>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Memory {
    fn new(script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), asked: Arc::default() }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Method and path of every request.
    fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.0).collect()
    }

    fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|known| *known == line).count()
    }

    async fn serve(self, mut stream: DuplexStream) {
        let mut bytes = Vec::new();
        loop {
            let Some((asked, used)) = parse(&bytes) else {
                if matches!(stream.read_buf(&mut bytes).await, Ok(0) | Err(_)) {
                    return;
                }
                continue;
            };
            bytes.drain(..used);
            let before = self.asked.lock().unwrap().len();
            let (status, body) = (self.script)(before, &asked);
            self.asked.lock().unwrap().push(asked);
            let body = body.to_string();
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(Asked, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let header = |wanted: &str| {
        let mut found = head.lines().skip(1).filter_map(|line| line.split_once(": ")).filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.next().map(|(_, value)| value.to_owned())
    };
    let length: usize = header("content-length").map_or(0, |length| length.parse().unwrap());
    let body = bytes.get(end..end + length)?;
    assert_eq!(header("x-vault-request").as_deref(), Some("true"));
    let line = head.lines().next().unwrap().strip_suffix(" HTTP/1.1").unwrap().to_owned();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Some(((line, header("x-vault-token"), header("x-vault-namespace"), body), end + length))
}

impl Network for Memory {
    fn resolve<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(std::future::ready(Ok(vec!["10.1.2.3".parse().unwrap()])))
    }

    fn connect(&self, _: SocketAddr) -> Pending<'_, io::Result<Box<dyn Stream>>> {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        tokio::spawn(self.clone().serve(theirs));
        Box::pin(std::future::ready(Ok(Box::new(ours) as Box<dyn Stream>)))
    }
}

fn settings(path: &str) -> Vault {
    Vault {
        addr: "http://127.0.0.1:8200".into(),
        role_id_env: "VAULT_ROLE_ID".into(),
        secret_id_env: "VAULT_SECRET_ID".into(),
        path: path.into(),
        kv_version: 2,
        mount: "secret".into(),
        allow_private: Vec::new(),
    }
}

fn vaults(memory: &Memory, more: &[(&str, &str)]) -> Vaults {
    let role = [("VAULT_ROLE_ID", ROLE_ID), ("VAULT_SECRET_ID", SECRET_ID)];
    let environment: BTreeMap<String, String> = role.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Vaults::new(Arc::new(environment), Egress::new(Arc::new(memory.clone())), Arc::new(Mask::default()))
}

async fn read(vaults: &Vaults, settings: &Vault) -> Result<BTreeMap<String, String>, String> {
    let (id, kind) = (AgentId::parse("b-1").unwrap(), AgentType::parse("build").unwrap());
    let found = vaults.read(settings, &id, &kind).await?;
    Ok(found.into_iter().map(|(key, value)| (key, value.expose().to_owned())).collect())
}

fn granted(token: &str, seconds: u64) -> Answer {
    (200, json!({ "auth": { "client_token": token, "lease_duration": seconds, "renewable": true } }))
}

/// A vault whose secret is `A: 1`, with leases of a minute.
fn usual(_: usize, asked: &Asked) -> Answer {
    match asked.0.as_str() {
        "POST /v1/auth/approle/login" => granted("canary-token", 60),
        "POST /v1/auth/token/renew-self" => granted("canary-token", 90),
        _ => (200, json!({ "data": { "data": { "A": "one" }, "metadata": {} } })),
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_and_a_read_are_all_that_is_asked() {
    let memory = Memory::new(|before, asked| match asked.0.as_str() {
        "GET /v1/secret/data/scoped-mcp/build/b-1" => {
            (200, json!({ "data": { "data": { "A": "one", "N": 7, "F": true, "L": [1], "O": {}, "Z": null }, "metadata": {} } }))
        }
        _ => usual(before, asked),
    });
    let vaults = vaults(&memory, &[("VAULT_NAMESPACE", "team/a")]);
    assert!(vaults.health().is_none());
    let found = read(&vaults, &settings("scoped-mcp/{agent_type}/{agent_id}")).await.unwrap();
    assert_eq!(found, [("A", "one"), ("F", "true"), ("N", "7")].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    let login = json!({ "role_id": ROLE_ID, "secret_id": SECRET_ID }).to_string();
    let (token, namespace) = (Some("canary-token".to_owned()), Some("team/a".to_owned()));
    assert_eq!(
        memory.asked(),
        [
            ("POST /v1/auth/approle/login".to_owned(), None, namespace.clone(), login),
            ("GET /v1/secret/data/scoped-mcp/build/b-1".to_owned(), token, namespace, String::new()),
        ]
    );
    assert!(vaults.health().unwrap().ok);
    assert_eq!(vaults.mask.clean_text("canary-token and canary-secret-id"), "<redacted-value> and <redacted-value>");
}

#[tokio::test(start_paused = true)]
async fn a_path_lies_beneath_its_mount_however_it_is_written() {
    for (path, mount, version, target) in [
        ("x/{agent_type}", "secret", 2, "/v1/secret/data/x/build"),
        ("/secret/data/x/", "secret", 2, "/v1/secret/data/x"),
        ("secrets/data/x", "secret", 2, "/v1/secret/data/secrets/data/x"),
        ("a b/ü?#%", "team/kv", 2, "/v1/team/kv/data/a%20b/%C3%BC%3F%23%25"),
        ("x", "kv", 1, "/v1/kv/x"),
        ("kv/x", "kv", 1, "/v1/kv/x"),
        ("data/x", "kv", 1, "/v1/kv/data/x"),
    ] {
        let memory = Memory::new(move |before, asked| match asked.0.as_str() {
            "POST /v1/auth/approle/login" => usual(before, asked),
            _ if version == 1 => (200, json!({ "data": { "A": "one" } })),
            _ => usual(before, asked),
        });
        let settings = Vault { mount: mount.into(), kv_version: version, ..settings(path) };
        assert_eq!(read(&vaults(&memory, &[]), &settings).await.unwrap()["A"], "one");
        assert_eq!(memory.lines()[1], format!("GET {target}"));
    }
}

#[tokio::test(start_paused = true)]
async fn agents_share_a_token_that_is_renewed_at_two_thirds_of_its_lease() {
    let memory = Memory::new(usual);
    let vaults = vaults(&memory, &[]);
    let renewals = || memory.count("POST /v1/auth/token/renew-self");
    let (first, second) = (settings("one"), settings("two"));
    let both = tokio::join!(read(&vaults, &first), read(&vaults, &second));
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!(memory.count("POST /v1/auth/approle/login"), 1, "two agents at once log in once");
    tokio::time::sleep(Duration::from_secs(39)).await;
    assert_eq!(renewals(), 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(renewals(), 1);
    assert_eq!(memory.asked().last().unwrap().1.as_deref(), Some("canary-token"));
    // The new lease is a longer one.
    tokio::time::sleep(Duration::from_secs(57)).await;
    assert_eq!(renewals(), 1);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(renewals(), 2);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(renewals(), 62, "one a minute for as long as the process runs");
    vaults.close();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(renewals(), 62);
}

#[tokio::test(start_paused = true)]
async fn a_token_without_end_is_left_alone_and_a_short_one_is_not_hammered() {
    let memory = Memory::new(|before, asked| if before == 0 { granted("canary-token", 0) } else { usual(before, asked) });
    let endless = vaults(&memory, &[]);
    read(&endless, &settings("x")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(400 * 24 * 3600)).await;
    assert_eq!(memory.asked().len(), 2);
    assert!(endless.health().unwrap().ok);

    let memory = Memory::new(|before, asked| match asked.0.as_str() {
        "POST /v1/auth/approle/login" => granted("canary-token", 1),
        "POST /v1/auth/token/renew-self" => (500, Value::Null),
        _ => usual(before, asked),
    });
    let short = vaults(&memory, &[]);
    read(&short, &settings("x")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let tries = memory.count("POST /v1/auth/token/renew-self");
    assert!((10..=20).contains(&tries), "{tries}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_renewal_shows_and_is_tried_again() {
    let memory = Memory::new(|before, asked| match asked.0.as_str() {
        "POST /v1/auth/token/renew-self" if before < 4 => (503, json!({ "errors": ["Vault is sealed canary-token"] })),
        _ => usual(before, asked),
    });
    let vaults = vaults(&memory, &[]);
    read(&vaults, &settings("x")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(41)).await;
    let part = vaults.health().unwrap();
    assert_eq!((part.name.as_str(), part.ok), ("vault", false));
    assert!(part.detail.contains("sealed") && !part.detail.contains("canary"), "{}", part.detail);
    // Twenty seconds were left: the next attempts come after a third of what is left.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(memory.count("POST /v1/auth/token/renew-self"), 2);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(memory.count("POST /v1/auth/token/renew-self"), 3);
    assert!(vaults.health().unwrap().ok);
    assert_eq!(memory.count("POST /v1/auth/approle/login"), 1);
}

fn refusing(before: usize, asked: &Asked) -> Answer {
    match (asked.0.as_str(), asked.1.as_deref()) {
        ("POST /v1/auth/approle/login", _) if before == 0 => granted("canary-first", 60),
        ("POST /v1/auth/approle/login", _) => granted("canary-second", 60),
        ("POST /v1/auth/token/renew-self", Some("canary-first")) => (403, json!({ "errors": ["permission denied"] })),
        _ => usual(before, asked),
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_only_where_that_is_allowed() {
    for (flag, allowed) in [("1", true), ("TRUE", true), ("yes", true), (" on ", true), ("0", false), ("", false), ("y", false)] {
        let memory = Memory::new(refusing);
        let vaults = vaults(&memory, &[("SCOPED_MCP_VAULT_REAUTH", flag)]);
        read(&vaults, &settings("x")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(41)).await;
        assert_eq!(memory.count("POST /v1/auth/approle/login"), if allowed { 2 } else { 1 }, "{flag:?}");
        assert_eq!(vaults.health().unwrap().ok, allowed);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let again = read(&vaults, &settings("x")).await;
        assert_eq!(
            memory.count("POST /v1/auth/token/renew-self"),
            if allowed { 2 } else { 1 },
            "{flag:?}: what is refused is not asked again"
        );
        assert_eq!(again.is_ok(), allowed, "{again:?}");
        assert!(allowed || again.unwrap_err().contains("the token has ended"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_refused_logs_in_again_once_where_that_is_allowed() {
    for allowed in [true, false] {
        let memory = Memory::new(move |before, asked| match (asked.0.as_str(), asked.1.as_deref()) {
            ("GET /v1/secret/data/two", Some("canary-first")) | ("GET /v1/secret/data/three", _) => (403, Value::Null),
            _ => refusing(before, asked),
        });
        let vaults = vaults(&memory, if allowed { &[("SCOPED_MCP_VAULT_REAUTH", "1")] } else { &[] });
        read(&vaults, &settings("one")).await.unwrap();
        assert_eq!(read(&vaults, &settings("two")).await.is_ok(), allowed);
        let refused = read(&vaults, &settings("three")).await.unwrap_err();
        assert!(refused.contains("reading `three` in the engine `secret` is refused"), "{refused}");
        assert_eq!(memory.count("POST /v1/auth/approle/login"), if allowed { 3 } else { 1 });
        assert_eq!(memory.count("GET /v1/secret/data/three"), if allowed { 2 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_renewable_is_said_to_be_so() {
    let memory = Memory::new(|before, asked| match asked.0.as_str() {
        "POST /v1/auth/approle/login" => {
            (200, json!({ "auth": { "client_token": "canary-token", "lease_duration": 60, "renewable": false } }))
        }
        _ => usual(before, asked),
    });
    let vaults = vaults(&memory, &[]);
    read(&vaults, &settings("x")).await.unwrap();
    assert!(vaults.health().unwrap().ok);
    tokio::time::sleep(Duration::from_secs(41)).await;
    assert_eq!(vaults.health().unwrap().detail, "127.0.0.1: the token is not renewable");
    assert_eq!(memory.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn every_refusal_has_a_reason_and_holds_no_secret() {
    let echo = json!({ "errors": ["canary-token canary-secret-id role-4c1f"] });
    let deleted = json!({ "data": { "data": null, "metadata": { "deletion_time": "2026-07-28T09:30:00Z", "destroyed": false } } });
    let destroyed = json!({ "data": { "data": null, "metadata": { "deletion_time": "", "destroyed": true } } });
    let at_login: [(u16, Value, &str); 8] = [
        (400, echo.clone(), "the login is refused (status 400)"),
        (403, echo.clone(), "the login is refused (status 403)"),
        (404, echo.clone(), "the login is refused (status 404)"),
        (503, echo.clone(), "sealed or not ready"),
        (500, echo.clone(), "it failed (status 500)"),
        (307, Value::Null, "it redirects (status 307)"),
        (200, json!({ "auth": null, "canary-token": 1 }), "cannot be read (status 200)"),
        (200, json!("x".repeat(1 << 20)), "the answer is larger than 1048576 bytes"),
    ];
    let at_read: [(u16, Value, &str); 7] = [
        (403, echo.clone(), "reading `x` in the engine `secret` is refused"),
        (404, echo.clone(), "there is no secret `x` in the engine `secret`"),
        (404, deleted, "the latest version of `x` in the engine `secret` is deleted"),
        (404, destroyed, "is deleted"),
        (503, echo, "sealed or not ready"),
        (200, json!({ "data": { "A": "canary-flat" } }), "is no mapping of names to values; check `kv_version`"),
        (200, json!([]), "is no mapping of names to values"),
    ];
    let cases = at_login.into_iter().map(|case| (0, case)).chain(at_read.into_iter().map(|case| (1, case)));
    for (place, (status, body, reason)) in cases {
        let memory = Memory::new(move |before, asked| if before == place { (status, body.clone()) } else { usual(before, asked) });
        let vaults = vaults(&memory, &[]);
        let refused = read(&vaults, &settings("x")).await.unwrap_err();
        assert!(refused.starts_with("vault `127.0.0.1`: ") && refused.contains(reason), "{refused}");
        let shown = format!("{refused} {:?}", vaults.health());
        assert!(!shown.contains("canary") && !shown.contains(ROLE_ID), "{shown}");
        assert_eq!(vaults.health().unwrap().ok, place == 1, "a login that fails shows; a secret that is missing is the agent's matter");
        assert!(read(&vaults, &settings("x")).await.is_ok(), "and the next agent tries again");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_work_is_said_before_anything_is_dialled() {
    let memory = Memory::new(usual);
    let environment = |entries: &[(&str, &str)]| {
        let environment = entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Vaults::new(Arc::new(environment), Egress::new(Arc::new(memory.clone())), Arc::new(Mask::default()))
    };
    let role = ("VAULT_ROLE_ID", ROLE_ID);
    for (entries, reason) in [
        (&[][..], "no VAULT_ROLE_ID and no VAULT_SECRET_ID"),
        (&[role], "no VAULT_SECRET_ID"),
        (&[role, ("VAULT_SECRET_ID", "")], "no VAULT_SECRET_ID"),
        (&[role, ("VAULT_SECRET_ID", SECRET_ID), ("VAULT_NAMESPACE", "a\nb")], "`VAULT_NAMESPACE` holds a character"),
        (&[role, ("VAULT_SECRET_ID", SECRET_ID), ("VAULT_CACERT", "/no/such/file")], "`VAULT_CACERT` names a file that cannot be read"),
    ] {
        let refused = read(&environment(entries), &settings("x")).await.unwrap_err();
        assert!(refused.contains(reason) && !refused.contains("canary"), "{refused}");
    }
    let named = Vault { addr: "http://vault.corp:8200".into(), ..settings("x") };
    let refused = read(&vaults(&memory, &[]), &named).await.unwrap_err();
    assert!(refused.contains("may not be dialled"), "{refused}");
    assert!(memory.asked().is_empty());
    let opened = Vault { allow_private: vec![bailiwick_model::address::Cidr::parse("10.0.0.0/8").unwrap()], ..named };
    assert!(read(&vaults(&memory, &[]), &opened).await.is_ok());
}
