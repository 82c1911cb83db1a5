//! `bailiwick.yml` and the environment over it.

use std::time::Duration;

use bailiwick_contract::TrustClass;
use bailiwick_model::config::{AuditMode, AuthMode, Config, DatabaseUrl, LIMITS, LogFormat, RunsConfig, VARIABLES};
use bailiwick_model::document::Origin;
use bailiwick_model::upstream::{EraChoice, Transport};

use crate::schema;

fn none(_: &str) -> Option<String> {
    None
}

#[track_caller]
fn good(text: &str) -> Config {
    schema::admits(&schema::CONFIGURATION, text);
    let (config, warnings) = Config::parse("b.yml", text, &none).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    config
}

#[track_caller]
fn says(text: &str, expected: &str) {
    let mistakes = Config::parse("b.yml", text, &none).map(|(config, _)| format!("accepted: {config:?}")).unwrap_err();
    assert_eq!(mistakes.to_string(), expected);
}

#[test]
fn an_empty_file_gives_the_defaults() {
    for text in ["", "# nothing\n", "{}"] {
        let config = good(text);
        assert_eq!(config.listen.0.to_string(), "127.0.0.1:8700");
        assert_eq!((config.path.as_str(), config.auth, config.org.as_str()), ("/mcp", AuthMode::Key, "default"));
        assert_eq!((config.names.max_length, config.audit.mode, config.audit.retention_days), (48, AuditMode::Strict, Some(90)));
        assert_eq!((config.shutdown.ready_delay, config.shutdown.drain), (Duration::from_secs(5), Duration::from_secs(25)));
        assert_eq!((config.limits.request_bytes_max, config.limits.call_deadline_cap_seconds), (4 << 20, 900));
        assert!(config.database.is_none() && config.servers.is_empty() && config.origins.is_empty());
    }
}

/// Every key at least once.
pub(crate) const FULL: &str = r#"
listen: "[::1]:9000"
public_url: https://gw.example.com/base/
path: /agents/mcp/
auth:
  mode: key
  issuers:
    - name: corporate
      issuer: https://id.example.com/realms/acme
      audience: api://gateway
      algorithms: [ES256, EdDSA]
      jwks_uri: https://id.example.com/keys?set=1
      org: acme
      subject_prefix: "corporate:"
      agent_type: research
      claims: {groups: groups, role: /realm_access/roles, agent_id: client_id, email: email}
      roles: {gateway-admins: org_admin, staff: member}
      scopes_required: ["mcp:tools"]
      create_agents: false
      allow_untyped: true
      allow_private: [10.0.0.0/8]
    - {name: partner, issuer: "http://127.0.0.1:9999/", org_claim: tenant, orgs: [acme, beta], subject_prefix: "partner:", claims: {agent_type: kind}}
allowed_hosts: [GW.example.com, "gw.example.com:8443", "[::1]:9000"]
allowed_origins: ["https://Console.example.com:8443"]
state_dir: /var/lib/b
database: postgres://bw:hunter2@db/bw
root_key_file: /k
org: acme
manifests: [a.yml, "m/*.yml"]
servers:
  tickets: {url: "https://t/mcp", headers: {Authorization: "Bearer ${secret:T}"}, trust: first_party, timeout_seconds: 1.5, allow_private: [10.0.0.0/8], org: acme, era: legacy}
  local: {command: x, args: [a], env: {A: "${secret:T}"}}
  plain: {url: "http://10.0.0.9/mcp", allow_http: true}
names: {max_length: 64}
limits: {call_deadline_seconds: 30, json_depth_max: 32}
audit: {mode: best-effort, retention_days: 0}
instructions: {text: Hello., readme: Read., blocklist: {Ann Example: word, Beta: substring}, forbid_attribution: false, require_frontmatter: true}
runs: {idle_minutes: 5, implicit: false}
feedback: true
connections: {client_name: Acme Gateway, client_metadata_url: "https://gw.example.com/client.json", allow_hosts: [Mcp.example.com], profiles: {git.example.com: github}, allow_private: [10.0.0.0/8], allow_loopback_http: true}
log: {format: json, filter: "info,x=debug"}
shutdown: {ready_delay_seconds: 0, drain_seconds: 10}
"#;

#[test]
fn every_key_is_read() {
    let config = good(FULL);
    let instructions = config.instructions.as_ref().unwrap();
    assert_eq!((instructions.text.as_deref(), instructions.readme.as_deref()), (Some("Hello."), Some("Read.")));
    assert!(!instructions.rules.forbid_attribution && instructions.rules.require_frontmatter);
    assert_eq!(config.runs, Some(RunsConfig { idle: Duration::from_secs(300), implicit: false }));
    assert!(config.feedback);
    let connections = config.connections.as_ref().unwrap();
    assert_eq!(connections.client_name, "Acme Gateway");
    assert_eq!(connections.client_metadata_url.as_deref(), Some("https://gw.example.com/client.json"));
    assert_eq!(connections.allow_hosts.as_deref(), Some(&["mcp.example.com".to_owned()][..]), "in lower case");
    assert_eq!(connections.profiles, [("git.example.com".to_owned(), "github".to_owned())]);
    assert!(connections.allow_loopback_http && connections.allow_private.len() == 1);
    assert_eq!((config.listen.0.to_string().as_str(), config.auth), ("[::1]:9000", AuthMode::Key));
    assert_eq!((config.public_url.as_deref(), config.path.as_str()), (Some("https://gw.example.com/base"), "/agents/mcp"));
    assert_eq!(config.allowed_hosts, ["gw.example.com", "gw.example.com:8443", "[::1]:9000"]);
    assert_eq!(config.allowed_origins, ["https://console.example.com:8443"]);
    assert!(matches!(&config.database, Some(DatabaseUrl::Postgres(url)) if url.expose() == "postgres://bw:hunter2@db/bw"));
    assert_eq!(config.manifests, ["a.yml", "m/*.yml"]);
    assert_eq!((config.names.max_length, config.limits.call_deadline_seconds, config.limits.json_depth_max), (64, 30, 32));
    assert_eq!((config.audit.mode, config.audit.retention_days, config.log.format), (AuditMode::BestEffort, None, LogFormat::Json));
    assert_eq!(config.shutdown.drain, Duration::from_secs(10));
    let [tickets, local, plain] = &config.servers[..] else { panic!("three") };
    assert!(matches!(&tickets.transport, Transport::Http { headers, .. } if headers[0].1.names().eq(["T"])));
    assert_eq!(
        (tickets.trust, tickets.era, tickets.timeout),
        (TrustClass::FirstParty, EraChoice::Legacy, Some(Duration::from_millis(1500)))
    );
    assert!(tickets.allow_private[0].contains("10.1.1.1".parse().unwrap()));
    assert_eq!(tickets.org.as_ref().map(|org| org.as_str()), Some("acme"));
    assert!(matches!(&local.transport, Transport::Stdio { command, .. } if command == "x"));
    assert_eq!((local.trust, plain.era), (TrustClass::ThirdParty, EraChoice::Auto));
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(config.origins["limits.json_depth_max"], Origin::File);
    assert!(!config.origins.contains_key("limits.idle_seconds"), "a default has no origin");
}

#[test]
fn the_environment_stands_over_the_file() {
    let env = |name: &str| {
        let value = match name {
            "BAILIWICK_LISTEN" => "localhost:9001",
            "BAILIWICK_LIMITS__CALL_DEADLINE_SECONDS" => "45",
            "BAILIWICK_ALLOWED_HOSTS" => "a.example, b.example:1,",
            "BAILIWICK_AUDIT__MODE" => "strict-writes",
            "BAILIWICK_ORG" => "",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let text = "listen: 127.0.0.1:1\nlimits: {call_deadline_seconds: 30, idle_seconds: 5}\norg: acme\n";
    let (config, _) = Config::parse("b.yml", text, &env).unwrap();
    assert_eq!(config.listen.0.to_string(), "127.0.0.1:9001");
    assert_eq!((config.limits.call_deadline_seconds, config.limits.idle_seconds), (45, 5));
    assert_eq!(
        (&config.allowed_hosts[..], config.audit.mode),
        (&["a.example".to_owned(), "b.example:1".to_owned()][..], AuditMode::StrictWrites)
    );
    assert_eq!(config.org.as_str(), "acme", "an empty variable is not set");
    assert_eq!(config.origins["listen"], Origin::Environment("BAILIWICK_LISTEN"));
    assert_eq!(config.origins["limits.call_deadline_seconds"], Origin::Environment("BAILIWICK_LIMITS__CALL_DEADLINE_SECONDS"));
    assert_eq!(config.origins["limits.idle_seconds"], Origin::File);
}

#[test]
fn every_variable_reaches_its_key_and_a_bad_value_is_never_shown() {
    for variable in VARIABLES {
        let env = |name: &str| (name == variable.name).then(|| "hunter2 \u{1b}".to_owned());
        match Config::parse("b.yml", "", &env) {
            // Free text such as a directory takes anything.
            Ok((config, _)) => assert_eq!(config.origins[variable.path], Origin::Environment(variable.name)),
            Err(mistakes) => {
                let shown = mistakes.to_string();
                let place = format!("\n  --> environment variable {}  {}", variable.name, variable.path);
                assert!(shown.contains(&place) && !shown.contains("hunter2"), "{shown}");
            }
        }
    }
}

#[test]
fn every_limit_has_its_range() {
    for key in LIMITS {
        let parse =
            |value: u64| Config::parse("b.yml", &format!("limits: {{{}: {value}, call_deadline_cap_seconds: 3600}}", key.name), &none);
        if key.name == "call_deadline_cap_seconds" {
            continue;
        }
        assert!(parse(key.default).is_ok(), "{}", key.name);
        let beyond = parse(key.max + 1).unwrap_err().to_string();
        assert!(beyond.contains(&format!("must be a whole number from {} to {}", key.min, key.max)), "{beyond}");
        if key.min > 0 {
            assert!(parse(key.min - 1).is_err(), "{}", key.name);
        }
    }
}

#[test]
fn no_anonymous_mode_on_a_public_address() {
    let hint = "hint: write `auth: key`, or `listen: 127.0.0.1:8700`";
    let rule = "error: without authentication the gateway listens on a loopback address only";
    says("listen: 0.0.0.0:8700\nauth: none\n", &format!("{rule}\n  --> b.yml:2:7  auth\n{hint}"));
    says("listen: '[::]:8700'\nauth: none\n", &format!("{rule}\n  --> b.yml:2:7  auth\n{hint}"));
    good("listen: 127.0.0.2:8700\nauth: none\n");
    good("listen: 0.0.0.0:8700\n");
    // The environment cannot open it either.
    let env = |name: &str| (name == "BAILIWICK_LISTEN").then(|| "192.0.2.1:80".to_owned());
    let mistakes = Config::parse("b.yml", "auth: none\n", &env).unwrap_err();
    assert_eq!(mistakes.to_string(), format!("{rule}\n  --> b.yml:1:7  auth\n{hint}"));
}

#[test]
fn mistakes_name_place_and_remedy() {
    says("lisen: 1\n", "error: unknown key `lisen`\n  --> b.yml:1:1  lisen\nhint: did you mean `listen`?");
    says(
        "listen: gw:80\npath: mcp\n",
        "error: must be an address with port\n  --> b.yml:1:9  listen\nhint: for example `127.0.0.1:8700`, `[::1]:8700` or `0.0.0.0:8700`\n\n\
         error: must be a path such as `/mcp`: letters, digits, `/`, `_`, `-` and `.`, at most 128 characters\n  --> b.yml:2:7  path",
    );
    says("path: /v1/\n", "error: this path serves something else\n  --> b.yml:1:7  path\nhint: the default is `/mcp`");
    says(
        "allowed_hosts: ['*', 'a/b', 'a:0']\nallowed_origins: ['*', 'https://a/x']\n",
        &["b.yml:1:17  allowed_hosts[0]", "b.yml:1:22  allowed_hosts[1]", "b.yml:1:29  allowed_hosts[2]"]
            .map(|at| {
                format!(
                    "error: must be a host, with port if need be\n  --> {at}\nhint: for example `gw.example.com` or `gw.example.com:8443`"
                )
            })
            .into_iter()
            .chain(["b.yml:2:19  allowed_origins[0]", "b.yml:2:24  allowed_origins[1]"].map(|at| {
                format!(
                    "error: must be an origin\n  --> {at}\nhint: for example `https://console.example.com`; `*` and `null` are not possible"
                )
            }))
            .collect::<Vec<_>>()
            .join("\n\n"),
    );
    says(
        "database: mysql://u:hunter2@h\n",
        "error: a database is written `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`\n  --> b.yml:1:11  database",
    );
    says(
        "names: {max_length: 65}\naudit: {mode: strict_writes}\n",
        "error: must be a whole number from 42 to 64\n  --> b.yml:1:21  names.max_length\n\n\
         error: must be one of `strict`, `strict-writes`, `best-effort`\n  --> b.yml:2:15  audit.mode\nhint: did you mean `strict-writes`?",
    );
    says(
        "limits: {call_deadline_seconds: 100, call_deadline_cap_seconds: 50, conections_max: 3}\n",
        "error: `call_deadline_seconds` is longer than `call_deadline_cap_seconds`\n  --> b.yml:1:9  limits\n\
         hint: raise the cap or shorten the deadline\n\n\
         error: unknown key `conections_max`\n  --> b.yml:1:69  limits.conections_max\nhint: did you mean `connections_max`?",
    );
}

#[test]
fn servers_are_checked() {
    says(
        "servers:\n  a-b: {url: 'https://h'}\n  A_B: {url: 'http://10.0.0.1/'}\n  c__d: {command: x}\n  e: {command: x, trust: thirdparty, allow_private: [10.0.0.1/8], timeout_seconds: 1000, org: X}\n",
        "error: the name is too close to `a-b`: letter case does not count, and `-` is `_`\n  --> b.yml:3:3  servers.A_B\nhint: rename one of them\n\n\
         error: plain http to another machine: anyone on the way reads and changes what is sent\n  --> b.yml:3:14  servers.A_B.url\n\
         hint: use https, or set `allow_http: true`\n\n\
         error: not a valid server name: a letter, then letters, digits, `_` and `-`, at most 32 characters, without `__` and not ending in `_`\n  \
         --> b.yml:4:3  servers.c__d\nhint: the name prefixes the server's tools\n\n\
         error: is longer than `limits.call_deadline_cap_seconds`, which is 900\n  --> b.yml:5:3  servers.e.timeout_seconds\n\n\
         error: must be one of `third_party`, `verified`, `first_party`\n  --> b.yml:5:26  servers.e.trust\nhint: did you mean `third_party`?\n\n\
         error: the address has bits set behind the prefix\n  --> b.yml:5:54  servers.e.allow_private[0]\n\n\
         error: not a valid organisation: lower-case letters, digits and `-`, beginning with a letter or digit, at most 63 characters\n  \
         --> b.yml:5:95  servers.e.org",
    );
    says("servers: {x: }\n", "error: must be a mapping, not nothing\n  --> b.yml:1:12  servers.x");
}
