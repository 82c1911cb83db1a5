//! Children: this very test binary, started again as a server of the wanted kind, or a shell where signals have to be ignored.

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Duration;

use bailiwick_mcp::Json;
use bailiwick_mcp::client::{
    Cancel, EraSetting, Event, FaultKind, Launcher, List, Options, Outgoing, StdioCommand, Upstream, UpstreamState,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::client_fake::{call, call_within, options, outgoing, text, told};

const KIND: &str = "FAKE_CHILD";

fn child(kind: &str) -> StdioCommand {
    StdioCommand {
        program: std::env::current_exe().unwrap(),
        args: ["--exact", "client_stdio::acts_as_a_child_when_asked", "--nocapture"].map(OsString::from).to_vec(),
        env: vec![(KIND.into(), kind.into())],
        cwd: None,
        launcher: None,
    }
}

fn shell(script: &str) -> StdioCommand {
    StdioCommand { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()], env: Vec::new(), cwd: None, launcher: None }
}

fn upstream(kind: &str) -> Upstream {
    Upstream::stdio(child(kind), options())
}

/// The server side. Without the environment variable this is a test that has nothing to do.
#[test]
fn acts_as_a_child_when_asked() {
    #[allow(clippy::disallowed_methods, reason = "this is the entry point of the child")]
    let Ok(kind) = std::env::var(KIND) else { return };
    let mut server = Server { kind, cancelled: Vec::new(), answers: Vec::new() };
    if server.kind == "dies_at_start" {
        eprintln!("no licence found");
        std::process::exit(4);
    }
    for line in std::io::stdin().lock().lines() {
        let Ok(message) = serde_json::from_str(&line.unwrap()) else { std::process::exit(9) };
        server.hear(&message);
    }
    std::process::exit(0);
}

struct Server {
    kind: String,
    cancelled: Vec<Value>,
    answers: Vec<Value>,
}

fn say(message: &Value) {
    print_line(&message.to_string());
}

fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.write_all(b"\n").unwrap();
    out.flush().unwrap();
}

impl Server {
    fn hear(&mut self, message: &Value) {
        let id = &message["id"];
        let result = |result: Value| say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
        let error = |code: i64| say(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "no"}}));
        match (message["method"].as_str(), self.kind.as_str()) {
            (None, _) => self.answers.push(message.clone()),
            (Some("notifications/cancelled"), _) => self.cancelled.push(message["params"]["requestId"].clone()),
            (Some("notifications/initialized"), _) => {}
            (Some("server/discover"), "legacy" | "dies_at_call_legacy") => error(-32601),
            (Some("server/discover"), "silent_probe") => {}
            (Some("server/discover"), "dies_at_probe") => {
                eprintln!("expected initialize");
                std::process::exit(1);
            }
            (Some("server/discover"), "never_opens") => error(-32000),
            (Some("server/discover"), _) => result(crate::client_fake::discovery()),
            (Some("initialize"), "never_opens") => error(-32603),
            (Some("initialize"), _) => result(crate::client_fake::initialized("2025-06-18")),
            (Some("tools/list"), _) => result(json!({"tools": [{"name": "echo"}]})),
            (Some("tools/call"), _) => self.call(message),
            (Some(_), _) => error(-32601),
        }
    }

    fn call(&self, message: &Value) {
        let (id, params) = (&message["id"], &message["params"]);
        let result = |result: Value| say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
        let token = &params["_meta"]["progressToken"];
        match params["name"].as_str().unwrap() {
            "echo" => result(json!({"echo": params["arguments"], "id": id})),
            "hold" => {}
            "die" => {
                eprintln!("panicked at 'oh no'\n");
                std::process::exit(3);
            }
            "env" => result(json!(std::env::vars().collect::<std::collections::BTreeMap<_, _>>())),
            "cwd" => result(json!({"cwd": std::env::current_dir().unwrap()})),
            "cancelled" => result(json!(self.cancelled)),
            "answers" => result(json!(self.answers)),
            "meta" => result(json!({"meta": params["_meta"]})),
            "ask" => {
                for method in ["ping", "roots/list", "sampling/createMessage", "elicitation/create"] {
                    say(&json!({"jsonrpc": "2.0", "id": method, "method": method}));
                }
                result(json!({}));
            }
            "progress" => {
                for n in 0..3 {
                    say(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": n}}));
                }
                say(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
                result(json!({"id": id, "token": token}));
            }
            "mess" => {
                let stray = json!({"jsonrpc": "2.0", "id": 424_242, "result": {}}).to_string();
                for noise in [
                    "Server ready!",
                    "{",
                    "[]",
                    "null",
                    "\u{0}\u{1}",
                    &stray,
                    r#"{"jsonrpc":"2.0","id":"text","result":{}}"#,
                    r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}"#,
                ] {
                    print_line(noise);
                }
                result(json!({"first": true}));
                result(json!({"first": false}));
            }
            "invalid" => print_line(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"a":1,"a":2}}}}"#)),
            "long_line" => {
                let chunk = "x".repeat(1 << 20);
                print!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":\"");
                for _ in 0..100 {
                    print!("{chunk}");
                }
                print_line("\"}");
            }
            "flood" => loop {
                print_line("noise");
            },
            "close_output" => {
                // Ends standard output for good, and lives on: only a shell could do that to itself; so end instead.
                std::process::exit(0);
            }
            other => panic!("no tool {other}"),
        }
    }
}

#[tokio::test]
async fn both_eras_are_found_over_a_pipe() {
    for (kind, revision, restarts) in [("modern", "2026-07-28", 0), ("legacy", "2025-06-18", 0), ("dies_at_probe", "2025-06-18", 0)] {
        let upstream = upstream(kind);
        let probe = upstream.open().await.unwrap_or_else(|fault| panic!("{kind}: {fault}"));
        assert_eq!(probe.revision.as_str(), revision, "{kind}");
        let result = text(&call(&upstream, "echo", "{\n\"a\": 1.0\r\n}").await.unwrap());
        assert_eq!(result["echo"], json!({"a": 1.0}), "line breaks between tokens do not break the line");
        assert_eq!(upstream.list(List::Tools).await.unwrap().items[0].as_str(), r#"{"name":"echo"}"#);
        assert_eq!((upstream.status().state, upstream.status().restarts), (UpstreamState::Ready, restarts));
        let meta = text(&call(&upstream, "meta", "{}").await.unwrap())["meta"].clone();
        assert_eq!(meta.is_object(), revision == "2026-07-28");
        upstream.close().await;
        assert_eq!(upstream.status().state, UpstreamState::Closed);
    }
}

#[tokio::test]
async fn no_answer_to_the_probe_means_legacy() {
    let options = Options { probe_deadline: Duration::from_millis(300), ..options() };
    let upstream = Upstream::stdio(child("silent_probe"), options);
    assert_eq!(upstream.open().await.unwrap().revision.as_str(), "2025-06-18");
}

#[tokio::test]
async fn what_is_known_saves_the_probe() {
    let known = upstream("dies_at_probe").open().await.unwrap();
    let upstream = Upstream::stdio(child("dies_at_probe"), Options { known: Some(known), ..options() });
    upstream.open().await.unwrap();
    // A second process would have the number of the first request far behind it.
    assert_eq!(text(&call(&upstream, "echo", "{}").await.unwrap())["id"], 2);
    let forced = Upstream::stdio(child("legacy"), Options { era: EraSetting::Modern, ..options() });
    assert!(forced.open().await.unwrap_err().detail.contains("era: auto"));
}

#[tokio::test]
async fn the_child_gets_exactly_the_given_environment_and_place() {
    let mut command = child("modern");
    command.env.push(("ONLY".into(), "this".into()));
    command.cwd = Some(PathBuf::from("/"));
    let upstream = Upstream::stdio(command, options());
    let env = text(&call(&upstream, "env", "{}").await.unwrap());
    assert_eq!(env, json!({KIND: "modern", "ONLY": "this"}));
    assert_eq!(text(&call(&upstream, "cwd", "{}").await.unwrap())["cwd"], "/");
}

#[tokio::test]
async fn a_launcher_is_put_in_front() {
    let mut command = child("modern");
    command.launcher =
        Some(Launcher { program: "/bin/sh".into(), args: ["-c", r#"LAUNCHED=yes exec "$@""#, "sh"].map(OsString::from).to_vec() });
    let env = text(&call(&Upstream::stdio(command, options()), "env", "{}").await.unwrap());
    assert_eq!(env["LAUNCHED"], "yes");
}

#[tokio::test]
async fn many_callers_share_one_child_and_none_waits_for_another() {
    let upstream = upstream("modern");
    let cancel = Cancel::new();
    let held = call_within(&upstream, "hold", "{}", Duration::from_secs(60), &cancel);
    let others = async {
        let calls: Vec<_> = (0..50)
            .map(|number| {
                let upstream = upstream.clone();
                tokio::spawn(async move {
                    let (arguments, cancel) = (Json::from_serialize(&json!({"n": number})).unwrap(), Cancel::new());
                    (number, text(&upstream.call(outgoing("echo", &arguments, &cancel)).await.unwrap()))
                })
            })
            .collect();
        for call in calls {
            let (number, result) = call.await.unwrap();
            assert_eq!(result["echo"]["n"], number);
        }
        cancel.cancel();
    };
    let (held, ()) = tokio::join!(held, others);
    assert!(matches!(held.unwrap_err().kind, FaultKind::Cancelled));
}

#[tokio::test]
async fn the_child_hears_of_cancellation_timeout_and_lost_interest() {
    for kind in ["modern", "legacy"] {
        let upstream = upstream(kind);
        upstream.open().await.unwrap();
        let cancel = Cancel::new();
        let (fault, ()) = tokio::join!(call_within(&upstream, "hold", "{}", Duration::from_secs(60), &cancel), async {
            call(&upstream, "echo", "{}").await.unwrap();
            cancel.cancel();
        });
        assert!(fault.unwrap_err().sent);
        let fault = call_within(&upstream, "hold", "{}", Duration::from_millis(50), &Cancel::new()).await.unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Timeout) && fault.sent);
        let never = Cancel::new();
        tokio::select! {
            _ = call_within(&upstream, "hold", "{}", Duration::from_secs(60), &never) => panic!("answered"),
            _ = call(&upstream, "echo", "{}") => {}
        }
        let cancelled = text(&call(&upstream, "cancelled", "{}").await.unwrap());
        assert_eq!(cancelled.as_array().unwrap().len(), 3, "{kind}: {cancelled}");
    }
}

#[tokio::test]
async fn progress_and_notices_come_through() {
    let upstream = upstream("modern");
    let mut changes = upstream.notices();
    let (events, mut heard) = mpsc::channel(8);
    let (arguments, cancel) = (Json::from_static("{}"), Cancel::new());
    let result = text(&upstream.call(Outgoing { events: Some(events), ..outgoing("progress", &arguments, &cancel) }).await.unwrap());
    assert_eq!(result["id"], result["token"]);
    for n in 0..3 {
        let Some(Event::Progress(params)) = heard.recv().await else { panic!("no progress") };
        assert_eq!(text(&params), json!({"progress": n}));
    }
    assert!(heard.recv().await.is_none(), "the sender is gone with the call");
    assert_eq!(told(&mut changes), ["ToolsChanged"]);
}

#[tokio::test]
async fn the_childs_own_requests_are_answered() {
    let upstream = upstream("legacy");
    call(&upstream, "ask", "{}").await.unwrap();
    let answers = text(&call(&upstream, "answers", "{}").await.unwrap());
    let codes: Vec<(&str, i64)> =
        answers.as_array().unwrap().iter().map(|one| (one["id"].as_str().unwrap(), one["error"]["code"].as_i64().unwrap_or(0))).collect();
    assert_eq!(codes, [("ping", 0), ("roots/list", -32601), ("sampling/createMessage", -32601), ("elicitation/create", -32601)]);
    assert_eq!(answers[0]["result"], json!({}));
}

#[tokio::test]
async fn noise_between_the_lines_is_ignored() {
    let upstream = upstream("modern");
    assert_eq!(text(&call(&upstream, "mess", "{}").await.unwrap()), json!({"first": true}));
    call(&upstream, "echo", "{}").await.unwrap();
    let fault = call(&upstream, "invalid", "{}").await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Protocol), "an answer with a member twice fails its own caller at once: {fault:?}");
    call(&upstream, "echo", "{}").await.unwrap();
    assert_eq!(upstream.status().restarts, 0);
}

#[tokio::test]
async fn a_line_of_100_mb_hurts_only_its_caller() {
    let upstream = upstream("modern");
    let fault = call(&upstream, "long_line", "{}").await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::TooLarge), "{fault:?}");
    call(&upstream, "echo", "{}").await.unwrap();
    assert_eq!(upstream.status().restarts, 0);
}

#[tokio::test]
async fn a_result_beyond_the_limit_is_refused() {
    let upstream = Upstream::stdio(child("modern"), Options { result_bytes_max: 30, ..options() });
    let fault = call(&upstream, "echo", r#"{"a":"0123456789012345678901234567890"}"#).await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::TooLarge), "{fault:?}");
}

#[tokio::test]
async fn a_flood_ends_the_child() {
    let upstream = upstream("modern");
    let fault = call(&upstream, "flood", "{}").await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Closed) && fault.sent && fault.detail.contains("answer nothing"), "{fault:?}");
}

#[tokio::test]
async fn a_crash_fails_the_open_calls_and_the_next_call_starts_it_anew() {
    let upstream = upstream("modern");
    let mut changes = upstream.notices();
    upstream.open().await.unwrap();
    let cancel = Cancel::new();
    let (held, died) = tokio::join!(call_within(&upstream, "hold", "{}", Duration::from_secs(60), &cancel), call(&upstream, "die", "{}"));
    for fault in [held.unwrap_err(), died.unwrap_err()] {
        assert!(matches!(fault.kind, FaultKind::Closed) && fault.sent, "{fault:?}");
        assert!(fault.detail.contains("exit status: 3") && fault.detail.contains("oh no"), "status and last words: {fault}");
    }
    assert!(matches!(upstream.status().state, UpstreamState::Failing { .. }), "{:?}", upstream.status());
    call(&upstream, "echo", "{}").await.unwrap();
    assert_eq!((upstream.status().restarts, told(&mut changes)), (1, vec!["Reopened".to_owned()]));
}

#[tokio::test]
async fn a_child_that_keeps_dying_has_failed_after_six_starts() {
    let upstream = Upstream::stdio(child("dies_at_start"), Options { era: EraSetting::Legacy, ..options() });
    for _ in 0..6 {
        upstream.forgive_nothing_but_wait().await;
        let fault = call(&upstream, "echo", "{}").await.unwrap_err();
        assert!(!fault.sent && fault.detail.contains("no licence found"), "{fault:?}");
    }
    let UpstreamState::Failed { next_try, reason, .. } = upstream.status().state else { panic!("{:?}", upstream.status()) };
    assert!(next_try > Duration::from_secs(30) && reason.contains("exit status: 4"), "{next_try:?} {reason}");
    let fault = call(&upstream, "echo", "{}").await.unwrap_err();
    assert!(fault.detail.contains("failed too often"), "{fault}");
    upstream.forgive();
    let fault = call(&upstream, "echo", "{}").await.unwrap_err();
    assert!(fault.detail.contains("exit status: 4"), "an operator's word gives it another start: {fault}");
}

/// Waiting for the next attempt without real time going by.
trait Patience {
    async fn forgive_nothing_but_wait(&self);
}

impl Patience for Upstream {
    async fn forgive_nothing_but_wait(&self) {
        if let UpstreamState::Failing { next_try, .. } = self.status().state {
            tokio::time::pause();
            tokio::time::advance(next_try).await;
            tokio::time::resume();
        }
    }
}

#[tokio::test]
async fn what_cannot_be_started_says_so() {
    let mut command = child("modern");
    command.program = "/no/such/program".into();
    let fault = Upstream::stdio(command, options()).open().await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Unreachable) && fault.detail.contains("/no/such/program"), "{fault:?}");
    let fault = upstream("never_opens").open().await.unwrap_err();
    assert!(fault.detail.contains("probe") && matches!(fault.kind, FaultKind::Rpc(_)), "{fault:?}");
}

#[tokio::test]
async fn diagnostics_show_standard_error() {
    let upstream = upstream("modern");
    upstream.open().await.unwrap();
    assert!(upstream.diagnostics().is_some());
    assert!(Upstream::stdio(child("modern"), options()).diagnostics().is_none());
}

/// A legacy server written in shell: answers `initialize`, then runs `tail`.
fn stubborn(tail: &str) -> StdioCommand {
    let answer =
        r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"sh","version":"1"}}}"#;
    shell(&format!("read line; echo '{answer}'; {tail}"))
}

fn legacy() -> Options {
    Options { era: EraSetting::Legacy, ..options() }
}

fn alive(pid: i32) -> bool {
    // A process that has ended but was not waited for still has an entry; its state says so.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

async fn until_gone(pid: i32) {
    while alive(pid) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The number a child wrote into a file.
async fn pid_in(file: &std::path::Path) -> i32 {
    loop {
        if let Ok(text) = std::fs::read_to_string(file)
            && text.ends_with('\n')
        {
            return text.trim().parse().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("bailiwick-{}-{name}", std::process::id()))
}

#[tokio::test]
async fn stopping_ends_the_whole_family_even_if_it_ignores_every_request() {
    let file = scratch("family");
    // The child and its own child ignore the closed input and SIGTERM.
    let script =
        format!("trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $! > {}; while :; do sleep 1; done", file.display());
    let upstream = Upstream::stdio(stubborn(&script), legacy());
    upstream.open().await.unwrap();
    let grandchild = pid_in(&file).await;
    assert!(alive(grandchild));
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    upstream.close().await;
    assert!(
        begun.elapsed() >= Duration::from_secs(8) && begun.elapsed() < Duration::from_secs(9),
        "5 s, SIGTERM, 3 s, SIGKILL: {:?}",
        begun.elapsed()
    );
    tokio::time::resume();
    until_gone(grandchild).await;
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_polite_child_is_not_killed() {
    let file = scratch("polite");
    let script = format!("while read line; do :; done; echo 0 > {}", file.display());
    let upstream = Upstream::stdio(stubborn(&script), legacy());
    upstream.open().await.unwrap();
    upstream.close().await;
    assert_eq!(pid_in(&file).await, 0, "it saw the end of its input and ended by itself");
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_child_does_not_survive_its_last_handle() {
    let file = scratch("handle");
    let upstream = Upstream::stdio(stubborn(&format!("echo $$ > {}; while read line; do :; done", file.display())), legacy());
    let mut changes = upstream.notices();
    upstream.open().await.unwrap();
    let pid = pid_in(&file).await;
    assert!(alive(pid));
    drop(upstream);
    until_gone(pid).await;
    assert!(told(&mut changes).is_empty());
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn what_a_dead_child_left_behind_is_ended_too() {
    let file = scratch("orphan");
    let upstream = Upstream::stdio(stubborn(&format!("sleep 1000 & echo $! > {}; read line; read line", file.display())), legacy());
    upstream.open().await.unwrap();
    let orphan = pid_in(&file).await;
    // The notice of initialization was the first line; the call is the second, and ends the shell.
    let fault = call(&upstream, "x", "{}").await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Closed), "{fault:?}");
    until_gone(orphan).await;
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_child_that_does_not_read_blocks_only_its_own_callers() {
    let deaf = Upstream::stdio(stubborn("read line; sleep 1000"), legacy());
    deaf.open().await.unwrap();
    let big = Json::from_serialize(&json!({"x": "y".repeat(3 << 20)})).unwrap();
    let cancel = Cancel::new();
    let request = || deaf.call(Outgoing { deadline: Duration::from_millis(200), ..outgoing("x", &big, &cancel) });
    let (one, two) = tokio::join!(request(), request());
    let (one, two) = (one.unwrap_err(), two.unwrap_err());
    assert!(matches!(one.kind, FaultKind::Timeout) && matches!(two.kind, FaultKind::Timeout));
    assert!(one.sent && !two.sent, "the second was never begun");
    let good = upstream("modern");
    call(&good, "echo", "{}").await.unwrap();
}
