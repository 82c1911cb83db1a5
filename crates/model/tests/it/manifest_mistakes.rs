//! What is said about a bad manifest: whole messages.

use crate::catalog::{bad, good};

/// One small mistake in a manifest that is good otherwise.
#[track_caller]
fn says(section: &str, expected: &str) {
    let text = format!("agent_type: a\nmodules: {{filesystem: {{mode: read, config: {{base_path: /x}}}}}}\n{section}");
    assert_eq!(bad(&text), expected);
}

#[track_caller]
fn module_says(modules: &str, expected: &str) {
    assert_eq!(bad(&format!("agent_type: a\nmodules:\n{modules}")), expected);
}

#[test]
fn all_mistakes_in_one_pass_in_the_order_of_the_file() {
    let text = "agent_type: Research
descripton: x
modules:
  docs:
    type: filesystem
    moed: read
    config:
      base_path: 5
      max_read_byte: 10
  sqlite:
    mode: readonly
  pigeon: {}
rate_limits:
  global: 100 per minute
";
    let expected = "\
error: not a valid agent type: lower-case letters, digits, `_` and `-`, beginning with a letter or digit, at most 63 characters
  --> agent.yml:1:13  agent_type

error: unknown key `descripton`
  --> agent.yml:2:1  descripton
hint: did you mean `description`?

error: unknown key `moed`
  --> agent.yml:6:5  modules.docs.moed
hint: did you mean `mode`?

error: must be text, not a number
  --> agent.yml:8:18  modules.docs.config.base_path
hint: put it into quotes

error: unknown key `max_read_byte`
  --> agent.yml:9:7  modules.docs.config.max_read_byte
hint: did you mean `max_read_bytes`?

error: missing key `db_dir`
  --> agent.yml:11:5  modules.sqlite.config.db_dir
hint: module `sqlite` needs it: directory that holds the agents' databases

error: must be `read` or `write`
  --> agent.yml:11:11  modules.sqlite.mode
hint: did you mean `read`?

error: this build has no module `pigeon`
  --> agent.yml:12:3  modules.pigeon
hint: modules of this build: filesystem, mcp_proxy, note, sqlite; `type` names the module when the key does not

error: a rate is written `<N>/second`, `<N>/minute` or `<N>/hour`, N at most 1000000
  --> agent.yml:14:11  rate_limits.global";
    assert_eq!(bad(text), expected);
}

#[test]
fn the_document_as_a_whole() {
    let missing = "error: missing key `agent_type`\n  --> agent.yml:1:1  agent_type\n\n\
                   error: missing key `modules`\n  --> agent.yml:1:1  modules\nhint: a manifest lists at least one module or server";
    assert_eq!(bad("description: x\n"), missing);
    assert_eq!(bad(""), "error: must be a mapping, not nothing\n  --> agent.yml:1:1");
    assert_eq!(bad("- a\n"), "error: must be a mapping, not a list\n  --> agent.yml:1:1");
    assert_eq!(bad("a: [1\n"), "error: not valid YAML: unclosed bracket '['\n  --> agent.yml:1:4");
    module_says(
        "  {}\n",
        "error: must not be empty\n  --> agent.yml:3:3  modules\nhint: list at least one module, or leave `modules` out and list `servers`",
    );
}

#[test]
fn modules() {
    module_says(
        "  fs: {type: filesystm, config: {}}\n",
        "error: this build has no module `filesystm`\n  --> agent.yml:3:14  modules.fs.type\n\
         hint: did you mean `filesystem`? modules of this build: filesystem, mcp_proxy, note, sqlite",
    );
    module_says(
        "  a__b: {type: filesystem, mode: read, config: {base_path: ''}}\n",
        "error: a module key is a letter, then letters, digits, `_` and `-`, at most 32, without `__` and not ending in `_`\n  \
         --> agent.yml:3:3  modules.a__b\nhint: the key prefixes the names of the module's tools\n\n\
         error: must not be empty: module `filesystem` needs it\n  --> agent.yml:3:60  modules.a__b.config.base_path",
    );
    module_says(
        "  sqlite: {mode: read, config: {db_path: /x/y.db}}\n",
        "error: missing key `db_dir`\n  --> agent.yml:3:32  modules.sqlite.config.db_dir\n\
         hint: module `sqlite` needs it: directory that holds the agents' databases\n\n\
         error: `db_path` is no longer accepted: every agent has its own file\n  --> agent.yml:3:33  modules.sqlite.config.db_path\n\
         hint: write `db_dir` with the directory; the file in it is `agent_<agent_id>.db`",
    );
    module_says(
        "  docs-a: {type: filesystem, mode: read, config: {base_path: /x}}\n  Docs_A: {type: sqlite, mode: read, config: {db_dir: /x}}\n",
        "error: the name is too close to `modules.docs-a`: letter case does not count, and `-` is `_`\n  \
         --> agent.yml:4:3  modules.Docs_A\nhint: rename one of them",
    );
}

#[test]
fn tools_of_two_modules_must_not_have_one_name() {
    // `x_read_file` of key `a` would need such a tool; here key `a_read` with the tool `file` does not exist, but `note` has `send`.
    module_says(
        "  note: {config: {allowed_recipients: [x]}}\n  NOTE: {type: note, config: {allowed_recipients: [x]}}\n",
        "error: the name is too close to `modules.note`: letter case does not count, and `-` is `_`\n  --> agent.yml:4:3  modules.NOTE\n\
         hint: rename one of them\n\n\
         error: its tool `NOTE_send` has the same name as one of module `note`\n  --> agent.yml:4:3  modules.NOTE\n\
         hint: rename one of the modules",
    );
}

#[test]
fn module_configuration() {
    let config = |config: &str, expected: &str| {
        module_says(&format!("  n: {{type: note, config: {{allowed_recipients: [x], {config}}}}}\n"), expected);
    };
    let at = |column: u32, key: &str| format!("\n  --> agent.yml:3:{column}  modules.n.config.{key}");
    config("factor: x", &format!("error: must be a number, not text{}", at(61, "factor")));
    config(
        "max_priority: hihg",
        &format!("error: must be one of `min`, `low`, `default`, `high`, `urgent`{}\nhint: did you mean `high`?", at(67, "max_priority")),
    );
    config("labels: [a]", &format!("error: must be a mapping, not a list{}", at(61, "labels")));
    config("labels: {a: 1.5}", &format!("error: must be text, not a number{}\nhint: put it into quotes", at(65, "labels.a")));
    config("services: {}", &format!("error: must be a list, not a mapping{}", at(63, "services")));
    config(
        "extra: {a: \"x${secret:Q}\"}",
        &format!(
            "error: a secret cannot stand here{}\nhint: `${{secret:NAME}}` is filled in under `headers` and `env` only",
            at(64, "extra.a")
        ),
    );
    module_says(
        "  f: {type: filesystem, mode: read, config: {base_path: /x, layout: '{agent_id.x}', max_read_bytes: -1, extended_tools: 2}}\n",
        "error: only `{agent_id}` and `{agent_type}` are replaced\n  --> agent.yml:3:69  modules.f.config.layout\n\n\
         error: must be a whole number from 0 to 9007199254740991\n  --> agent.yml:3:101  modules.f.config.max_read_bytes\n\n\
         error: must be `true` or `false`, not a number\n  --> agent.yml:3:121  modules.f.config.extended_tools",
    );
}

#[test]
fn proxies() {
    let proxy = |config: &str, expected: &str| module_says(&format!("  p: {{type: mcp_proxy, config: {{{config}}}}}\n"), expected);
    proxy(
        "",
        "error: missing key `url`\n  --> agent.yml:3:32  modules.p.config.url\n\
         hint: give `url` for a server over HTTP, or `command` for a child process",
    );
    proxy(
        "url: https://h, command: x",
        "error: `url` and `command` exclude each other (`url` is at line 3)\n  --> agent.yml:3:58  modules.p.config.command\nhint: keep one of them",
    );
    proxy(
        "url: \"https://u:hunter2@h/\", era: modren",
        "error: an address has no user name and password; put the credential into `headers`\n  --> agent.yml:3:38  modules.p.config.url\n\n\
         error: must be one of `auto`, `legacy`, `modern`, `2026-07-28`, `2025-11-25`, `2025-06-18`, `2025-03-26`, `2024-11-05`\n  \
         --> agent.yml:3:67  modules.p.config.era\nhint: did you mean `modern`?",
    );
    proxy(
        "url: 'https://h', headers: {Host: x, 'a b': y, X-A: \"a\\nb\", x-b: 1, X-B: 2}",
        "error: header `host` is set by the gateway\n  --> agent.yml:3:61  modules.p.config.headers.Host\n\n\
         error: not a valid header name\n  --> agent.yml:3:70  modules.p.config.headers.a b\n\n\
         error: a header value has no line breaks and control characters\n  --> agent.yml:3:85  modules.p.config.headers.X-A\n\n\
         error: is given twice; letter case does not count\n  --> agent.yml:3:106  modules.p.config.headers.X-B",
    );
    proxy(
        "command: x, env: {1A: x}, discovery_timeout_seconds: 0, tool_alowlist: []",
        "error: not a valid name of an environment variable\n  --> agent.yml:3:51  modules.p.config.env.1A\n\n\
         error: must be a number of seconds above 0 up to 86400\n  --> agent.yml:3:86  modules.p.config.discovery_timeout_seconds\n\n\
         error: unknown key `tool_alowlist`\n  --> agent.yml:3:89  modules.p.config.tool_alowlist\nhint: did you mean `tool_allowlist`?",
    );
}

/// Mistakes of one server's `arguments`.
#[track_caller]
fn arguments_say(arguments: &str, expected: &str) {
    assert_eq!(bad(&format!("agent_type: a\nservers:\n  s:\n    arguments: {{{arguments}}}\n")), expected);
}

#[test]
fn bound_arguments() {
    let at = |column: u32, path: &str| format!("\n  --> agent.yml:4:{column}  servers.s.arguments.{path}");
    arguments_say(
        "t: {a: {fixd: x}}",
        &format!(
            "error: missing key `fixed`{}\nhint: say what the argument may be: `fixed`, `hidden`, `default`, `prefix` or `allow`\n\n\
         error: unknown key `fixd`{}\nhint: did you mean `fixed`?",
            at(24, "t.a.fixed"),
            at(25, "t.a.fixd")
        ),
    );
    arguments_say(
        "t: {a: {fixed: x, allow: [y]}}",
        &format!("error: `fixed` and `allow` exclude each other{}\nhint: keep one of the two", at(42, "t.a.allow")),
    );
    arguments_say(
        "t: {a: {hidden: true, default: y}}",
        &format!(
            "error: `hidden` and `default` exclude each other{}\nhint: an argument that the agent cannot give needs no default",
            at(48, "t.a.default")
        ),
    );
    arguments_say("t: {a: {hidden: false}}", &format!("error: `false` says nothing{}\nhint: remove the key", at(33, "t.a.hidden")));
    arguments_say(
        "t: {a: {allow: []}}",
        &format!(
            "error: must not be empty{}\nhint: an argument that no value fits: write `hidden: true`, or deny the tool",
            at(32, "t.a.allow")
        ),
    );
    arguments_say(
        "t: {a: {allow: [[x], {}]}}",
        &format!(
            "error: must be text, not a list{}\n\nerror: must be text, not a mapping{}",
            at(33, "t.a.allow[0]"),
            at(38, "t.a.allow[1]")
        ),
    );
    arguments_say(
        "t: {a: {fixed: '{org}'}}",
        &format!("error: only `{{agent_id}}` and `{{agent_type}}` are replaced{}", at(32, "t.a.fixed")),
    );
    arguments_say(
        "t: {a: {prefix: 'x/{agent_id}'}}",
        &format!(
            "error: agents with similar names could reach each other's: `a` also fits what belongs to `a-b`{}\n\
         hint: put a character that no agent id has beside it, such as `/` or `:`",
            at(33, "t.a.prefix")
        ),
    );
    arguments_say(
        "t: {a: {allow: ['{agent_id}-*']}}",
        &format!(
            "error: agents with similar names could reach each other's: `a` also fits what belongs to `a-b`{}\n\
         hint: put a character that no agent id has beside it, such as `/` or `:`",
            at(33, "t.a.allow[0]")
        ),
    );
    arguments_say(
        "t: {a: {prefix: x/, default: y}}",
        &format!(
            "error: the argument's own rule refuses it{}\nhint: write a default that the rule beside it lets through",
            at(46, "t.a.default")
        ),
    );
    arguments_say(
        "t: {a//b: {fixed: 1}}",
        &format!("error: a name on the way to an argument is empty; write `argument` or `argument/member`{}", at(21, "t.a//b")),
    );
    arguments_say(
        "t: {a: {fixed: 1}, a/b: {fixed: 1}}",
        &format!(
            "error: lies on the way of `a`, which has a rule of its own{}\nhint: bind the whole argument or parts of it, not both",
            at(36, "t.a/b")
        ),
    );
    arguments_say(
        "'t*': {a: {fixed: 1}}, tx: {a/b: {fixed: 1}}",
        &format!("error: `a/b` is bound twice for one tool: by `t*` and by `tx`{}\nhint: keep one of the two rules", at(40, "tx")),
    );
    arguments_say("t: {}", &format!("error: binds nothing{}\nhint: name at least one argument, or remove the entry", at(20, "t")));
    arguments_say("'a b': {a: {fixed: 1}}", &format!("error: a glob has only visible ASCII characters{}", at(17, "a b")));
    module_says(
        "  p: {type: mcp_proxy, config: {url: 'https://h', arguments: {t: {a: {alow: [x]}}}}}\n",
        "error: missing key `fixed`\n  --> agent.yml:3:70  modules.p.config.arguments.t.a.fixed\n\
         hint: say what the argument may be: `fixed`, `hidden`, `default`, `prefix` or `allow`\n\n\
         error: unknown key `alow`\n  --> agent.yml:3:71  modules.p.config.arguments.t.a.alow\nhint: did you mean `allow`?",
    );
}

#[test]
fn rules_that_never_match_and_prefixes_within_a_name() {
    let text = "agent_type: a\nservers: {s: {tools: {deny: [t]}, arguments: {t: {a: {prefix: x}}}}}\n";
    let (_, warnings) = good(text);
    let told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "warning: `t` never matches: the server's lists leave this tool out\n  --> agent.yml:2:47  servers.s.arguments.t\nhint: admit the tool, or remove its rules",
            "warning: the prefix ends within a name: it also lets longer names through\n  --> agent.yml:2:63  servers.s.arguments.t.a.prefix\n\
         hint: end it with `/`, or list the names under `allow`",
        ]
    );
}

#[test]
fn sections() {
    says(
        "credentials: {source: file}\n",
        "error: missing key `path`\n  --> agent.yml:3:14  credentials.path\nhint: `source: file` reads the credentials from the YAML mapping at `path`",
    );
    says(
        "credentials: {source: vault, vault: {addr: vault, path: a/../b, kv_version: 3}}\n",
        "error: an address begins with `https://` or `http://`\n  --> agent.yml:3:44  credentials.vault.addr\n\n\
         error: must not contain `..`\n  --> agent.yml:3:57  credentials.vault.path\n\n\
         error: must be a whole number from 1 to 2\n  --> agent.yml:3:77  credentials.vault.kv_version",
    );
    for mount in ["/kv", "kv/", "kv//x", "../kv", "kv/.x", "."] {
        let text = format!("credentials: {{source: vault, vault: {{addr: 'https://v', path: x, mount: {mount}}}}}\n");
        says(
            &text,
            "error: must be the path of a mount, such as `secret`, without `/` at its ends and without `..`\n  \
             --> agent.yml:3:73  credentials.vault.mount",
        );
    }
    says(
        "state_backend: {type: dragonfly}\n",
        "error: missing key `url`\n  --> agent.yml:3:16  state_backend.url\nhint: `type: dragonfly` needs the address of the server",
    );
    says(
        "argument_filters: [{name: x}, {name: y, pattern: a, fields: []}, {name: z, pattern: a, action: redact}]\n",
        "error: missing key `pattern`\n  --> agent.yml:3:20  argument_filters[0].pattern\n\n\
         error: must not be empty\n  --> agent.yml:3:61  argument_filters[1].fields\nhint: leave it out to look at every argument\n\n\
         error: must be `block` or `warn`\n  --> agent.yml:3:96  argument_filters[2].action",
    );
    says(
        "hitl: {mode: interactive, timeout_seconds: 0, notify: {type: ntfy, topic: a b}, signing: {mode: enforce}}\n",
        "error: `interactive` excludes `signing.mode: enforce`\n  --> agent.yml:3:14  hitl.mode\nhint: use `mode: enforce`\n\n\
         error: must be a whole number from 1 to 2592000\n  --> agent.yml:3:44  hitl.timeout_seconds\n\n\
         error: must be letters, digits, `_` and `-`, at most 64\n  --> agent.yml:3:75  hitl.notify.topic\n\n\
         error: missing key `public_key_path`\n  --> agent.yml:3:90  hitl.signing.public_key_path\nhint: decisions are checked against this key",
    );
    says(
        "servers: {a__b: {}, t: {mode: x, tools: {alow: []}}, filesystem: }\npolicy: {deny: [\"a b\"]}\n",
        "error: not a valid server name: a letter, then letters, digits, `_` and `-`, at most 32 characters, without `__` and not ending in `_`\n  \
         --> agent.yml:3:11  servers.a__b\n\n\
         error: must be `read` or `write`\n  --> agent.yml:3:31  servers.t.mode\n\n\
         error: unknown key `alow`\n  --> agent.yml:3:42  servers.t.tools.alow\nhint: did you mean `allow`?\n\n\
         error: the name is too close to `modules.filesystem`: letter case does not count, and `-` is `_`\n  \
         --> agent.yml:3:54  servers.filesystem\nhint: rename one of them\n\n\
         error: a glob has only visible ASCII characters\n  --> agent.yml:4:17  policy.deny[0]",
    );
}

#[test]
fn duplicate_keys_hide_nothing_else() {
    let twice = |at: &str, key: &str, line: u32| {
        format!("error: duplicate key `{key}`\n  --> agent.yml:{at}\nhint: the first one is on line {line}; keep one of them")
    };
    let text = "\
agent_type: a
modules:
  filesystem:
    mode: read
    mode: write
    config: {base_path: /x, base_path: /y}
    moed: read
modules: {}
";
    let unknown = "error: unknown key `moed`\n  --> agent.yml:7:5  modules.filesystem.moed\nhint: did you mean `mode`?";
    let expected = [
        twice("5:5  modules.filesystem.mode", "mode", 4),
        twice("6:29  modules.filesystem.config.base_path", "base_path", 6),
        unknown.to_owned(),
        twice("8:1  modules", "modules", 2),
    ];
    assert_eq!(bad(text), expected.join("\n\n"));
    // Only the strict pass sees numbers that stand twice.
    assert!(bad("1: a\n1: b\n").contains("error: duplicate key `1`\n  --> agent.yml:2:1"));
    // The first of two is the one that counts for everything else.
    says(
        "hitl: {mode: x}\nhitl: {mode: y}\n",
        &format!("error: must be `enforce` or `interactive`\n  --> agent.yml:3:14  hitl.mode\n\n{}", twice("4:1  hitl", "hitl", 3)),
    );
}

#[test]
fn patterns_that_do_not_compile() {
    let hint = "hint: patterns are regular expressions that are matched in linear time: no look-around and no back-references";
    let filter = |pattern: &str, rule: &str| {
        says(
            &format!("response_filters:\n  - {{name: n, pattern: '{pattern}'}}\n"),
            &format!("error: {rule}\n  --> agent.yml:4:24  response_filters[0].pattern\n{hint}"),
        );
    };
    filter("a(", "not a pattern: unclosed group");
    filter("(?=secret)", "not a pattern: look-around, including look-ahead and look-behind, is not supported");
    filter("(a)\\1", "not a pattern: backreferences are not supported");
    filter("(a{1000}){1000}", "the compiled pattern would be larger than 1048576 bytes");
    says(
        "argument_filters: [{name: n, pattern: '[z-a]'}]\n",
        &format!(
            "error: not a pattern: invalid character class range, the start must be <= the end\n  --> agent.yml:3:39  argument_filters[0].pattern\n{hint}"
        ),
    );
}

#[test]
fn variables() {
    says(
        "description: \"${NOPE} and ${NOPE_2}\"\nmax_auto_risk: ${BASE}\nrate_limits: {global: \"${NOPE}\"}\n",
        "error: environment variable `NOPE` is not set\n  --> agent.yml:3:14  description\n\
         hint: set it before the start, or write `$${` for the text `${`\n\n\
         error: environment variable `NOPE_2` is not set\n  --> agent.yml:3:14  description\n\
         hint: set it before the start, or write `$${` for the text `${`\n\n\
         error: environment variable `NOPE` is not set\n  --> agent.yml:5:23  rate_limits.global\n\
         hint: set it before the start, or write `$${` for the text `${`",
    );
    // The value of the variable is a secret and wrong: only the type is said.
    says(
        "rate_limits: {global: \"${QUEUE_TOKEN}\"}\n",
        "error: a rate is written `<N>/second`, `<N>/minute` or `<N>/hour`, N at most 1000000\n  --> agent.yml:3:23  rate_limits.global",
    );
}

#[test]
fn hostile_keys_cannot_forge_a_line() {
    let shown = bad("agent_type: a\nmodules: {filesystem: {mode: read, config: {base_path: /x}}}\n\"x\\nerror: \\e[31m\\u202e\": 1\n");
    assert!(shown.starts_with("error: unknown key `x\\nerror: \\u{1b}[31m\\u{202e}`\n  --> agent.yml:3:1  x\\nerror"), "{shown}");
    let long = bad(&format!("agent_type: a\nmodules: {{}}\n{}: 1\n", "k".repeat(1_000)));
    assert!(long.contains(&format!("unknown key `{}...`", "k".repeat(64))), "{long}");
}

#[test]
fn very_many_mistakes_are_counted() {
    let keys: String = (0..250).map(|i| format!("zz{i}: 1\n")).collect();
    let shown = bad(&format!("agent_type: a\nmodules: {{filesystem: {{mode: read, config: {{base_path: /x}}}}}}\n{keys}"));
    assert!(shown.ends_with("\n\nerror: and 150 more"), "{}", &shown[shown.len() - 200..]);
    assert_eq!(shown.matches("unknown key").count(), 100);
}
