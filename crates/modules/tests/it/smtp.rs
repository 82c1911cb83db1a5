//! `smtp`: who may be written to, and what a mail looks like (reference, tool modules section 8.4).

use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::Code;
use bailiwick_modules::{CredentialKey, Host, ModuleRegistry, OpenFault};
use serde_json::{Map, Value, json};

use crate::mail_reader::{self, decoded};
use crate::mail_server::{Heard, Script, network};
use crate::service::host;
use crate::support::{Agent, mistakes, try_open_on};

const KEYS: [(&str, &str); 4] = [("SMTP_HOST", "mail.example"), ("SMTP_PORT", "587"), ("SMTP_USER", "u"), ("SMTP_PASSWORD", "p")];

fn config(more: Value) -> Value {
    let mut config =
        json!({ "from_address": "Agent <agent@mail.example>", "allowed_recipients": ["ops@example.org", "Team.Lead@example.org"] });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

/// Over a server on this machine, without TLS and login.
fn agent(more: Value) -> (Agent, Arc<Heard>) {
    agent_on(Script::default(), more)
}

fn agent_on(script: Script, more: Value) -> (Agent, Arc<Heard>) {
    let (network, heard) = network(script);
    let mut config = config(json!({ "tls": "none", "auth": "none" }));
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let credentials = [("SMTP_HOST", "127.0.0.1"), ("SMTP_PORT", "25")];
    (try_open_on(&host(Arc::new(network)), "smtp", "a", None, &config, &credentials).unwrap(), heard)
}

/// Headers and body of the only content the server has.
fn read(heard: &Heard) -> (Map<String, Value>, String) {
    let contents = heard.contents.lock().unwrap();
    assert_eq!(contents.len(), 1);
    mail_reader::read(&contents[0]).unwrap_or_else(|why| panic!("{why}"))
}

#[tokio::test(start_paused = true)]
async fn a_mail_is_written_to_the_last_byte() {
    let (agent, heard) = agent(json!({}));
    let mail = json!({ "to": "ops@example.org", "subject": "Build done", "body": "Hello\n.\n..x\nend" });
    assert_eq!(agent.call("send", &mail).await, Ok(json!(true)));
    let expected = "From: Agent <agent@mail.example>\r\nTo: ops@example.org\r\nSubject: Build done\r\nDate: Tue, 28 Jul 2026 09:30:00 +0000\r\n\
                    Message-ID: <01J@mail.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Transfer-Encoding: 7bit\r\n\r\nHello\r\n..\r\n...x\r\nend\r\n.\r\n";
    assert_eq!(heard.contents.lock().unwrap()[0], expected);
}

#[tokio::test(start_paused = true)]
async fn bodies_arrive_as_they_are() {
    for body in [
        "",
        "one",
        "one\ntwo\n",
        "before\n.\nafter\n",
        "..\n.a\n...\n",
        ".\r\n",
        "Grüße, мир, 世界, 👩‍🚀\n",
        "a\r\nb\r\n",
        "From: x\nFrom here on\nSubject: y\n\nBcc: eve@example.org\n",
        "a  \n\tb\t\n",
        "\n\na\n\n\n",
        "QUIT\r\n.\r\nMAIL FROM:<x@mail.example>\r\n",
        "\r\n.\rQUIT\r\n",
        "a\rb\0c\u{1b}[31m\u{7f}",
        "=?utf-8?q?x?= =3D\n",
        &"x".repeat(5_000),
        &"ü".repeat(3_000),
        &format!("{}\n", "y".repeat(63)).repeat(4_096),
    ] {
        let (agent, heard) = agent(json!({}));
        agent.call("send", &json!({ "to": "ops@example.org", "subject": "s", "body": body })).await.unwrap();
        let (headers, text) = read(&heard);
        let lines = body.replace("\r\n", "\n").replace('\n', "\r\n");
        assert_eq!(text.trim_end_matches("\r\n"), lines.trim_end_matches("\r\n"), "{headers:?}");
        assert_eq!(headers.keys().len(), 8, "{headers:?}");
        let commands = heard.lines.lock().unwrap().clone();
        assert_eq!(commands, ["EHLO [127.0.0.1]", "MAIL FROM:<agent@mail.example>", "RCPT TO:<ops@example.org>", "DATA", "QUIT"]);
    }
}

/// Quadratic work would take minutes here, linear work takes a moment.
#[tokio::test(start_paused = true)]
async fn a_body_of_line_ends_takes_linear_time() {
    let (agent, heard) = agent_on(Script::default().saying("RCPT", "550 nobody"), json!({ "max_body_bytes": 1 << 20 }));
    let begin = std::time::Instant::now();
    let mail = json!({ "to": "ops@example.org", "subject": "s", "body": "\n".repeat(1 << 20) });
    assert_eq!(agent.code("send", &mail).await, Err(Code::UpstreamError));
    assert_eq!(heard.lines.lock().unwrap().len(), 3, "the message was written before the connection");
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn subjects_are_one_header() {
    let words = ["wort ".repeat(60), "größe ".repeat(60), "x".repeat(1_000), "ü".repeat(1_000)];
    let plain = ["Build done", "", "=?utf-8?q?x?=", "a  b", " a ", "Grüße, мир, 世界 👩‍🚀", "a: b; <c@d.example>", "Größe a ü"];
    for subject in plain.into_iter().chain(words.iter().map(|words| words.trim())) {
        let (agent, heard) = agent(json!({}));
        agent.call("send", &json!({ "to": "ops@example.org", "subject": subject, "body": "b" })).await.unwrap();
        let raw = heard.contents.lock().unwrap()[0].clone();
        assert!(raw.split("\r\n").all(|line| line.len() <= 78), "{raw}");
        let (headers, body) = read(&heard);
        assert_eq!((decoded(headers["Subject"].as_str().unwrap()).as_str(), body.as_str()), (subject, "b\r\n"), "{raw}");
        assert_eq!(headers.len(), 8, "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_refused_before_a_connection() {
    let (agent, heard) = agent(json!({}));
    let refused = async |to: &str, subject: &str, body: &str, code: Code| {
        let arguments = json!({ "to": to, "subject": subject, "body": body });
        assert_eq!(agent.0.confine("send", &arguments.to_string()).unwrap_err().code, code, "{arguments}");
        assert_eq!(agent.code("send", &arguments).await, Err(code), "{arguments}");
    };
    refused("team.lead@example.org", "s", "b", Code::ScopeViolation).await;
    refused("ops@example.org", &"x".repeat(1_001), "b", Code::LimitExceeded).await;
    refused("ops@example.org", "s", &"x".repeat((256 << 10) + 1), Code::LimitExceeded).await;
    refused("ops@example.org", "s", &"ü".repeat((128 << 10) + 1), Code::LimitExceeded).await;
    assert!(heard.lines.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_listed_form_of_a_recipient_is_what_is_used() {
    let (agent, heard) = agent(json!({}));
    agent.call("send", &json!({ "to": "Team.Lead@EXAMPLE.org", "subject": "s", "body": "b" })).await.unwrap();
    assert_eq!(heard.lines.lock().unwrap()[2], "RCPT TO:<Team.Lead@example.org>");
    assert_eq!(read(&heard).0["To"], "Team.Lead@example.org");
}

#[test]
fn every_mistake_of_a_configuration_is_told() {
    let told = |config: Value| mistakes("smtp", &config, &KEYS);
    assert_eq!(told(json!({})), ["from_address", "allowed_recipients"]);
    assert!(told(config(json!({ "tls": "implicit", "auth": "password", "timeout_seconds": 300, "max_body_bytes": 1 }))).is_empty());
    let all = json!({
        "from_address": "nobody", "tls": "ssl", "auth": "yes", "timeout_seconds": 0, "max_body_bytes": 1 << 30, "allow_private": ["x"],
        "allowed_recipients": ["a@b.example", "x", "Ops <ops@b.example>"],
    });
    let keys = [
        "from_address",
        "tls",
        "auth",
        "timeout_seconds",
        "max_body_bytes",
        "allowed_recipients.1",
        "allowed_recipients.2",
        "allow_private.0",
    ];
    assert_eq!(told(all), keys);
    for from in [
        "",
        "a@b\r\nBcc: c@d.example",
        "a@b.example, c@d.example",
        "a@@b.example",
        "Agent <a@b.example>\n",
        "<a@b.example> x",
        "ü@b.example",
    ] {
        assert_eq!(told(config(json!({ "from_address": from }))), ["from_address"], "{from:?}");
    }
    for to in [
        "",
        "a",
        "a@",
        "@b.example",
        "a b@c.example",
        "\"a b\"@c.example",
        "a@b.example>",
        "<a@b.example>",
        "a@b.example\n",
        "ü@b.example",
        "a@ü.example",
    ] {
        assert_eq!(told(config(json!({ "allowed_recipients": [to] }))), ["allowed_recipients.0"], "{to:?}");
    }
    assert_eq!(told(config(json!({ "allowed_recipients": [] }))), ["allowed_recipients"]);
    assert_eq!(told(config(json!({ "allowed_recipients": vec!["a@b.example"; 1_001] }))), ["allowed_recipients"]);
}

/// Opens with these credentials instead of the usual ones.
fn open(config: &Value, instead: &[(&str, &str)]) -> Option<OpenFault> {
    let mut credentials = KEYS.to_vec();
    credentials.retain(|(name, _)| instead.iter().all(|(other, _)| other != name));
    credentials.extend_from_slice(instead);
    try_open_on(&Host::isolated(), "smtp", "a", None, config, &credentials).err()
}

#[test]
fn host_and_port_are_checked_at_the_start() {
    let usual = config(json!({}));
    for port in ["0", "65536", "-1", "+25", "25 ", "587/tcp", "smtp", "0x19", "99999999999999999999", ""] {
        assert_eq!(open(&usual, &[("SMTP_PORT", port)]).unwrap().key.as_deref(), Some("SMTP_PORT"), "{port:?}");
    }
    for port in ["1", "25", "65535", "0587"] {
        assert_eq!(open(&usual, &[("SMTP_PORT", port)]), None, "{port}");
    }
    for host in [
        "mail.example:25",
        "mail.example:443",
        "mail.example/",
        "smtp://mail.example",
        "user@mail.example",
        "mail.example?x",
        "a b",
        "mail\r\n",
        "[::1",
        "",
    ] {
        assert_eq!(open(&usual, &[("SMTP_HOST", host)]).unwrap().key.as_deref(), Some("SMTP_HOST"), "{host:?}");
    }
    for host in ["mail.example", "MAIL.example.", "192.0.2.1", "::1", "[::1]", "localhost"] {
        assert_eq!(open(&usual, &[("SMTP_HOST", host)]), None, "{host}");
    }
}

#[test]
fn without_tls_only_this_machine_is_a_server() {
    for (host, fine) in [
        ("127.0.0.1", true),
        ("localhost", true),
        ("::1", true),
        ("2130706433", true),
        ("127.8.8.8", true),
        ("mail.example", false),
        ("10.0.0.1", false),
        ("localhost.example", false),
        ("0.0.0.0", false),
    ] {
        let fault = open(&config(json!({ "tls": "none" })), &[("SMTP_HOST", host)]);
        assert_eq!(fault.and_then(|fault| fault.key).as_deref(), (!fine).then_some("tls"), "{host}");
    }
}

#[test]
fn without_login_no_user_is_asked_for() {
    let declared = |config: Value| ModuleRegistry::with_builtin().get("smtp").unwrap().credentials(config.as_object().unwrap());
    let names = ["SMTP_HOST", "SMTP_PORT", "SMTP_USER", "SMTP_PASSWORD"].map(CredentialKey::required);
    assert_eq!(declared(json!({})), names);
    assert_eq!(declared(json!({ "auth": "password" })), names);
    assert_eq!(declared(json!({ "auth": "none" })), names[..2]);
    let empty = [("SMTP_USER", ""), ("SMTP_PASSWORD", "")];
    assert_eq!(open(&config(json!({ "auth": "none" })), &empty), None);
    assert_eq!(open(&config(json!({})), &empty).unwrap().key.as_deref(), Some("SMTP_USER"));
    let fault = open(&config(json!({})), &[("SMTP_PASSWORD", "canary\0")]).unwrap();
    assert!(fault.key.as_deref() == Some("SMTP_PASSWORD") && !fault.to_string().contains("canary"), "{fault}");
}
