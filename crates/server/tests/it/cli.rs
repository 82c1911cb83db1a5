//! The command line as scripts see it: streams, exit codes, forms.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use bailiwick_testkit::place::Place;
use serde_json::{Value, json};

use crate::scene::{setup, talk};

fn bailiwick(place: &Place, args: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(args).env_clear().env("HOME", place.path()).current_dir(place.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that does not read closes the pipe early.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn nothing_at_all_shows_the_help_on_stderr_with_2() {
    let place = Place::new();
    let output = bailiwick(&place, &[], "");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let help = talk(&output);
    for word in ["run ", "serve ", "demo ", "key ", "secret ", "audit ", "db ", "validate ", "schema ", "agent "] {
        assert!(help.contains(&format!("\n  {word}")), "{word} in {help}");
    }
    assert!(!help.contains("__"), "hidden commands stay hidden: {help}");
    let asked = bailiwick(&place, &["--help"], "");
    assert_eq!((asked.status.code(), asked.stderr.len()), (Some(0), 0));
    assert_eq!(bailiwick(&place, &["serve", "--nonsense"], "").status.code(), Some(2));
    let both = bailiwick(&place, &["--manifest", "m.yml", "org", "list"], "");
    assert!(both.status.code() == Some(2) && talk(&both).contains("`run`"), "one or the other: {}", talk(&both));
    assert!(bailiwick(&place, &["-o", "json", "org", "list"], "").status.success(), "options may stand before the command");
}

#[test]
fn secrets_come_from_stdin_or_a_file_and_are_never_shown() {
    let place = Place::new();
    let set = bailiwick(&place, &["secret", "set", "TOKEN"], "hunter-2-hunter-2\n");
    assert!(set.status.success(), "{}", talk(&set));
    place.file("value", "from a file\n");
    let file = bailiwick(&place, &["secret", "set", "OTHER", "--from-file", "value"], "");
    assert!(file.status.success(), "{}", talk(&file));
    let list = bailiwick(&place, &["secret", "list", "-o", "json"], "");
    let rows: Value = serde_json::from_slice(&list.stdout).unwrap();
    let names: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, [&json!("OTHER"), &json!("TOKEN")]);
    for output in [&set, &file, &list] {
        let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!all.contains("hunter") && !all.contains("from a file"), "{all}");
    }
    let empty = bailiwick(&place, &["secret", "set", "EMPTY"], "\n");
    assert_eq!(
        (empty.status.code(), talk(&empty)),
        (Some(2), "error: stdin holds no value\nhint: for example `bailiwick secret set NAME < file`\n".into())
    );
    let gone = bailiwick(&place, &["secret", "rm", "TOKEN", "--yes"], "");
    assert!(gone.status.success());
    assert_eq!(bailiwick(&place, &["secret", "rm", "TOKEN", "--yes"], "").status.code(), Some(4));
}

#[test]
fn without_a_home_the_configuration_or_the_environment_names_the_places() {
    let place = Place::new();
    let create = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command.args(["key", "create", "--agent-id", "a-1", "--agent-type", "a"]).env_clear();
        command.envs(variables.iter().copied()).current_dir(place.path()).output().unwrap()
    };
    let nowhere = create(&[]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(talk(&nowhere).contains("set `state_dir` in the configuration, or `HOME`"), "{}", talk(&nowhere));
    let keyless = create(&[("BAILIWICK_STATE_DIR", "state")]);
    assert_eq!(keyless.status.code(), Some(2));
    assert!(talk(&keyless).contains("set `root_key_file` in the configuration, or `HOME`"), "{}", talk(&keyless));

    let value = create(&[("BAILIWICK_STATE_DIR", "first"), ("BAILIWICK_ROOT_KEY", &"5a".repeat(32))]);
    assert!(value.status.success(), "{}", talk(&value));
    assert!(!talk(&value).contains("created the root key"), "{}", talk(&value));
    let named = create(&[("BAILIWICK_STATE_DIR", "second"), ("BAILIWICK_ROOT_KEY_FILE", "root.key")]);
    assert!(named.status.success(), "{}", talk(&named));
    assert!(place.path().join("root.key").is_file());
    place.file("bailiwick.yml", "state_dir: third\nroot_key_file: third.key\n");
    let written = create(&[]);
    assert!(written.status.success(), "{}", talk(&written));
    assert!(place.path().join("third.key").is_file() && place.path().join("third/ledger").is_dir());
}

#[test]
fn the_database_is_migrated_once() {
    let setup = setup("");
    let status = setup.command(&["db", "status"]);
    assert_eq!(status.status.code(), Some(6), "{}", talk(&status));
    let first: Value = serde_json::from_slice(&setup.command(&["db", "migrate", "-o", "json"]).stdout).unwrap();
    assert_eq!(first["version_before"], json!(0));
    assert!(!first["applied"].as_array().unwrap().is_empty());
    let second: Value = serde_json::from_slice(&setup.command(&["db", "migrate", "-o", "json"]).stdout).unwrap();
    assert_eq!((&second["version_before"], &second["applied"]), (&first["version"], &json!([])));
    assert!(setup.command(&["db", "status"]).status.success());
}

#[test]
fn the_shim_limits_and_becomes_the_program() {
    let place = Place::new();
    let parent = std::process::id().to_string();
    let script = "ulimit -c; ulimit -n; grep NoNewPrivs /proc/self/status; echo \"$1\"";
    let args = ["__stdio-exec", "--parent", &parent, "--", "/bin/sh", "-c", script, "sh", "an argument"];
    let output = bailiwick(&place, &args, "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n256\nNoNewPrivs:\t1\nan argument\n", "{}", talk(&output));
    let orphan = bailiwick(&place, &["__stdio-exec", "--parent", "1", "--", "/bin/true"], "");
    assert_eq!((orphan.status.code(), talk(&orphan)), (Some(1), "error: the gateway that started this server is gone\n".into()));
    let missing = bailiwick(&place, &["__stdio-exec", "--parent", &parent, "--", "/no/such/program"], "");
    assert_eq!(
        (missing.status.code(), talk(&missing)),
        (Some(1), "error: cannot start `/no/such/program`: No such file or directory (os error 2)\n".into())
    );
}
