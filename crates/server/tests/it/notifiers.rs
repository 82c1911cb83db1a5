//! The modules that send something, all in one manifest, through the program: listed, called, refused, and silent about credentials.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::place::Place;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::scene::{code, text};

const HOOK: &str = "/services/T024BE7LD/B024BE7LH/q9Zx3vN7pL2mK8wR4tY6uI1o";
const TOKEN: &str = "tk_7f3c9a5e1d8b2f4c";
const PASSWORD: &str = "sesame-4711-canary";
/// `\0agent@mail.example\0sesame-4711-canary`, as it goes over the line.
const LOGIN: &str = "AGFnZW50QG1haWwuZXhhbXBsZQBzZXNhbWUtNDcxMS1jYW5hcnk=";

const MODULES: &str = "\
modules:
  ntfy:
    mode: write
    config: {max_priority: high}
  slack_webhook:
    mode: write
    config: {any_host: true}
  discord_webhook:
    mode: write
    config: {any_host: true}
  matrix:
    mode: write
    config: {allowed_rooms: ['!room:matrix.example']}
  smtp:
    mode: write
    config: {from_address: agent@mail.example, allowed_recipients: [ops@mail.example], tls: none}
";

/// Everything the services heard, one entry a request or a line.
type Heard = Arc<Mutex<Vec<String>>>;

/// Accepts on loopback and hands each connection over.
async fn listen<F: Future<Output = Option<()>> + Send + 'static>(talk: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream));
        }
    });
    address
}

/// Answers with `status`, and repeats the request as it came.
async fn web(stream: TcpStream, heard: Heard, status: u16) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            (stream.read_line(&mut head).await.ok()? > 0).then_some(())?;
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let request = format!("{head}{}", String::from_utf8(body).unwrap());
        heard.lock().unwrap().push(request.clone());
        let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{request}", request.len());
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// Takes mail, or refuses the login with its own words.
async fn mail(stream: TcpStream, heard: Heard, good: bool) -> Option<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.example\r\n").await.ok()?;
    let mut content = false;
    loop {
        let mut line = String::new();
        (stream.read_line(&mut line).await.ok()? > 0).then_some(())?;
        heard.lock().unwrap().push(line.trim_end().to_owned());
        let reply = match line.trim_end().split([' ', ':']).next()? {
            "." => "250 taken".to_owned(),
            _ if content => continue,
            "EHLO" => "250-mail.example\r\n250 AUTH PLAIN".to_owned(),
            "AUTH" if good => "235 welcome".to_owned(),
            "AUTH" => format!("535 not with {}", line.trim_end()),
            "DATA" => "354 go on".to_owned(),
            "QUIT" => "221 bye".to_owned(),
            _ => "250 fine".to_owned(),
        };
        content = reply.starts_with("354");
        stream.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
    }
}

/// Services that are well (`status` 200) or not, and the credentials that lead to them.
async fn services(status: u16) -> (Heard, Vec<(&'static str, String)>) {
    let heard = Heard::default();
    let log = heard.clone();
    let web = listen(move |stream| web(stream, log.clone(), status)).await;
    let log = heard.clone();
    let post = listen(move |stream| mail(stream, log.clone(), status == 200)).await;
    let credentials = vec![
        ("NTFY_URL", format!("http://{web}")),
        ("NTFY_TOKEN", TOKEN.to_owned()),
        ("SLACK_WEBHOOK_URL", format!("http://{web}{HOOK}")),
        ("DISCORD_WEBHOOK_URL", format!("http://{web}/api/webhooks/1{HOOK}")),
        ("MATRIX_HOMESERVER", format!("http://{web}")),
        ("MATRIX_ACCESS_TOKEN", TOKEN.to_owned()),
        ("SMTP_HOST", post.ip().to_string()),
        ("SMTP_PORT", post.port().to_string()),
        ("SMTP_USER", "agent@mail.example".to_owned()),
        ("SMTP_PASSWORD", PASSWORD.to_owned()),
    ];
    (heard, credentials)
}

fn program(place: &Place, manifest: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(["run", "--manifest", manifest]).env_clear().env("HOME", place.path());
    command.env("AGENT_ID", "n-1").env("AGENT_TYPE", "notifier").current_dir(place.path());
    command
}

const CALLS: [(&str, &str); 5] = [
    ("ntfy_send", r#"{"title": "Grüße", "message": "from ntfy", "priority": "urgent"}"#),
    ("slack_webhook_send", r#"{"text": "from slack <!channel>"}"#),
    ("discord_webhook_send", r#"{"content": "from discord"}"#),
    ("matrix_send", r#"{"room": "!room:matrix.example", "message": "from matrix"}"#),
    ("smtp_send", r#"{"to": "ops@mail.example", "subject": "s", "body": "from smtp"}"#),
];

/// Lists and calls every tool, then ends the program in order; the answers and what it said beside.
async fn run(command: Command) -> (Vec<Value>, String) {
    let client = Client::stdio(command, Era::LEGACY);
    client.open().await.unwrap_or_else(|fault| panic!("{fault:?} {}", client.stderr()));
    let mut names = client.tool_names().await.unwrap();
    names.sort();
    assert_eq!(names, ["discord_webhook_send", "matrix_send", "ntfy_send", "slack_webhook_send", "smtp_send"]);
    let mut answers = Vec::new();
    for (tool, arguments) in CALLS {
        answers.push(client.call(tool, serde_json::from_str(arguments).unwrap()).await.unwrap());
    }
    let stranger = client.call("smtp_send", json!({"to": "eve@mail.example", "subject": "s", "body": "b"})).await.unwrap();
    assert_eq!(code(&stranger), "scope_violation");
    assert!(client.close().await.unwrap().unwrap().success(), "{}", client.stderr());
    (answers, client.stderr())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_manifest_sends_everywhere_with_credentials_of_environment_and_file() {
    for from_file in [false, true] {
        let (heard, credentials) = services(200).await;
        let place = Place::new();
        let lines: String = credentials.iter().map(|(name, value)| format!("{name}: '{value}'\n")).collect();
        place.file("secrets.yml", lines);
        let source = if from_file { "credentials: {source: file, path: secrets.yml}\n" } else { "" };
        place.file("notifier.yml", format!("agent_type: notifier\n{source}{MODULES}"));
        let mut command = program(&place, "notifier.yml");
        if !from_file {
            command.envs(credentials);
        }
        let (answers, _) = run(command).await;
        for answer in &answers {
            assert_eq!((text(answer), &answer["structuredContent"]), ("true", &json!({"result": true})), "{answer}");
        }
        let heard = heard.lock().unwrap();
        let said = |parts: &[&str]| heard.iter().any(|request| parts.iter().all(|part| request.contains(part)));
        assert!(
            said(&["POST /agents-n-1 ", "priority: high\r\n", "title: =?utf-8?b?R3LDvMOfZQ==?=\r\n", TOKEN, "\r\n\r\nfrom ntfy"]),
            "{heard:#?}"
        );
        assert!(said(&["POST /services/T024", "{\"text\":\"from slack &lt;!channel>\"}"]), "{heard:#?}");
        assert!(said(&["POST /api/webhooks/1/", "\"content\":\"from discord\""]), "{heard:#?}");
        assert!(
            said(&["PUT /_matrix/client/v3/rooms/%21room%3Amatrix.example/send/m.room.message/", "\"body\":\"from matrix\""]),
            "{heard:#?}"
        );
        let mail: Vec<&str> = heard.iter().map(String::as_str).filter(|line| !line.contains("\r\n")).collect();
        let login = format!("AUTH PLAIN {LOGIN}");
        assert_eq!(mail[..4], ["EHLO [127.0.0.1]", &login, "MAIL FROM:<agent@mail.example>", "RCPT TO:<ops@mail.example>"]);
        assert!(mail.contains(&"from smtp") && !mail.iter().any(|line| line.contains("eve@")), "{mail:?}");
    }
}

/// Every service repeats in its refusal what it was told, and the credentials still show nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_services_show_no_credential() {
    let (heard, credentials) = services(404).await;
    let place = Place::new();
    place.file("notifier.yml", format!("agent_type: notifier\n{MODULES}"));
    let mut command = program(&place, "notifier.yml");
    command.envs(credentials);
    let (answers, stderr) = run(command).await;
    assert_eq!(
        answers.iter().map(code).collect::<Vec<_>>(),
        ["upstream_error", "upstream_error", "upstream_error", "upstream_error", "upstream_auth"]
    );
    let shown = format!("{answers:?} {stderr}");
    assert!(shown.contains("from discord"), "the services' words are there: {shown}");
    for secret in ["q9Zx3vN7pL2m", "T024BE7LD", TOKEN, PASSWORD, LOGIN] {
        assert!(heard.lock().unwrap().iter().any(|request| request.contains(secret)) || secret == PASSWORD, "{secret} was sent");
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[tokio::test]
async fn the_example_is_valid_and_names_all_missing_credentials() {
    let place = Place::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/manifests/notify-agent.yml");
    let mut command = program(&place, example);
    let output = command.env("AGENT_TYPE", "notify").stdin(Stdio::null()).output().await.unwrap();
    let said = crate::scene::talk(&output);
    assert!(!output.status.success());
    let names = ["NTFY_URL", "SLACK_WEBHOOK_URL", "DISCORD_WEBHOOK_URL", "MATRIX_HOMESERVER", "MATRIX_ACCESS_TOKEN"];
    for name in names.into_iter().chain(["SMTP_HOST", "SMTP_PORT", "SMTP_USER", "SMTP_PASSWORD"]) {
        assert!(said.contains(name), "{name} in {said}");
    }
}
