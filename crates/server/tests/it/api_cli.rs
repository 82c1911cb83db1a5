//! The command line, at the machine and through the API: the same commands, the same shapes, the same exit codes.

use std::process::{Command, Output, Stdio};

use bailiwick_testkit::place::Place;
use serde_json::Value;

use crate::api::Town;
use crate::scene::talk;

/// The command line of somebody elsewhere, who has nothing but the address and a key.
fn remote(town: &Town, who: &str, args: &[&str]) -> Output {
    let place = Place::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(args).args(["--server", &town.app.base_url()]).env_clear();
    command.env("HOME", place.path()).env("BAILIWICK_KEY", town.key(who)).current_dir(place.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(std::fs::read_dir(place.path()).unwrap().next().is_none(), "{args:?} left something behind");
    output
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", talk(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Times, and who did it, differ.
fn without_circumstances(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            let mut circumstances = vec!["created_by", "updated_by", "id", "token", "digest", "unresolved_tools"];
            circumstances.extend(["server_id", "created", "modified", "modified_by"]);
            if members.contains_key("signal") {
                // The operator at the machine speaks in a name of his own.
                circumstances.extend(["sub", "source"]);
            }
            members.retain(|name, _| !name.ends_with("_at") && !circumstances.contains(&name.as_str()));
            members.values_mut().for_each(|member| *member = without_circumstances(member.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_circumstances(item.take())),
        _ => {}
    }
    value
}

#[test]
fn commands_give_the_same_here_and_there() {
    let town = Town::new("");
    let place = Place::new();
    let text = place.file("text.md", "Be brief.\n");
    let text = text.to_str().unwrap();
    let pairs: [&[&str]; 21] = [
        &["user", "add", "NEW", "--email", "new@acme.example", "--role", "group_admin"],
        &["user", "role", "NEW", "member"],
        &["user", "show", "NEW"],
        &["group", "create", "NEW", "--name", "Group NEW"],
        &["group", "add", "NEW", "ann", "--role", "group_admin"],
        &["group", "members", "NEW"],
        &["group", "remove", "NEW", "ann"],
        &["agent", "create", "NEW", "--agent-type", "reader"],
        &["agent", "assign", "NEW", "--group", "data", "--role", "group_admin"],
        &["agent", "disable", "NEW"],
        &["agent", "enable", "NEW"],
        &["key", "create", "--agent-id", "NEW", "--user", "ann", "--note", "for NEW"],
        &["instruction", "set", "rule", "NEW", "--file", text, "--title", "Tone", "--expected-version", "0"],
        &["instruction", "set", "rule", "NEW", "--file", text, "--expected-version", "1"],
        &["instruction", "show", "rule", "NEW", "--version", "1"],
        &["instruction", "history", "rule", "NEW"],
        &["instruction", "revert", "rule", "NEW", "1"],
        &["instruction", "delete", "rule", "NEW", "--yes"],
        &["feedback", "give", "gap", "missing_tool", "NEW"],
        &["group", "delete", "NEW", "--yes"],
        &["user", "remove", "NEW", "--yes"],
    ];
    for args in pairs {
        let named = |name: &str| -> Vec<String> {
            let args = args.iter().map(|arg| arg.replace("NEW", name));
            args.chain(["--org", "acme", "-o", "json"].map(str::to_owned)).collect()
        };
        let (here, there) = (named("here"), named("there"));
        let here = json(&town.app.command(&here.iter().map(String::as_str).collect::<Vec<_>>()));
        let there = json(&remote(&town, "org_admin", &there.iter().map(String::as_str).collect::<Vec<_>>()));
        let (here, there) = (without_circumstances(here).to_string(), without_circumstances(there).to_string());
        assert_eq!(here.replace("here", "NEW"), there.replace("there", "NEW"), "{args:?}");
    }
    for args in [&["user", "list"][..], &["group", "list"], &["agent", "list"], &["key", "list"], &["secret", "list"]] {
        let args: Vec<&str> = args.iter().copied().chain(["--org", "acme", "-o", "json"]).collect();
        let strip = |mut value: Value| {
            // When a key was last used is written down later than it is used.
            value.as_array_mut().unwrap().iter_mut().for_each(|row| {
                row.as_object_mut().unwrap().remove("last_used_at");
            });
            value
        };
        assert_eq!(strip(json(&town.app.command(&args))), strip(json(&remote(&town, "org_admin", &args))), "{args:?}");
    }
    for (args, who) in
        [(&["org", "list"][..], "platform_admin"), (&["org", "show", "acme"], "member"), (&["platform-admin", "list"], "platform_admin")]
    {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        assert_eq!(json(&town.app.command(&args)), json(&remote(&town, who, &args)), "{args:?}");
    }
    assert_eq!(talk(&town.app.command(&["user", "list", "--org", "acme"])), "");
    let (here, there) = (town.app.command(&["user", "list", "--org", "acme"]), remote(&town, "org_admin", &["user", "list"]));
    assert_eq!(String::from_utf8(here.stdout), String::from_utf8(there.stdout), "the organisation of the key is meant");
}

#[test]
fn servers_are_registered_the_same_here_and_there() {
    let town = Town::new("connections: {allow_loopback_http: true}\n");
    let both = |who: &str, args: &[&str]| {
        let named = |name: &str| -> Vec<String> {
            args.iter().map(|arg| arg.replace("NEW", name)).chain(["--org", "acme", "-o", "json"].map(str::to_owned)).collect()
        };
        let (here, there) = (named("here"), named("there"));
        let here = town.app.command(&here.iter().map(String::as_str).collect::<Vec<_>>());
        let there = remote(&town, who, &there.iter().map(String::as_str).collect::<Vec<_>>());
        (here, there)
    };
    let commands: [&[&str]; 17] = [
        &["server", "add", "NEW", "http://127.0.0.1:1/mcp", "--scope", "read", "--param", "prompt=consent"],
        &["server", "show", "NEW"],
        &["server", "update", "NEW", "--no-scopes", "--new-tools", "block"],
        &["server", "allow", "NEW", "search", "delete"],
        &["server", "tools", "NEW", "--block", "delete"],
        &["server", "allow", "NEW", "--none"],
        &["server", "allow", "NEW", "--unset"],
        &["server", "context", "NEW", "Ours."],
        &["server", "context", "NEW"],
        &["server", "context", "NEW", "--clear"],
        &["server", "retry", "NEW"],
        &["server", "connections", "NEW"],
        &["server", "doctor", "NEW"],
        &["server", "fallback", "service_only"],
        &["server", "fallback"],
        &["server", "show", "new"],
        &["server", "rm", "NEW", "--yes"],
    ];
    for args in commands {
        let (here, there) = both("org_admin", args);
        if args.contains(&"new") {
            assert_eq!((here.status.code(), there.status.code()), (Some(4), Some(4)));
            continue;
        }
        let (here, there) = (without_circumstances(json(&here)).to_string(), without_circumstances(json(&there)).to_string());
        assert_eq!(here.replace("here", "NEW"), there.replace("there", "NEW"), "{args:?}");
    }
    // Mistakes have one exit code and one sentence.
    for args in [
        &["server", "add", "a__b", "file:///etc/passwd", "--param", "state=1"][..],
        &["server", "tools", "absent"],
        &["server", "add", "NEW", "http://127.0.0.1:1/mcp", "--client-id", "us"],
    ] {
        let (here, there) = both("org_admin", args);
        assert!(matches!(here.status.code(), Some(2 | 4)), "{}", talk(&here));
        assert_eq!((here.status.code(), talk(&here)), (there.status.code(), talk(&there)), "{args:?}");
    }
    // From above: for whom a server is, and every server.
    json(&town.app.command(&["server", "add", "wall", "http://127.0.0.1:1/mcp", "--platform", "--mode", "auto", "-o", "json"]));
    for run in [&|args: &[&str]| town.app.command(args) as Output, &|args: &[&str]| remote(&town, "platform_admin", args)]
        as [&dyn Fn(&[&str]) -> Output; 2]
    {
        assert_eq!(json(&run(&["server", "orgs", "wall", "acme", "--yes", "-o", "json"]))["org_ids"], serde_json::json!(["acme"]));
        assert_eq!(json(&run(&["server", "orgs", "wall", "--everybody", "-o", "json"]))["org_ids"], serde_json::json!([]));
        assert!(json(&run(&["server", "list", "--all", "-o", "json"])).as_array().unwrap().iter().any(|row| row["display_name"] == "wall"));
    }
    // A link is for somebody; at the machine nobody is anybody.
    let link = |output: Output| {
        assert!(output.status.success(), "{}", talk(&output));
        assert!(String::from_utf8(output.stdout).unwrap().contains("/connect/acme/"));
    };
    assert_eq!(town.app.command(&["server", "connect", "wall", "--org", "acme"]).status.code(), Some(2));
    link(town.app.command(&["server", "connect", "wall", "--org", "acme", "--user", "bob"]));
    link(remote(&town, "himself", &["server", "connect", "wall"]));
    assert_eq!(remote(&town, "himself", &["server", "connect", "wall", "--user", "mia"]).status.code(), Some(3));
    assert_eq!(remote(&town, "himself", &["server", "disconnect", "wall"]).status.code(), Some(4));
}

#[test]
fn mistakes_have_their_exit_codes_there_too() {
    let town = Town::new("");
    let code = |who: &str, args: &[&str]| {
        let output = remote(&town, who, args);
        (output.status.code().unwrap(), talk(&output))
    };
    let (exit, text) = code("member", &["user", "list"]);
    assert_eq!(exit, 3);
    assert!(
        text.starts_with("error: the operation requires `group_admin`") && text.contains("\nhint: ") && text.contains("\nevent: "),
        "{text}"
    );
    assert_eq!(code("org_admin", &["user", "show", "ghost"]).0, 4);
    assert_eq!(code("org_admin", &["user", "list", "--org", "beta"]).0, 4);
    assert_eq!(code("org_admin", &["user", "add", "ann"]).0, 5);
    assert_eq!(code("org_admin", &["user", "remove", "ann", "--yes"]).0, 5);
    assert_eq!(code("org_admin", &["key", "create", "--agent-id", "worker", "--note", "a\u{202e}b"]).0, 2);
    assert_eq!(code("org_admin", &["key", "revoke", "0011223344556677", "--yes"]).0, 4);
    let place = Place::new();
    let bare = |server: &str, key: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command.args(["user", "list", "--server", server]).env_clear().env("HOME", place.path()).current_dir(place.path());
        command.envs(key.map(|key| ("BAILIWICK_KEY", key))).output().unwrap()
    };
    assert_eq!(bare(&town.app.base_url(), None).status.code(), Some(3), "no key");
    assert_eq!(bare(&town.app.base_url(), Some("bw_nonsense")).status.code(), Some(3));
    assert_eq!(bare("http://gateway.example", Some("bw_nonsense")).status.code(), Some(2), "in clear over the network");
    assert_eq!(bare("http://127.0.0.1:1", Some("bw_nonsense")).status.code(), Some(6), "nobody there");
    let file = place.file("key", format!("{}\n", town.key("org_admin")));
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(["user", "list"]).env_clear().env("HOME", place.path()).env("BAILIWICK_SERVER", town.app.base_url());
    assert!(command.env("BAILIWICK_KEY_FILE", file).output().unwrap().status.success());
}

#[test]
fn a_key_that_is_replaced_works_for_a_while_and_then_not() {
    let town = Town::new("");
    let made = json(&town.app.command(&["key", "create", "--org", "acme", "--agent-id", "worker", "-o", "json"]));
    let id = made["id"].as_str().unwrap();
    let rotated = json(&remote(&town, "org_admin", &["key", "rotate", id, "--overlap", "0", "-o", "json"]));
    assert_ne!(rotated["id"], made["id"]);
    let me = |key: &Value| crate::api::Ask::by(key["token"].as_str().unwrap()).send(&town.app, "GET", "/v1/me").status;
    assert_eq!(me(&rotated), 200);
    let began = std::time::Instant::now();
    while me(&made) != 401 {
        assert!(began.elapsed() < std::time::Duration::from_secs(2), "still works");
    }
    assert_eq!(remote(&town, "org_admin", &["key", "rotate", id]).status.code(), Some(5), "it works no more");
}
