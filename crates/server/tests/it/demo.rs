//! The demonstration, as a newcomer sees it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use bailiwick_testkit::place::Place;
use rustix::process::{Pid, Signal, kill_process};

fn demo(place: &Place, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.arg("demo").args(args).env_clear().env("TMPDIR", place.path()).current_dir(place.path()).stdin(Stdio::null());
    command
}

#[test]
fn once_shows_thirteen_steps_and_leaves_nothing_behind() {
    let place = Place::new();
    let output = demo(&place, &["--once"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    for step in 1..=13 {
        assert!(text.contains(&format!("\n{step:>2}. ")), "step {step} in {text}");
    }
    assert!(text.ends_with("\nAll 13 steps went as shown.\n") && !text.contains("FAILED"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour away from a terminal");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "the directory is gone");
}

#[test]
fn without_once_it_serves_on_with_a_configuration_to_paste() {
    let place = Place::new();
    let mut child = demo(&place, &[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains("claude mcp add")).unwrap();
    let url = line.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:")).unwrap().to_owned();
    let key = line.split("Bearer ").nth(1).unwrap().trim_end_matches('"').to_owned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tools = runtime.block_on(async {
        use bailiwick_testkit::client::{Client, Era};
        Client::http(&url, Era::Modern).bearer(&key).tool_names().await.unwrap()
    });
    assert_eq!(tools.len(), 6, "what is pasted works: {tools:?}");
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut rest));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "the directory is gone");
}
