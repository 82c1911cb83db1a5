//! An organisation loses a server of the platform: what it had there goes, as counted, and is given back at the provider; nobody else notices.

use bailiwick_testkit::client::{Era, Fault};
use bailiwick_testkit::provider::{Habits, Provider};
use serde_json::{Value, json};

use crate::base::Base;
use crate::tokens::{Walk, town};

const ADMIN: &str = "/v1/admin/mcp/servers";
/// The tools of the fake server.
const TOOLS: usize = 5;

fn good(said: Result<Value, Fault>) {
    assert_eq!(said.unwrap()["isError"], json!(false));
}

fn an_organisation_loses_a_server(base: &Base<'_>) {
    let walk = Walk::new(town(base));
    let provider = Provider::start(Habits::default());
    let body = json!({"server_url": provider.url(), "display_name": "basic", "registration_mode": "auto", "org_ids": ["acme", "beta"]});
    let server = walk.done("platform_admin", "POST", ADMIN, Some(&body));
    assert_eq!(server["status"], "active", "{server}");
    let id = server["server_id"].as_str().unwrap();
    let path = |rest: &str| format!("/v1/mcp/servers/{id}{rest}");
    for (who, org) in [("org_admin", "acme"), ("foreign", "beta")] {
        walk.ask(who, "PUT", &format!("/v1/orgs/{org}/secrets/TOKEN"), Some(&json!({"value": "a-token-of-no-use"})));
        walk.done(who, "PUT", &path("/org-context"), Some(&json!({"context": "ours"})));
        walk.done(who, "PUT", &path("/org-credential"), Some(&json!({"secret_name": "TOKEN"})));
    }
    for who in ["org_admin", "member", "foreign"] {
        walk.connect(who, &provider, id);
    }
    let [ours, theirs] = ["member", "foreign"].map(|who| walk.client(who, Era::Modern, "basic__echo"));
    good(walk.call(&ours, "basic__echo"));
    good(walk.call(&theirs, "basic__echo"));
    let pending = provider.approve(&walk.start("himself", id));

    let orgs = format!("{ADMIN}/{id}/orgs");
    let reassigned = walk.done("platform_admin", "PUT", &orgs, Some(&json!({"org_ids": ["beta"]})));
    assert_eq!(reassigned["org_ids"], json!(["beta"]));
    let expected = json!({
        "organisations": 1, "connections": 2, "contexts": 1, "credentials": 1, "flows": 1, "tools": TOOLS, "revocations": 4, "unrevoked": 0,
    });
    assert_eq!(reassigned["removed"], expected);

    // The one that lost it: nothing is there any more, for nobody.
    for (who, method, rest) in [
        ("member", "GET", ""),
        ("org_admin", "GET", ""),
        ("org_admin", "GET", "/connections"),
        ("org_admin", "GET", "/org-context"),
        ("org_admin", "GET", "/org-credential"),
        ("member", "POST", "/oauth/start"),
        ("member", "DELETE", "/token"),
    ] {
        assert_eq!(walk.ask(who, method, &path(rest), None).status, 404, "{who} {method} {rest}");
    }
    assert_eq!(walk.done("member", "GET", "/v1/mcp/tokens", None)["items"], json!([]));
    assert_eq!(walk.come_back("himself", &pending, None).status, 410);
    Walk::wait("the end of the tools", || !walk.names(&ours).iter().any(|name| name.starts_with("basic__")));
    let gone = walk.call(&ours, "basic__echo");
    assert!(matches!(gone, Err(Fault::Rpc { code: -32602, .. })), "{gone:?}");
    Walk::wait("the revocation of both connections", || provider.revoked_families() == 2);
    // The secret was its own before, and still is.
    assert!(walk.ask("org_admin", "GET", "/v1/orgs/acme/secrets", None).body.contains("TOKEN"));

    // The other one.
    assert_eq!(walk.done("foreign", "GET", &path(""), None)["org_ids"], json!(["beta"]));
    assert_eq!(walk.done("foreign", "GET", &path("/org-context"), None)["context"], "ours");
    assert_eq!(walk.done("foreign", "GET", &path("/org-credential"), None)["secret_name"], "TOKEN");
    assert_eq!(walk.done("foreign", "GET", &path("/connections"), None)["items"].as_array().unwrap().len(), 1);
    good(walk.call(&theirs, "basic__echo"));
    provider.expire_access_tokens();
    good(walk.call(&theirs, "basic__echo"));
    let sent = provider.sent_to("/revoke").len();
    assert_eq!((provider.revoked_families(), sent), (2, 4), "four tokens of two connections, and no other");

    // What went does not come back with the server.
    walk.done("platform_admin", "PUT", &orgs, Some(&json!({"org_ids": ["acme", "beta"]})));
    assert_eq!(walk.done("org_admin", "GET", &path("/connections"), None)["items"], json!([]));
    assert_eq!(walk.ask("org_admin", "GET", &path("/org-context"), None).status, 404);
    assert_eq!(walk.ask("org_admin", "GET", &path("/org-credential"), None).status, 404);
}

#[test]
fn an_organisation_loses_a_server_on_sqlite() {
    an_organisation_loses_a_server(&Base::sqlite("parting"));
}

#[test]
fn an_organisation_loses_a_server_on_postgres() {
    let Some(base) = Base::postgres("parting") else { return };
    an_organisation_loses_a_server(&base);
}
