//! `smtp`: the conversation with the server, whatever it says or does not say (RFC 5321, 3207, 4954, 8314).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_model::Code;
use bailiwick_modules::{Cancel, Host, ToolFault};
use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::time;

use crate::canary::silent;
use crate::mail_server::{CLOSE, Heard, SILENCE, Script, network};
use crate::service::{Learned, host};
use crate::support::{Agent, try_open_on};
use crate::tls::pem;

const USER: &str = "agent@mail.example";
const PASSWORD: &str = "canary-öffne-dich-4711";
const HELLO: &str = "EHLO [127.0.0.1]";
const ENVELOPE: [&str; 3] = ["MAIL FROM:<agent@mail.example>", "RCPT TO:<ops@example.org>", "DATA"];

/// One try against a server with the certificate of the tests.
struct Try {
    result: Result<Value, ToolFault>,
    heard: Arc<Heard>,
    dialled: Vec<String>,
    learned: Vec<String>,
    passed: Duration,
}

struct At {
    host: &'static str,
    port: &'static str,
    /// Whether the certificate is trusted.
    trusted: bool,
    config: Value,
}

impl Default for At {
    fn default() -> Self {
        Self { host: "127.0.0.1", port: "587", trusted: true, config: json!({}) }
    }
}

async fn send(script: Script, at: At) -> Try {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, pem()).unwrap();
    let mut config = json!({ "from_address": "agent@mail.example", "allowed_recipients": ["ops@example.org"] });
    if at.trusted {
        config["ca_file"] = json!(file);
    }
    config.as_object_mut().unwrap().extend(at.config.as_object().unwrap().clone());
    let (mut network, heard) = network(script);
    network.names = [("mcp.example.com", "93.184.216.34"), ("other.example.com", "93.184.216.34"), ("inside.example.com", "10.0.0.1")]
        .map(|(name, address)| (name.to_owned(), vec![address.parse().unwrap()]))
        .into();
    let (network, learned) = (Arc::new(network), Arc::new(Learned::default()));
    let host = Host { secrets: learned.clone(), ..host(network.clone()) };
    let credentials = [("SMTP_HOST", at.host), ("SMTP_PORT", at.port), ("SMTP_USER", USER), ("SMTP_PASSWORD", PASSWORD)];
    let agent: Agent = try_open_on(&host, "smtp", "a", None, &config, &credentials).unwrap();
    let begin = time::Instant::now();
    let mail = json!({ "to": "ops@example.org", "subject": "s", "body": "b" });
    let result = agent.call_until("send", &mail, Instant::now() + Duration::from_secs(600), &Cancel::new()).await;
    let dialled = network.dialled.lock().unwrap().iter().map(ToString::to_string).collect();
    let learned = learned.0.lock().unwrap().clone();
    let tried = Try { result, heard, dialled, learned, passed: begin.elapsed() };
    if let Err(fault) = &tried.result {
        let encoded = [BASE64.encode(PASSWORD.as_bytes()), plain()];
        silent(fault, &["canary", "4711", &encoded[0][..16], &encoded[1][32..44]]);
    }
    tried
}

impl Try {
    fn lines(&self) -> Vec<String> {
        self.heard.lines.lock().unwrap().clone()
    }

    fn code(&self) -> Code {
        self.result.as_ref().unwrap_err().code
    }

    fn detail(&self, name: &str) -> Value {
        self.result.as_ref().unwrap_err().details.as_ref().unwrap()[name].clone()
    }
}

fn plain() -> String {
    BASE64.encode(format!("\0{USER}\0{PASSWORD}").as_bytes())
}

fn secured(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| format!("* {line}")).collect()
}

#[tokio::test(start_paused = true)]
async fn login_and_mail_go_under_tls() {
    let auth = format!("AUTH PLAIN {}", plain());
    let rest = secured(&[HELLO, &auth, ENVELOPE[0], ENVELOPE[1], ENVELOPE[2], "QUIT"]);
    let tried = send(Script::default(), At::default()).await;
    assert_eq!(tried.result, Ok(json!(true)));
    assert_eq!(tried.lines(), [vec![HELLO.to_owned(), "STARTTLS".to_owned()], rest.clone()].concat());
    assert_eq!(tried.dialled, ["127.0.0.1:587"]);
    for (port, config) in [("465", json!({})), ("2465", json!({ "tls": "implicit" }))] {
        let tried =
            send(Script { implicit: true, ..Script::default() }, At { host: "mcp.example.com", port, config, ..At::default() }).await;
        assert_eq!(tried.result, Ok(json!(true)));
        assert_eq!((tried.lines(), tried.dialled), (rest.clone(), vec![format!("93.184.216.34:{port}")]));
    }
    let tried = send(Script::default(), At { port: "465", config: json!({ "tls": "starttls" }), ..At::default() }).await;
    assert_eq!(tried.lines()[1], "STARTTLS");
}

#[tokio::test(start_paused = true)]
async fn a_server_on_this_machine_may_go_without() {
    let config = json!({ "tls": "none", "auth": "none" });
    let tried = send(Script::default(), At { host: "localhost", port: "25", config, ..At::default() }).await;
    assert_eq!(tried.result, Ok(json!(true)));
    assert_eq!(tried.lines(), [HELLO, ENVELOPE[0], ENVELOPE[1], ENVELOPE[2], "QUIT"]);
    assert_eq!(tried.dialled, ["127.0.0.1:25"], "no name server is asked who this machine is");
}

#[tokio::test(start_paused = true)]
async fn the_login_takes_the_offered_way() {
    let [user, password] = [USER, PASSWORD].map(|text| BASE64.encode(text.as_bytes()));
    for (offer, expected) in [
        (&["AUTH LOGIN"][..], vec!["AUTH LOGIN".to_owned(), user.clone(), password.clone()]),
        (&["auth=login"], vec!["AUTH LOGIN".to_owned(), user, password]),
        (&["AUTH CRAM-MD5 LOGIN PLAIN"], vec![format!("AUTH PLAIN {}", plain())]),
        (&["SIZE", "AUTH=PLAIN"], vec![format!("AUTH PLAIN {}", plain())]),
    ] {
        let tried = send(Script::default().offering(&["STARTTLS"], offer), At::default()).await;
        assert_eq!(tried.result, Ok(json!(true)), "{offer:?}");
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        assert_eq!(tried.lines()[3..3 + expected.len()], secured(&expected), "{offer:?}");
    }
    for offer in [&[][..], &["AUTH"], &["AUTH CRAM-MD5 XOAUTH2"], &["AUTHX PLAIN"], &["X-AUTH PLAIN"]] {
        // What was offered without TLS counts for nothing.
        let tried = send(Script::default().offering(&["STARTTLS", "AUTH PLAIN LOGIN"], offer), At::default()).await;
        assert_eq!((tried.code(), tried.lines().len()), (Code::UpstreamAuth, 3), "{offer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_tls_nothing_is_told() {
    for offer in [&[][..], &["AUTH PLAIN LOGIN"], &["XSTARTTLS", "STARTTLSX"]] {
        let tried = send(Script::default().offering(offer, &[]), At::default()).await;
        assert_eq!((tried.code(), tried.lines()), (Code::UpstreamAuth, vec![HELLO.to_owned()]), "{offer:?}");
    }
    for (reply, code) in [("454 no TLS now", Code::UpstreamError), ("502 what?", Code::UpstreamError), (CLOSE, Code::UpstreamProtocol)] {
        let tried = send(Script::default().saying("STARTTLS", reply), At::default()).await;
        assert_eq!((tried.code(), tried.lines().len()), (code, 2), "{reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn words_slipped_in_before_tls_are_not_taken_for_protected() {
    for injected in ["250-mail.example\r\n250 AUTH PLAIN", "250 x", "x"] {
        let tried = send(Script::default().saying("STARTTLS", format!("220 ready\r\n{injected}")), At::default()).await;
        assert_eq!((tried.code(), tried.lines().len()), (Code::UpstreamProtocol, 2), "{injected}");
    }
    // The same goes for every other reply.
    for verb in ["GREETING", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"] {
        let reply = match verb {
            "GREETING" => "220 x\r\n250 y",
            "EHLO" => "250-x\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n220 y",
            "AUTH" => "235 x\r\n250 y",
            "DATA" => "354 x\r\n250 y",
            _ => "250 x\r\n250 y",
        };
        let tried = send(Script::default().saying(verb, reply), At::default()).await;
        assert_eq!(tried.code(), Code::UpstreamProtocol, "{verb}");
        assert!(tried.heard.contents.lock().unwrap().is_empty(), "{verb}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_trusted_certificate_for_the_name_will_do() {
    for implicit in [false, true] {
        let config = if implicit { json!({ "tls": "implicit" }) } else { json!({}) };
        for (host, trusted) in [("127.0.0.1", false), ("mcp.example.com", false), ("other.example.com", true)] {
            let at = At { host, trusted, config: config.clone(), ..At::default() };
            let tried = send(Script { implicit, ..Script::default() }, at).await;
            assert_eq!(tried.code(), Code::UpstreamAuth, "{host}");
            assert!(tried.lines().iter().all(|line| !line.starts_with('*')), "{host}");
        }
    }
    // A server that knows no TLS at all says its greeting to our handshake.
    let tried = send(Script::default(), At { config: json!({ "tls": "implicit" }), ..At::default() }).await;
    assert_eq!(tried.code(), Code::UpstreamAuth);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_leads_inside_is_not_dialled() {
    let tried = send(Script::default(), At { host: "inside.example.com", ..At::default() }).await;
    assert_eq!((tried.code(), tried.dialled.len()), (Code::EgressDenied, 0));
    let opened = At { host: "inside.example.com", config: json!({ "allow_private": ["10.0.0.0/8"] }), ..At::default() };
    let tried = send(Script::default(), opened).await;
    assert_eq!((tried.code(), tried.dialled), (Code::UpstreamAuth, vec!["10.0.0.1:587".to_owned()]));
    assert_eq!(send(Script::default(), At { host: "unknown.example.com", ..At::default() }).await.code(), Code::UpstreamUnreachable);
}

/// A server that repeats what it was told in its refusal must not give it away.
#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_answered_at_once_and_shown_nowhere() {
    let [user, password] = [USER, PASSWORD].map(|text| BASE64.encode(text.as_bytes()));
    let told = format!("no: {} {user} {password} {PASSWORD}", plain());
    for (verb, offer) in [("AUTH", &["AUTH PLAIN"][..]), ("USER", &["AUTH LOGIN"]), ("PASSWORD", &["AUTH LOGIN"])] {
        for (status, code) in [
            (535, Code::UpstreamAuth),
            (530, Code::UpstreamAuth),
            (504, Code::UpstreamAuth),
            (454, Code::UpstreamError),
            (334, Code::UpstreamError),
        ] {
            if verb == "USER" && status == 334 {
                continue;
            }
            let tried =
                send(Script::default().offering(&["STARTTLS"], offer).saying(verb, format!("{status} {told}")), At::default()).await;
            assert_eq!((tried.code(), tried.detail("status")), (code, json!(status)), "{verb} {status}");
            assert_eq!(tried.detail("body"), Value::Null);
            assert!(tried.passed < Duration::from_secs(1), "{:?}", tried.passed);
            assert!(tried.lines().iter().all(|line| !line.contains("MAIL")));
        }
    }
    for verb in ["MAIL", "RCPT", "DATA", "END"] {
        for padding in [0, 470, 500] {
            let reply = format!("550 {}{told}", "x".repeat(padding));
            let tried = send(Script::default().saying(verb, reply), At::default()).await;
            assert_eq!(tried.code(), Code::UpstreamError, "{verb}");
            assert!(tried.detail("body").as_str().unwrap().contains("no: "), "{verb}");
        }
    }
    for secret in [plain(), user, password] {
        assert!(send(Script::default(), At::default()).await.learned.contains(&secret), "{secret}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_say_what_was_refused() {
    for (verb, reply, code, words) in [
        ("GREETING", "554 not you", Code::UpstreamError, "the connection (status 554)"),
        ("GREETING", "421 too busy", Code::UpstreamError, "the connection now (status 421)"),
        ("EHLO", "550 go away", Code::UpstreamError, "the greeting (status 550)"),
        ("MAIL", "550 not from you", Code::UpstreamError, "the sender (status 550)"),
        ("MAIL", "530 log in", Code::UpstreamAuth, "another login (status 530)"),
        ("RCPT", "550 5.1.1 nobody", Code::UpstreamError, "the recipient (status 550)"),
        ("RCPT", "451 greylisted", Code::UpstreamError, "the recipient now (status 451)"),
        ("DATA", "554 no", Code::UpstreamError, "the mail (status 554)"),
        ("END", "552-too\r\n552 large, see https://mail.example/?k=1", Code::UpstreamError, "the mail (status 552)"),
        ("END", "354 more", Code::UpstreamError, "the mail now (status 354)"),
    ] {
        let tried = send(Script::default().saying(verb, reply), At::default()).await;
        let fault = tried.result.as_ref().unwrap_err();
        assert_eq!(fault.code, code, "{verb} {reply}");
        assert!(fault.message.ends_with(words), "{}", fault.message);
        assert_eq!(tried.detail("status"), json!(reply[..3].parse::<u16>().unwrap()));
    }
    let tried = send(Script::default().saying("END", "552-too\r\n552 large,\u{1b}[31m see https://mail.example/?k=1"), At::default()).await;
    assert_eq!(tried.detail("body"), json!("too large, [31m see <url>"));
    assert!(send(Script::default().saying("RCPT", "251 forwarded"), At::default()).await.result.is_ok());
}

const VERBS: [&str; 7] = ["GREETING", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA"];

#[tokio::test(start_paused = true)]
async fn silence_ends_with_the_time_limit() {
    for verb in VERBS.into_iter().chain(["END"]) {
        for (seconds, config) in [(20, json!({})), (3, json!({ "timeout_seconds": 3 }))] {
            let tried = send(Script::default().saying(verb, SILENCE), At { config, ..At::default() }).await;
            assert_eq!((tried.code(), tried.detail("may_have_run")), (Code::UpstreamTimeout, json!(verb == "END")), "{verb}");
            assert_eq!(tried.passed.as_secs(), seconds, "{verb}");
        }
    }
    let tried = send(Script::default().saying("QUIT", SILENCE), At::default()).await;
    assert!(tried.result.is_ok() && tried.passed <= Duration::from_secs(2), "{:?}", tried.passed);
}

#[tokio::test(start_paused = true)]
async fn nonsense_and_broken_lines_are_faults() {
    let long = format!("250-{}", "x".repeat(2_100));
    let many = "250-x\r\n".repeat(101);
    for (reply, why) in [
        (CLOSE, "closed"),
        ("hello", "not SMTP"),
        ("25", "not SMTP"),
        ("2500", "not SMTP"),
        ("250_x", "not SMTP"),
        ("999 x", "not SMTP"),
        ("-50 x", "not SMTP"),
        ("２50 x", "not SMTP"),
        ("250-x\r\n220 y", "two codes"),
        (long.as_str(), "too long"),
        (many.as_str(), "too many lines"),
    ] {
        // One before TLS and two behind it; breaking off, anywhere.
        for verb in VERBS.into_iter().chain(["END"]).filter(|verb| reply == CLOSE || ["GREETING", "MAIL", "END"].contains(verb)) {
            let tried = send(Script::default().saying(verb, reply), At::default()).await;
            assert_eq!((tried.code(), tried.detail("may_have_run")), (Code::UpstreamProtocol, json!(verb == "END")), "{verb} {reply:.20}");
            let cause = tried.result.unwrap_err().cause.unwrap();
            assert!(cause.contains(why) || cause.contains("broke off"), "{verb} {reply:.20}: {cause}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_gives_up_ends_the_conversation() {
    let (network, heard) = network(Script::default().saying("EHLO", SILENCE));
    let config = json!({ "from_address": "agent@mail.example", "allowed_recipients": ["ops@example.org"], "auth": "none" });
    let credentials = [("SMTP_HOST", "127.0.0.1"), ("SMTP_PORT", "587")];
    let agent = try_open_on(&host(Arc::new(network)), "smtp", "a", None, &config, &credentials).unwrap();
    let mail = json!({ "to": "ops@example.org", "subject": "s", "body": "b" });
    let cancel = Cancel::new();
    let giving_up = async {
        time::sleep(Duration::from_secs(1)).await;
        cancel.cancel();
    };
    let calling = agent.call_until("send", &mail, Instant::now() + Duration::from_secs(600), &cancel);
    let (result, ()) = tokio::join!(calling, giving_up);
    assert_eq!((result.unwrap_err().code, heard.lines.lock().unwrap().len()), (Code::Cancelled, 1));
    let late = agent.call_until("send", &mail, Instant::now() + Duration::from_secs(5), &Cancel::new()).await;
    assert_eq!(late.unwrap_err().code, Code::UpstreamTimeout, "the call's deadline is nearer than the limit of the module");
}
