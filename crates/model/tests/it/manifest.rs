//! What a good manifest means.

use std::time::Duration;

use bailiwick_model::address::Cidr;
use bailiwick_model::binding::{Limit, Pattern, Rule};
use bailiwick_model::manifest::{
    Access, Compat, CredentialSource, Decoding, FilterAction, HitlMode, InteractionPermissions, Notify, SigningMode, StateBackend,
    ToolArguments, Vault, WorkspaceAccess,
};
use bailiwick_model::upstream::{EraChoice, Transport};
use bailiwick_model::{AgentId, AgentType, Sensitive};
use serde_json::json;

use crate::catalog::{good, parse};

const SMALL: &str = "agent_type: a\nmodules: {filesystem: {mode: read, config: {base_path: /x}}}\n";

/// Every key of the reference, tool modules section 3, marks S and L.
pub(crate) const FULL: &str = r#"
agent_type: ops-team_1
description: Everything
modules:
  files:
    type: filesystem
    mode: write
    optional: true
    dependency_wait_timeout_seconds: 0
    dependency_wait_interval_seconds: 0.5
    config: {base_path: "${BASE}/x", max_read_bytes: "${BYTES}", layout: "team/{agent_id}", extended_tools: yes, credential_map: {A: B}}
  sqlite: {mode: read, config: {db_dir: /db}}
  note: {config: {allowed_recipients: [a, 1, true], labels: {x: 1}, factor: 1.5, max_priority: low, services: [{name: n}], extra: {deep: [null]}}}
  q: {type: mcp_proxy, mode: read, config: {url: "https://q/mcp", headers: {X-Key: "k ${secret:Q}"}, tool_allowlist: [a.b], tool_denylist: [c],
      arguments: {"*": {x: {fixed: 1}}}, discovery_timeout_seconds: 2.5, max_binary_bytes: 0, era: 2025-06-18}}
  local: {type: mcp_proxy, config: {command: /bin/x, args: [-p, 8080], env: {TOKEN: "${QUEUE_TOKEN}", N: 3}}}
credentials:
  source: vault
  path: /unused
  strict_permissions: false
  vault: {addr: "https://vault:8200", auth: approle, role_id_env: R, secret_id_env: S, path: "kv/{agent_type}/x", kv_version: 1, mount: team/kv,
          allow_private: [10.0.0.0/8]}
state_backend: {type: dragonfly, url: "redis://:hunter2@h"}
rate_limits: {global: "${RATE}", per_tool: {"files_*": 5/second, "q_*": 1/hour}}
argument_filters:
  - {name: n1, pattern: "a+", fields: [x], action: warn, decode: [base64, urlsafe_base64, url], case_insensitive: true}
  - {name: n2, pattern: "b"}
response_filters:
  - {name: r1, pattern: "a", action: redact, decode: [url], case_insensitive: false}
  - {name: r2, pattern: "b"}
hitl:
  mode: enforce
  approval_required: ["files_delete_*"]
  shadow: ["note_*"]
  timeout_seconds: 60
  notify: {type: matrix, room: "!abc:example.org"}
  signing: {mode: enforce, public_key_path: /k.pub, approve_command: ok}
audit: {log_args: false, agent_bus_emit: false, agent_bus_comms_dir: /c, agent_bus_hitl_emit: false, otel_service_name: svc}
content_limits: {max_binary_bytes: 0}
compat: {doubled_names: true, status_tool: true}
max_auto_risk: low
interaction_permissions: {auto_approved: [read], needs_approval: [write]}
workspace_access: [{path: /w, access: write, git_backed: true, branch_required: true}]
servers:
  tickets: {mode: read, tools: {allow: ["get_*"], deny: ["get_secret*"]}}
  bound:
    arguments:
      "create_*": {project: {fixed: "agents-{agent_id}"}, dry_run: {fixed: true}, force: {hidden: true}, filter/owner: {default: 1.5}}
      get: {path: {prefix: "agents/{agent_id}/", default: "agents/{agent_id}/x"}, "a~1b": {allow: ["team-*", "{agent_type}", 7]}}
  plain:
policy: {allow: ["files_*", "tickets__*"], deny: ["*_admin"]}
"#;

#[test]
fn every_key_is_read() {
    let (m, warnings) = good(FULL);
    // What is written for compatibility and does less here than it says.
    let warned: Vec<&str> = warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(warned, ["state_backend"], "{warnings:?}");
    assert_eq!(m.compat, Compat { doubled_names: true, status_tool: true });
    assert_eq!((m.agent_type.as_str(), m.description.as_str()), ("ops-team_1", "Everything"));
    assert_eq!(m.modules.iter().map(|m| m.key.as_str()).collect::<Vec<_>>(), ["files", "sqlite", "note", "q", "local"], "load order");
    let files = &m.modules[0];
    assert_eq!((files.kind.as_str(), files.access, files.optional), ("filesystem", Some(Access::Write), true));
    assert_eq!((files.dependency_wait_timeout, files.dependency_wait_interval), (Duration::ZERO, Duration::from_millis(500)));
    let config = serde_json::Value::Object(files.config.clone());
    assert_eq!(
        config,
        serde_json::json!({"base_path": "/srv/data/x", "max_read_bytes": 4096, "layout": "team/{agent_id}", "extended_tools": true})
    );
    assert_eq!(files.credential_map["A"], "B");
    assert_eq!((files.config_places["max_read_bytes"].line, files.place.line), (11, 5));
    let note = serde_json::Value::Object(m.modules[2].config.clone());
    assert_eq!(note["allowed_recipients"], serde_json::json!(["a", "1", "true"]));
    assert_eq!((&note["labels"]["x"], &note["factor"], &note["services"][0]["name"]), (&"1".into(), &1.5.into(), &"n".into()));
    assert_eq!(m.rate_limits.global.unwrap().to_string(), "10/minute");
    let globs: Vec<_> = m.rate_limits.per_tool.iter().map(|(glob, rate)| format!("{glob} {rate}")).collect();
    assert_eq!(globs, ["files_* 5/second", "q_* 1/hour"], "file order");
    assert_eq!(m.binary_bytes_max, None);
    assert!(!m.audit.log_args && m.audit.otel_service_name == "svc");
    assert_eq!(m.state_backend, StateBackend::Dragonfly { url: Sensitive::new("redis://:hunter2@h") });
}

#[test]
fn proxies_are_typed() {
    let (m, _) = good(FULL);
    let q = m.modules[3].proxy.as_ref().unwrap();
    let Transport::Http { url, headers } = &q.transport else { panic!("http") };
    assert_eq!((url.as_str(), headers[0].0.as_str()), ("https://q/mcp", "x-key"));
    assert_eq!(headers[0].1.names().collect::<Vec<_>>(), ["Q"]);
    assert_eq!(headers[0].1.fill(&|_| Some(Sensitive::new("v"))).unwrap().expose(), "k v");
    assert_eq!((&q.tool_allowlist[..], &q.tool_denylist[..]), (&["a.b".to_owned()][..], &["c".to_owned()][..]));
    assert_eq!(
        (q.discovery_timeout, q.binary_bytes_max, q.era),
        (Duration::from_millis(2500), Some(None), EraChoice::Revision("2025-06-18"))
    );
    let local = m.modules[4].proxy.as_ref().unwrap();
    let Transport::Stdio { command, args, env } = &local.transport else { panic!("stdio") };
    assert_eq!((command.as_str(), &args[..]), ("/bin/x", &["-p".to_owned(), "8080".to_owned()][..]));
    let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.fill(&|_| None).unwrap().expose().to_owned())).collect();
    assert_eq!(env, [("TOKEN", "hunter2-queue".to_owned()), ("N", "3".to_owned())]);
    assert_eq!((local.era, local.discovery_timeout, local.binary_bytes_max), (EraChoice::Auto, Duration::from_secs(10), None));
}

#[test]
fn the_other_sections_are_typed() {
    let (m, _) = good(FULL);
    let vault = Vault {
        addr: "https://vault:8200".into(),
        role_id_env: "R".into(),
        secret_id_env: "S".into(),
        path: "kv/{agent_type}/x".into(),
        kv_version: 1,
        mount: "team/kv".into(),
        allow_private: vec![Cidr::parse("10.0.0.0/8").unwrap()],
    };
    let path = vault.path_for(&AgentId::parse("i").unwrap(), &m.agent_type);
    assert_eq!(path.as_deref(), Ok("kv/ops-team_1/x"));
    assert_eq!((m.credentials.source, m.credentials.strict_permissions), (CredentialSource::Vault(vault), false));
    let [first, second] = &m.argument_filters[..] else { panic!("two") };
    assert_eq!((first.action, &first.fields[..], first.pattern.is_case_insensitive()), (FilterAction::Warn, &["x".to_owned()][..], true));
    assert_eq!(first.decode, [Decoding::Base64, Decoding::UrlsafeBase64, Decoding::Url]);
    assert_eq!((second.action, &second.fields[..], second.decode.len()), (FilterAction::Block, &["*".to_owned()][..], 0));
    assert_eq!((m.response_filters[0].action, m.response_filters[1].action), (FilterAction::Redact, FilterAction::Warn));
    assert_eq!((m.hitl.mode, m.hitl.timeout, m.hitl.signing.mode), (HitlMode::Enforce, Duration::from_secs(60), SigningMode::Enforce));
    assert!(m.hitl.shadow[0].matches("note_send") && m.hitl.approval_required[0].matches("files_delete_file"));
    assert_eq!(m.hitl.notify, Notify::Matrix { room: "!abc:example.org".into() });
    assert_eq!((m.hitl.signing.public_key_path.as_deref(), m.hitl.signing.approve_command.as_str()), (Some("/k.pub"), "ok"));
    assert_eq!(m.metadata.max_auto_risk.as_deref(), Some("low"));
    let permissions = InteractionPermissions { auto_approved: vec!["read".into()], needs_approval: vec!["write".into()] };
    assert_eq!(m.metadata.interaction_permissions, permissions);
    let workspace = WorkspaceAccess { path: "/w".into(), access: "write".into(), git_backed: true, branch_required: true };
    assert_eq!(m.metadata.workspace_access, [workspace]);
    let [tickets, bound, plain] = &m.servers[..] else { panic!("three") };
    assert_eq!((tickets.name.as_str(), tickets.access), ("tickets", Some(Access::Read)));
    assert!(tickets.tools.admits("get_x") && !tickets.tools.admits("get_secret_x") && !tickets.tools.admits("list"));
    let [create, get] = &bound.arguments[..] else { panic!("two globs") };
    let rules = |tools: &ToolArguments| tools.rules.iter().map(|(way, rule)| (way.to_string(), rule.clone())).collect::<Vec<_>>();
    let open = |limit, default| Rule::Open { limit, default };
    assert_eq!(
        rules(create),
        [
            ("project".to_owned(), Rule::Fixed(json!("agents-{agent_id}"))),
            ("dry_run".to_owned(), Rule::Fixed(json!(true))),
            ("force".to_owned(), Rule::Hidden),
            ("filter/owner".to_owned(), open(Limit::None, Some(json!(1.5)))),
        ]
    );
    let allowed = vec![Pattern::Like("team-*".into()), Pattern::Exactly(json!("{agent_type}")), Pattern::Exactly(json!(7))];
    assert_eq!(
        rules(get),
        [
            ("path".to_owned(), open(Limit::Prefix("agents/{agent_id}/".into()), Some(json!("agents/{agent_id}/x")))),
            ("a~1b".to_owned(), open(Limit::Allow(allowed), None)),
        ]
    );
    assert!(!bound.admits_prompt("x") && !bound.admits_resource("x://a"), "only by name");
    assert!(plain.tools.admits("anything") && plain.access.is_none());
    assert!(m.policy.admits("files_read_file") && !m.policy.admits("files_admin") && !m.policy.admits("q_x"));
}

#[test]
fn defaults_follow_the_reference() {
    let (m, warnings) = good(SMALL);
    assert!(warnings.is_empty());
    assert_eq!(m.description, "");
    assert_eq!((m.credentials.source, m.credentials.strict_permissions), (CredentialSource::Env, true));
    assert_eq!(m.state_backend, StateBackend::InProcess);
    assert!(m.rate_limits.global.is_none() && m.rate_limits.per_tool.is_empty() && m.argument_filters.is_empty());
    assert_eq!((m.hitl.mode, m.hitl.timeout, m.hitl.notify), (HitlMode::Enforce, Duration::from_secs(300), Notify::Log));
    assert_eq!(m.hitl.signing.approve_command, "scoped-mcp-approve");
    assert!(m.audit.log_args && m.audit.otel_service_name == "scoped-mcp");
    assert_eq!(m.binary_bytes_max, Some(10_485_760));
    assert!(m.policy.admits("anything") && m.servers.is_empty());
    let module = &m.modules[0];
    assert_eq!((module.dependency_wait_timeout, module.dependency_wait_interval), (Duration::from_secs(30), Duration::from_secs(1)));
    assert!(!module.optional);
}

#[test]
fn an_empty_allow_list_admits_nothing() {
    let (m, _) = good(&format!("{SMALL}policy: {{allow: []}}\n"));
    assert!(!m.policy.admits("filesystem_read_file"));
}

#[test]
fn json_and_older_yaml_words_are_accepted() {
    good(r#"{"agent_type": "a", "modules": {"filesystem": {"mode": "read", "config": {"base_path": "/x"}}}}"#);
    let (m, _) = good(
        "agent_type: a\nmodules: {note: {mode: '', optional: Yes, config: {allowed_recipients: [x]}}}\nhitl: {signing: {mode: off}}\naudit:\n",
    );
    assert!(m.modules[0].optional && m.modules[0].access.is_none());
    good("agent_type: a\nmodules:\n  filesystem: {mode: null, type: null, config: {base_path: /x}}\n");
}

#[test]
fn variables_stay_inside_their_value() {
    let (m, _) = good(
        "agent_type: a\ndescription: ${STRUCTURE}\nmodules: {filesystem: {mode: read, config: {base_path: \"$${BASE}${EMPTY}$x\"}}}\n",
    );
    assert_eq!(m.description, "x\nmode: write\n- {a: ${secret:STOLEN}}", "a secret named by a variable's value is text");
    assert_eq!(m.modules[0].config["base_path"], "${BASE}$x");
}

#[test]
fn warnings_do_not_stop_and_have_a_place() {
    let text = "agent_type: a
modules:
  filesystem:
    config: {base_path: '${VAR:-/x}'}
  note: {mode: read, config: {allowed_recipients: [x]}}
  p: {type: mcp_proxy, config: {url: 'http://10.0.0.5/mcp', args: [x]}}
rate_limits: {per_tool: {\"fs_*\": 1/hour, \"p_*\": 1/hour, \"*\": 1/hour, \"no.te*\": 1/hour}}
hitl: {mode: interactive, shadow: [filesystem_write]}
audit: {agent_bus_emit: true, agent_bus_comms_dir: /c}
";
    let (_, warnings) = good(text);
    let shown: Vec<String> = warnings.iter().map(|w| w.to_string().lines().take(2).collect::<Vec<_>>().join("")).collect();
    let expected = [
        "warning: no `mode`: every tool of the module is offered, the writing ones too  --> agent.yml:3:3  modules.filesystem",
        "warning: `${` is not followed by a name and `}`, so the text stays as it is  --> agent.yml:4:25  modules.filesystem.config.base_path",
        "warning: offers no tool: the module only writes  --> agent.yml:5:16  modules.note.mode",
        "warning: plain http to another machine: anyone on the way reads and changes what is sent  --> agent.yml:6:38  modules.p.config.url",
        "warning: has no effect together with `url`  --> agent.yml:6:67  modules.p.config.args",
        "warning: `fs_*` matches no tool of this manifest  --> agent.yml:7:26  rate_limits.per_tool.fs_*",
        "warning: `no.te*` matches no tool of this manifest  --> agent.yml:7:70  rate_limits.per_tool.no.te*",
        "warning: `interactive` would let the agent confirm its own call; calls wait for an operator as with `enforce`  --> agent.yml:8:14  hitl.mode",
        "warning: `filesystem_write` matches no tool of this manifest  --> agent.yml:8:36  hitl.shadow[0]",
        "warning: has no effect: there is no agent bus  --> agent.yml:9:25  audit.agent_bus_emit",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn the_type_of_the_agent_must_match() {
    let (m, _) = good(SMALL);
    assert_eq!(m.check_agent_type(&AgentType::parse("a").unwrap()), Ok(()));
    let mistake = m.check_agent_type(&AgentType::parse("b").unwrap()).unwrap_err();
    assert_eq!(
        mistake.to_string(),
        "error: the manifest is for agents of type `a`, not `b`\n  --> agent.yml:1:13  agent_type\n\
         hint: start the agent with the manifest of its type, or correct AGENT_TYPE"
    );
}

#[test]
fn nothing_printed_holds_a_secret() {
    let text = FULL.replace("base_path: \"${BASE}/x\"", "base_path: \"${QUEUE_TOKEN}\"");
    let shown = format!("{:?}", parse(&text).unwrap());
    assert!(shown.contains("redacted") && !shown.contains("hunter2"), "{shown}");
}
