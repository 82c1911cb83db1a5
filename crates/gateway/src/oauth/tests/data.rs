//! The profiles: what stands in the file, and what may not.

use crate::oauth::identity::Mode;
use crate::oauth::profiles::Profiles;

#[test]
fn the_file_of_the_program() {
    let profiles = Profiles::own().unwrap();
    let ids: Vec<&str> = profiles.iter().map(|profile| profile.id.as_str()).collect();
    assert_eq!(ids, ["github", "atlassian", "linear", "notion", "sentry", "slack", "google", "todoist", "craft"]);
    for (url, id) in [
        ("https://api.githubcopilot.com/mcp/", Some("github")),
        ("https://MCP.Atlassian.com./v2/mcp", Some("atlassian")),
        ("https://drivemcp.googleapis.com", Some("google")),
        ("https://mcp.linear.app.evil.example.com/mcp", None),
        ("https://evil.example.com/mcp.linear.app", None),
        ("https://xmcp.linear.app/mcp", None),
        ("nonsense", None),
    ] {
        assert_eq!(profiles.of(url).map(|profile| profile.id.as_str()), id, "{url}");
    }
    assert!(profiles.named("github").unwrap().known.is_some());
    assert_eq!(profiles.named("slack").unwrap().prefer, Some(Mode::Manual));
    let unsourced = profiles.iter().flat_map(|profile| &profile.quirks).filter(|quirk| quirk.source.trim().is_empty()).count();
    assert_eq!(unsourced, 0);
}

#[test]
fn files_that_are_refused() {
    let quirk = "quirks: [{id: q, line: l, remedy: r}]";
    let rows = [
        ("an unknown key", "profiles: []\nquirks: []\nother: 1".to_owned()),
        ("an unknown key of a profile", format!("profiles: [{{id: a, name: A, hosts: [a.example], color: red}}]\n{quirk}")),
        ("no host", format!("profiles: [{{id: a, name: A, hosts: []}}]\n{quirk}")),
        ("a host in capitals", format!("profiles: [{{id: a, name: A, hosts: [A.example]}}]\n{quirk}")),
        ("one host twice", format!("profiles: [{{id: a, name: A, hosts: [a.example]}}, {{id: b, name: B, hosts: [a.example]}}]\n{quirk}")),
        ("one id twice", format!("profiles: [{{id: a, name: A, hosts: [a.example]}}, {{id: a, name: B, hosts: [b.example]}}]\n{quirk}")),
        ("an unknown quirk", format!("profiles: [{{id: a, name: A, hosts: [a.example], quirks: [{{id: x, source: s}}]}}]\n{quirk}")),
        ("an unknown mode", format!("profiles: [{{id: a, name: A, hosts: [a.example], prefer: magic}}]\n{quirk}")),
        ("a reserved parameter", format!("profiles: [{{id: a, name: A, hosts: [a.example], extra_params: {{state: x}}}}]\n{quirk}")),
        ("a scope with a blank", format!("profiles: [{{id: a, name: A, hosts: [a.example], scopes: ['a b']}}]\n{quirk}")),
        ("scopes that are not sent", format!("profiles: [{{id: a, name: A, hosts: [a.example], scopes: [a], omit_scope: true}}]\n{quirk}")),
        (
            "a plain endpoint",
            format!(
                "profiles: [{{id: a, name: A, hosts: [a.example], known: {{issuer: 'http://a', authorization_endpoint: 'https://a', token_endpoint: 'https://a'}}}}]\n{quirk}"
            ),
        ),
        ("one quirk twice", "profiles: []\nquirks: [{id: q, line: l, remedy: r}, {id: q, line: l, remedy: r}]".to_owned()),
        ("an empty remedy", "profiles: []\nquirks: [{id: q, line: l, remedy: ''}]".to_owned()),
        ("one key twice", "profiles: []\nprofiles: []\nquirks: []".to_owned()),
    ];
    for (name, text) in rows {
        assert!(Profiles::read(&text).is_err(), "{name}");
    }
    assert!(Profiles::read(&format!("profiles: [{{id: a, name: A, hosts: [a.example]}}]\n{quirk}")).is_ok());
}
