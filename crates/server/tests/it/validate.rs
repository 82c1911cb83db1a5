//! `bailiwick validate`, and the same report where a start is refused.

use std::process::{Command, Output};

use bailiwick_testkit::place::Place;
use serde_json::{Value, json};

use crate::scene::talk;

/// A manifest without a mistake.
const GOOD: &str = "agent_type: a\nmodules: {files: {type: filesystem, mode: read, config: {base_path: /x}}}\n";

fn bailiwick(place: &Place, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(args).env_clear().env("HOME", place.path()).envs(variables.iter().copied()).current_dir(place.path());
    command.output().unwrap()
}

fn shown(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What `validate -o json` says about `text`: `severity line path message`, one a line.
fn said(text: &str, more: &[&str], variables: &[(&str, &str)]) -> String {
    let place = Place::new();
    place.file("m.yml", text);
    let output = bailiwick(&place, &[&["validate", "m.yml", "-o", "json"], more].concat(), variables);
    let mistakes: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", talk(&output)));
    let mistakes = mistakes.as_array().unwrap();
    let errors = mistakes.iter().any(|mistake| mistake["severity"] == json!("error"));
    assert_eq!(output.status.code(), Some(i32::from(errors)), "{mistakes:?}");
    let line = |m: &Value| {
        let word = |key: &str| m[key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}: {}", word("severity"), m["line"], word("path"), word("message"))
    };
    mistakes.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// One small manifest for each kind of mistake. `NAME` is a section behind the good manifest's two lines.
#[test]
fn every_kind_of_mistake_has_its_place_and_rule() {
    let section = |text: &str| format!("{GOOD}{text}");
    let module = |text: &str| format!("agent_type: a\nmodules:\n{text}");
    let configured = |text: &str| module(&format!("  files: {{type: filesystem, mode: read, config: {{base_path: /x, {text}}}}}\n"));
    for (text, expected) in [
        (module("  nfty: {}\n"), "error 3 modules.nfty: this build has no module `nfty`"),
        (module("  x: {type: sqllite, config: {}}\n"), "error 3 modules.x.type: this build has no module `sqllite`"),
        (configured("max_read_byts: 1"), "error 3 modules.files.config.max_read_byts: unknown key `max_read_byts`"),
        (configured("max_read_bytes: many"), "error 3 modules.files.config.max_read_bytes: must be a whole number, not text"),
        (configured("extended_tools: 2"), "error 3 modules.files.config.extended_tools: must be `true` or `false`, not a number"),
        (configured("hard_links: alow"), "error 3 modules.files.config.hard_links: must be `refuse` or `allow`"),
        (configured("layout: 'x/{agent}'"), "error 3 modules.files.config.layout: only `{agent_id}` and `{agent_type}` are replaced"),
        (configured("layout: '../{agent_id}'"), "error 3 modules.files.config.layout: contains `..`"),
        (configured("max_read_bytes: 0"), "error 3 modules.files.config.max_read_bytes: is out of range"),
        (module("  sqlite: {mode: read, config: {db_dir: /x, max_rows: 0}}\n"), "error 3 modules.sqlite.config.max_rows: is out of range"),
        (
            module("  sqlite: {mode: read, config: {db_dir: ''}}\n"),
            "error 3 modules.sqlite.config.db_dir: must not be empty: module `sqlite` needs it",
        ),
        (
            module(
                "  http_proxy: {mode: read, config: {allowed_services: [{name: a, base_url: 'https://a.example'}, {name: b, base_url: x}]}}\n",
            ),
            "error 3 modules.http_proxy.config.allowed_services[1].base_url",
        ),
        (
            module("  ntfy: {config: {topic: 'a b'}}\n"),
            "error 3 modules.ntfy.config.topic: is not the name of a topic once its fields are replaced",
        ),
        (configured("base_path: /y"), "error 3 modules.files.config.base_path: duplicate key `base_path`"),
        (module("  sqlite: {mode: read}\n"), "error 3 modules.sqlite.config.db_dir: missing key `db_dir`"),
        (
            module("  x__y: {type: filesystem, mode: read, config: {base_path: /x}}\n"),
            "error 3 modules.x__y: a module key is a letter, then letters, digits, `_` and `-`, at most 32, without `__` and not ending in `_`",
        ),
        (
            module("  p_: {type: mcp_proxy, config: {command: x}}\n"),
            "error 3 modules.p_: a module key is a letter, then letters, digits, `_` and `-`, at most 32, without `__` and not ending in `_`",
        ),
        (
            module("  a-b: {type: mcp_proxy, config: {command: x}}\n  A_B: {type: mcp_proxy, config: {command: x}}\n"),
            "error 4 modules.A_B: the name is too close to `modules.a-b`: letter case does not count, and `-` is `_`",
        ),
        (
            module("  p: {type: mcp_proxy, config: {command: x, url: 'https://h'}}\n"),
            "error 3 modules.p.config.command: `url` and `command` exclude each other (`url` is at line 3)",
        ),
        (
            section("rate_limits: {global: 5/day}\n"),
            "error 3 rate_limits.global: a rate is written `<N>/second`, `<N>/minute` or `<N>/hour`, N at most 1000000",
        ),
        (
            section("rate_limits:\n  per_tool:\n    \"fils_*\": 1/hour\n"),
            "warning 5 rate_limits.per_tool.fils_*: `fils_*` matches no tool of this manifest",
        ),
        (
            section("hitl: {approval_required:\n  [\"files_*\",\n  files_rm]}\n"),
            "warning 5 hitl.approval_required[1]: `files_rm` matches no tool of this manifest",
        ),
        (section("hitl: {shadow: [files_write_file]}\n"), "warning 3 hitl.shadow[0]: `files_write_file` matches no tool of this manifest"),
        (section("policy: {allow: [\"files_*\", \"x_*\"]}\n"), "warning 3 policy.allow[1]: `x_*` matches no tool of this manifest"),
        (
            module("  files: {type: filesystem, config: {base_path: /x}}\n"),
            "warning 3 modules.files: no `mode`: every tool of the module is offered, the writing ones too",
        ),
        (section("description: \"${NOPE}\"\n"), "error 3 description: environment variable `NOPE` is not set"),
        (
            section("credentials: {source: vault, vault: {addr: 'https://v', path: 'kv/{agent}'}}\n"),
            "error 3 credentials.vault.path: only `{agent_id}` and `{agent_type}` are replaced",
        ),
        (
            section("argument_filters:\n  - {name: n, pattern: 'a('}\n"),
            "error 4 argument_filters[0].pattern: not a pattern: unclosed group",
        ),
        (
            "agent_type: A_1\nmodules: {}\n".to_owned(),
            "error 1 agent_type: not a valid agent type: lower-case letters, digits, `_` and `-`, beginning with a letter or digit, at most 63 characters\nerror 2 modules: must not be empty",
        ),
        (section("modules: {}\n"), "error 3 modules: duplicate key `modules`"),
        (section("rate_limits: {global: 0/second}\n"), "warning 3 rate_limits.global: `0/second` lets no call through"),
        (
            section("rate_limits: {per_tool: {\"files_*\": 0/hour}}\n"),
            "warning 3 rate_limits.per_tool.files_*: `0/hour` lets no call through",
        ),
        (section("---\nagent_type: b\n"), "error 3 : a second YAML document begins here, and a file holds one"),
        ("agent_type: [\n".to_owned(), "error 1 : not valid YAML: unclosed bracket '['"),
        (
            "servers: {x: {command: x, allow_private: [10.0.0.1/8]}}\n".to_owned(),
            "error 1 servers.x.allow_private[0]: the address has bits set behind the prefix",
        ),
        ("limits: {idle_seconds: 0}\n".to_owned(), "error 1 limits.idle_seconds: must be a whole number from 1 to 3600"),
    ] {
        let said = said(&text, &["--no-credentials"], &[]);
        assert!(said == expected || (expected.ends_with("base_url") && said.starts_with(expected)), "{text}{said}");
    }
}

#[test]
fn the_report_reads_like_a_compilers() {
    let place = Place::new();
    place.file("bad.yml", "agent_type: a\nmodules:\n  files:\n    type: filesystem\n    moed: read\n    config: {base_path: 5}\n");
    let output = bailiwick(&place, &["validate", "bad.yml"], &[]);
    assert_eq!((output.status.code(), talk(&output)), (Some(1), "INVALID: bad.yml (manifest, 2 errors, 1 warning)\n".into()));
    let expected = "\
warning: no `mode`: every tool of the module is offered, the writing ones too
 --> bad.yml:3:3  modules.files
  |
3 |   files:
  |   ^^^^^
  = hint: write `mode: read` or `mode: write`

error: unknown key `moed`
 --> bad.yml:5:5  modules.files.moed
  |
5 |     moed: read
  |     ^^^^
  = hint: did you mean `mode`?

error: must be text, not a number
 --> bad.yml:6:25  modules.files.config.base_path
  |
6 |     config: {base_path: 5}
  |                         ^
  = hint: put it into quotes

";
    assert_eq!(shown(&output), expected);
    let colored = |variables: &[(&str, &str)]| shown(&bailiwick(&place, &["validate", "bad.yml"], variables)).contains('\u{1b}');
    assert!(colored(&[("CLICOLOR_FORCE", "1")]) && !colored(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn files_are_told_apart_and_each_has_its_verdict() {
    let place = Place::new();
    place.file("good.yml", GOOD);
    place.file("config.yml", "listen: 127.0.0.1:1\n");
    place.file("bad.yml", "agent_type: A\nmodules: {files: {type: filesystme}}\n");
    place.file("free.yml", "agent_type: a\nmodules: {filesystem: {config: {base_path: /x}}}\n");
    let good = bailiwick(&place, &["validate", "good.yml", "config.yml"], &[]);
    assert_eq!(
        (good.status.code(), talk(&good), good.stdout.len()),
        (Some(0), "OK: good.yml (manifest)\nOK: config.yml (configuration)\n".into(), 0)
    );
    let flat = bailiwick(&place, &["validate", "--manifest", "good.yml"], &[]);
    assert_eq!((flat.status.code(), talk(&flat)), (Some(0), "OK: good.yml (manifest)\n".into()));
    let all = bailiwick(&place, &["validate", "--manifest", "good.yml", "none.yml", "bad.yml", "free.yml", "-o", "json"], &[]);
    let verdicts = "OK: good.yml (manifest)\nINVALID: cannot read the file `none.yml`: No such file or directory (os error 2)\n\
                    INVALID: bad.yml (manifest, 2 errors)\nOK: free.yml (manifest, 1 warning)\n";
    assert_eq!((all.status.code(), talk(&all)), (Some(1), verdicts.into()));
    let mistakes: Value = serde_json::from_slice(&all.stdout).unwrap();
    let places: Vec<_> = mistakes.as_array().unwrap().iter().map(|m| (&m["file"], &m["path"], &m["line"])).collect();
    let expected = [
        (&json!("bad.yml"), &json!("agent_type"), &json!(1)),
        (&json!("bad.yml"), &json!("modules.files.type"), &json!(2)),
        (&json!("free.yml"), &json!("modules.filesystem"), &json!(2)),
    ];
    assert_eq!(places, expected);
    // What cannot be read is a manifest by its first keys, in JSON, too.
    place.file("twice.yml", "{\n  \"agent_type\": \"a\",\n  \"agent_type\": \"b\",\n  \"modules\": {\"filesystem\": {\"mode\": \"read\", \"config\": {\"base_path\": \"/x\"}}}\n}\n");
    assert_eq!(talk(&bailiwick(&place, &["validate", "twice.yml"], &[])), "INVALID: twice.yml (manifest, 1 error)\n");
    let strict = bailiwick(&place, &["validate", "--strict", "free.yml"], &[]);
    assert_eq!((strict.status.code(), talk(&strict)), (Some(1), "INVALID: free.yml (manifest, 1 error)\n".into()));
}

#[test]
fn a_file_is_what_its_keys_are_like() {
    let place = Place::new();
    for (text, verdict) in [
        ("", "INVALID: the file `x.yml` is empty, so it is neither a manifest nor a configuration\n"),
        ("# nothing\n---\n", "INVALID: the file `x.yml` is empty, so it is neither a manifest nor a configuration\n"),
        ("agnet_type: a\nmoduls: {filesystem: {mode: read, config: {base_path: /x}}}\n", "INVALID: x.yml (manifest, 4 errors)\n"),
        ("servers: {a: {}}\nagent-type: a\n", "INVALID: x.yml (manifest, 2 errors)\n"),
        ("Modules: {}\n", "INVALID: x.yml (manifest, 3 errors)\n"),
        ("compat: {status_tool: true}\n", "INVALID: x.yml (manifest, 2 errors)\n"),
        ("lisen: 127.0.0.1:1\n", "INVALID: x.yml (configuration, 1 error)\n"),
        ("listen: 127.0.0.1:1\nmodul: {}\n", "INVALID: x.yml (configuration, 1 error)\n"),
        ("servers: {a: {command: x}}\n", "OK: x.yml (configuration)\n"),
    ] {
        place.file("x.yml", text);
        let output = bailiwick(&place, &["validate", "x.yml"], &[]);
        assert_eq!(talk(&output), verdict, "{text}\n{}", shown(&output));
        assert_eq!(output.status.code(), Some(i32::from(verdict.starts_with("INVALID"))), "{text}");
    }
    place.file("typo.yml", "agnet_type: a\nmodules: {filesystem: {mode: read, config: {base_path: /x}}}\n");
    assert!(shown(&bailiwick(&place, &["validate", "typo.yml"], &[])).contains("= hint: did you mean `agent_type`?"));
}

#[test]
fn numbers_of_services_may_come_out_of_variables() {
    let text = "agent_type: a\nmodules:\n  http_proxy: {mode: read, config: {allowed_services: [{name: a, base_url: 'https://a.example', timeout_seconds: \"${N}\", follow_redirects: \"${F}\"}]}}\n";
    let path = "modules.http_proxy.config.allowed_services[0]";
    assert_eq!(said(text, &[], &[("N", "20"), ("F", "true")]), "");
    for (n, f, expected) in [
        ("900", "false", format!("error 3 {path}.timeout_seconds: is out of range")),
        ("x", "false", format!("error 3 {path}.timeout_seconds: is out of range")),
        ("1", "maybe", format!("error 3 {path}.follow_redirects: is not a boolean")),
    ] {
        assert_eq!(said(text, &[], &[("N", n), ("F", f)]), expected);
    }
}

#[test]
fn servers_are_looked_for_in_the_configuration_beside() {
    let place = Place::new();
    place.file("m.yml", "agent_type: a\nservers:\n  tickets: {}\n  serach: {}\n");
    place.file("b.yml", "servers: {tickets: {command: x}, search: {command: x}}\n");
    place.file("broken.yml", "servers: {tickets: {command: 5}}\n");
    assert_eq!(talk(&bailiwick(&place, &["validate", "m.yml"], &[])), "OK: m.yml (manifest)\n");
    let output = bailiwick(&place, &["validate", "m.yml", "b.yml"], &[]);
    assert_eq!(talk(&output), "INVALID: m.yml (manifest, 1 error)\nOK: b.yml (configuration)\n");
    let expected = "error: server `serach` is not configured\n --> m.yml:4:3  servers.serach\n  |\n4 |   serach: {}\n  |   ^^^^^^\n  \
                    = hint: did you mean `search`?\n\n";
    assert_eq!(shown(&output), expected);
    // What is wrong in the configuration is not told a second time.
    assert_eq!(
        talk(&bailiwick(&place, &["validate", "m.yml", "broken.yml"], &[])),
        "OK: m.yml (manifest)\nINVALID: broken.yml (configuration, 1 error)\n"
    );
    // Where servers are registered while the gateway runs, nobody knows beforehand which.
    place.file("open.yml", "connections: {}\n");
    assert_eq!(talk(&bailiwick(&place, &["validate", "m.yml", "open.yml"], &[])), "OK: m.yml (manifest)\nOK: open.yml (configuration)\n");
}

/// Two proxies that lend three secrets.
const LENDING: &str = "\
agent_type: a
modules:
  one: {type: mcp_proxy, config: {command: x, env: {A: '${secret:FIRST}', B: '${secret:SECOND}'}}}
  two: {type: mcp_proxy, config: {url: 'https://h/', headers: {X: '${secret:FIRST} ${secret:THIRD}'}}}
  three: {type: mcp_proxy, optional: true, config: {command: x, env: {A: '${secret:FOURTH}'}}}
";

#[test]
fn missing_credentials_of_all_modules_are_in_one_message() {
    let optional = "warning 5 modules.three: missing credentials: `FOURTH` (module `three`)";
    let all = "error 3 modules: missing credentials: `FIRST`, `SECOND` (module `one`), `FIRST`, `THIRD` (module `two`)";
    assert_eq!(said(LENDING, &[], &[]), format!("{all}\n{optional}"));
    assert_eq!(said(LENDING, &["--no-credentials"], &[]), "");
    // An empty value counts as missing.
    let variables = [("FIRST", "x"), ("SECOND", ""), ("THIRD", "x"), ("FOURTH", "x")];
    assert_eq!(said(LENDING, &[], &variables), "error 3 modules.one: missing credentials: `SECOND` (module `one`)");
    assert_eq!(said(LENDING, &[], &[("FIRST", "x"), ("SECOND", "x"), ("THIRD", "x"), ("FOURTH", "x")]), "");
}

#[test]
fn credentials_come_from_the_source_that_the_manifest_names() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let file = place.path().join("secrets.yml");
    place.file("secrets.yml", "FIRST: hunter2\nSECOND: 5\n");
    place.file("m.yml", format!("{LENDING}credentials: {{source: file, path: '{}'}}\n", file.display()));
    let validate = || {
        let output = bailiwick(&place, &["validate", "m.yml"], &[("THIRD", "not looked at")]);
        assert_eq!(output.status.code(), Some(1));
        assert!(!shown(&output).contains("hunter2"));
        shown(&output)
    };
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = validate();
    assert!(open.contains("chmod 600") && open.contains(" --> m.yml:6:14  credentials\n"), "{open}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let closed = validate();
    let hint = format!("= hint: add them to the secrets file `{}`; an empty value counts as missing", file.display());
    assert!(closed.contains("error: missing credentials: `THIRD` (module `two`)\n") && closed.contains(&hint), "{closed}");
}

#[test]
fn of_a_vault_only_the_login_is_looked_at() {
    let vault = "credentials: {source: vault, vault: {addr: 'https://vault.invalid', path: 'a/{agent_type}', role_id_env: ROLE}}\n";
    let place = Place::new();
    place.file("m.yml", format!("{LENDING}{vault}"));
    let validate = |variables: &[(&str, &str)]| {
        let output = bailiwick(&place, &["validate", "m.yml"], variables);
        (output.status.code(), shown(&output))
    };
    let (status, report) = validate(&[("ROLE", "")]);
    assert_eq!(status, Some(1), "{report}");
    assert!(report.contains("the environment has no ROLE and no VAULT_SECRET_ID, which the login to the vault needs"), "{report}");
    assert!(report.contains(" --> m.yml:6:14  credentials\n"), "{report}");
    let (status, report) = validate(&[("ROLE", "r"), ("VAULT_SECRET_ID", "hunter2")]);
    assert_eq!((status, report.contains("hunter2")), (Some(0), false), "{report}");
}

#[test]
fn starts_are_refused_with_the_same_report() {
    let place = Place::new();
    place.file("free.yml", "agent_type: a\nmodules: {filesystem: {config: {base_path: /x}}}\n");
    place.file("lending.yml", LENDING);
    place.file("ghost.yml", "agent_type: b\nservers: {ghost: {}}\n");
    place.file("bailiwick.yml", "listen: 127.0.0.1:0\nmanifests: [free.yml, lending.yml, ghost.yml]\n");
    let identity = [("AGENT_ID", "a-1"), ("AGENT_TYPE", "a")];
    let report = |files: &[&str]| shown(&bailiwick(&place, &[&["validate", "--strict"], files].concat(), &[]));

    let run = bailiwick(&place, &["run", "--strict", "--manifest", "free.yml"], &identity);
    let expected = format!("error: the manifest `free.yml` is not valid\n\n{}", report(&["free.yml"]).trim_end());
    assert_eq!((run.status.code(), talk(&run).trim_end().to_owned()), (Some(2), expected));
    assert_eq!(talk(&bailiwick(&place, &["--strict", "--manifest", "free.yml"], &identity)), talk(&run), "the flat form");

    let serve = bailiwick(&place, &["serve", "--strict"], &[]);
    assert_eq!(serve.status.code(), Some(2));
    let told = talk(&serve);
    for file in ["free.yml", "lending.yml", "ghost.yml"] {
        let block = report(&["bailiwick.yml", file]);
        assert!(!block.is_empty() && told.contains(block.trim_end()), "{file}: {told}");
        assert!(told.contains(&format!("error: the manifest `{file}` is not valid\n")), "{told}");
    }
    assert!(!place.path().join(".local").exists(), "nothing was opened");
}
