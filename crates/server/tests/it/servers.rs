//! Registered servers through the management API: what is refused and where, who sees what, what goes with what.

use bailiwick_testkit::upstream::{Act, Behaviour, FakeTool, FakeUpstream};
use serde_json::{Value, json};

use crate::api::{Answer, Ask, Town};
use crate::base::{Base, on_both};

on_both!(
    a_registration_has_its_defaults,
    what_the_seed_let_through_is_refused_with_its_place,
    https_alone_is_accepted_without_the_switch_for_development,
    what_is_not_visible_does_not_exist,
    only_who_registered_a_server_changes_it,
    lists_of_allowed_tools_mean_what_they_say,
    an_organisation_says_lends_and_settles_for_itself,
    what_goes_with_a_server_is_counted,
    lists_go_on_where_they_ended,
    every_refusal_has_the_shape_of_its_place,
    discovery_fills_the_list_once_and_reviews_what_comes_later,
);

/// Where nobody answers.
const NOBODY: &str = "http://127.0.0.1:1/mcp";
const SERVERS: &str = "/v1/mcp/servers";
const ADMIN: &str = "/v1/admin/mcp/servers";
/// What must be in no answer.
const CANARY: &str = "canary-4f1c9a-client-secret";

/// Nothing but this machine is dialled.
fn town(base: &Base<'_>) -> Town {
    Town::of(base.setup("connections: {allow_loopback_http: true}\n"))
}

fn data(answer: &Answer) -> Value {
    assert!(answer.status < 300, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(!answer.body.contains(CANARY), "{answer:?}");
    let whole = answer.json();
    assert_eq!(whole.as_object().unwrap().len(), 1, "{whole}");
    whole["data"].clone()
}

fn add(town: &Town, who: &str, body: &Value) -> Value {
    data(&town.ask(who, "POST", if who == "platform_admin" { ADMIN } else { SERVERS }, Some(body)))
}

fn plain(name: &str) -> Value {
    json!({"server_url": NOBODY, "display_name": name})
}

fn one(server: &Value) -> String {
    format!("{SERVERS}/{}", server["server_id"].as_str().unwrap())
}

/// The places that are said to be wrong.
fn wrong(answer: &Answer) -> Vec<String> {
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_argument"), "{answer:?}");
    assert!(!answer.body.contains(CANARY), "{answer:?}");
    let parts = answer.json()["error"]["errors"].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone();
    let place = |part: &Value| part.get("pointer").or(part.get("parameter")).unwrap().as_str().unwrap().to_owned();
    parts.iter().map(place).collect()
}

async fn a_registration_has_its_defaults(base: &Base<'_>) {
    let town = town(base);
    let server = add(&town, "org_admin", &plain("shelf"));
    assert_eq!(server["registration_mode"], "dcr");
    assert_eq!(
        (&server["registration_choice"], &server["new_tools_policy"], &server["era"]),
        (&json!("dcr"), &json!("review"), &json!("auto"))
    );
    assert_eq!((&server["scopes"], &server["extra_auth_params"], &server["allowed_tools"]), (&json!([]), &json!({}), &Value::Null));
    assert_eq!((&server["org_ids"], &server["owner_org"]), (&json!(["acme"]), &json!("acme")));
    assert_eq!((&server["client_id"], &server["oauth_issuer_url"]), (&json!(""), &json!("")));
    // Nobody answers there: setting it up failed, registering it did not.
    assert_eq!(server["status"], "error");
    assert!(server["status_reason"].as_str().unwrap().starts_with("unreachable"), "{server}");
    for member in ["created", "created_by", "modified", "modified_by", "status_at"] {
        assert!(server[member].as_str().is_some_and(|text| !text.is_empty()), "{member}");
    }
    // The platform registers by hand unless it says otherwise.
    let answer = town.ask("platform_admin", "POST", ADMIN, Some(&plain("wall")));
    assert_eq!(wrong(&answer), ["/oauth_issuer_url", "/authorization_endpoint", "/token_endpoint", "/client_id"]);
    let by_hand = json!({
        "server_url": NOBODY, "display_name": "wall", "oauth_issuer_url": "http://127.0.0.1:1", "client_id": "us",
        "authorization_endpoint": "http://127.0.0.1:1/authorize", "token_endpoint": "http://127.0.0.1:1/token", "client_secret": CANARY,
    });
    let server = add(&town, "platform_admin", &by_hand);
    assert_eq!((&server["registration_mode"], &server["org_ids"], &server["owner_org"]), (&json!("manual"), &json!([]), &Value::Null));
    assert_eq!((&server["client_id"], &server["client_secret"]["set"]), (&json!("us"), &json!(true)));
    assert!(server["client_secret"]["updated_at"].is_string());
    // Everybody sees it, nobody its secret.
    for (who, method, target) in
        [("member", "GET", one(&server)), ("foreign", "GET", SERVERS.into()), ("platform_admin", "GET", ADMIN.into())]
    {
        data(&town.ask(who, method, &target, None));
    }
    let events = town.ask("platform_admin", "GET", "/v1/orgs/acme/events?limit=500", None);
    assert!(events.status == 200 && !events.body.contains(CANARY));
}

async fn what_the_seed_let_through_is_refused_with_its_place(base: &Base<'_>) {
    let town = town(base);
    let params = |name: &str| json!({"extra_auth_params": {name: "x"}});
    let many: serde_json::Map<String, Value> = (0..17).map(|n| (format!("p{n}"), json!("x"))).collect();
    let own = [
        "response_type",
        "response_mode",
        "client_id",
        "client_secret",
        "redirect_uri",
        "state",
        "scope",
        "resource",
        "code",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "request",
        "request_uri",
    ];
    let mut rows: Vec<(Value, &str)> = own.iter().map(|name| (params(name), "/extra_auth_params")).collect();
    rows.extend([
        (json!({"extra_auth_params": many}), "/extra_auth_params"),
        (json!({"extra_auth_params": {"p": "x".repeat(257)}}), "/extra_auth_params"),
        (json!({"server_url": "file:///etc/passwd"}), "/server_url"),
        (json!({"server_url": "http://mcp.example/mcp"}), "/server_url"),
        (json!({"server_url": "https://user:pass@mcp.example/mcp"}), "/server_url"),
        (json!({"server_url": "https://mcp.example/mcp#part"}), "/server_url"),
        (json!({"display_name": "a__b"}), "/display_name"),
        (json!({"display_name": "x".repeat(33)}), "/display_name"),
        (json!({"display_name": "a b"}), "/display_name"),
        (json!({"display_name": "é"}), "/display_name"),
        (json!({"display_name": "a\n"}), "/display_name"),
        (json!({"display_name": ""}), "/display_name"),
        (json!({"allowed_tools": {"a": "yes"}}), "/allowed_tools/a"),
        (json!({"allowed_tools": {"a": true, "b": 0}}), "/allowed_tools/b"),
        (json!({"allowed_tools": {"a\nb": true}}), "/allowed_tools"),
        (json!({"org_ids": ["acme"]}), "/org_ids"),
        (json!({"unheard": 1}), "/unheard"),
        (json!({"scopes": ["a b"]}), "/scopes"),
        (json!({"registration_mode": "none"}), "/registration_mode"),
        (json!({"client_secret": CANARY}), "/client_secret"),
        (json!({"oauth_issuer_url": "https://issuer.example/?x=1"}), "/oauth_issuer_url"),
        (json!({"new_tools_policy": "maybe"}), "/new_tools_policy"),
        (json!({"token_endpoint": "ftp://issuer.example"}), "/token_endpoint"),
    ]);
    for (row, place) in rows {
        let mut body = plain("shelf");
        body.as_object_mut().unwrap().extend(row.as_object().unwrap().clone());
        let answer = town.ask("org_admin", "POST", SERVERS, Some(&body));
        assert_eq!(wrong(&answer), [place], "{row}");
    }
    // Every mistake at once.
    let body = json!({"server_url": "ftp://x", "display_name": "a__b", "scopes": [""], "registration_mode": "manual"});
    assert_eq!(wrong(&town.ask("org_admin", "POST", SERVERS, Some(&body))).len(), 7);
    for (header, answer) in [("Acme!", 400), ("nowhere", 404), ("acme", 404), ("beta", 200)] {
        let asked = Ask::by(town.key("foreign")).header("x-roboto-org-id", header).send(&town.app, "GET", SERVERS);
        assert_eq!(asked.status, answer, "{header}: {asked:?}");
    }
    assert_eq!(data(&town.ask("org_admin", "GET", SERVERS, None))["items"], json!([]), "nothing was registered");
    assert_eq!(data(&town.ask("org_admin", "GET", SERVERS, None))["next_token"], Value::Null);
}

async fn https_alone_is_accepted_without_the_switch_for_development(base: &Base<'_>) {
    let town = Town::of(base.setup(""));
    assert_eq!(wrong(&town.ask("org_admin", "POST", SERVERS, Some(&plain("shelf")))), ["/server_url"]);
}

async fn what_is_not_visible_does_not_exist(base: &Base<'_>) {
    let town = town(base);
    let server = add(&town, "org_admin", &plain("shelf"));
    let none = "0".repeat(32);
    let id = server["server_id"].as_str().unwrap();
    let requests: [(&str, &str, Option<Value>); 14] = [
        ("GET", "", None),
        ("PATCH", "", Some(json!({"scopes": []}))),
        ("DELETE", "", None),
        ("POST", "/retry-setup", None),
        ("PUT", "/allowed-tools", Some(json!({"allowed_tools": {}}))),
        ("POST", "/allowed-tools/copy", Some(json!({"source_server_id": none}))),
        ("GET", "/tools", None),
        ("POST", "/discover", None),
        ("PUT", "/org-context", Some(json!({"context": "x"}))),
        ("GET", "/org-credential", None),
        ("POST", "/oauth/start", None),
        ("POST", "/oauth/link", None),
        ("DELETE", "/token", None),
        ("POST", "/doctor", None),
    ];
    for (method, rest, body) in requests {
        let of = |id: &str| {
            let answer = town.ask("foreign", method, &format!("{SERVERS}/{id}{rest}"), body.as_ref());
            (answer.status, answer.code(), answer.json()["error"]["message"].clone())
        };
        assert_eq!(of(id), of(&none), "{method} {rest}");
        assert_eq!((of(id).0, of(id).1), (404, "not_found".into()), "{method} {rest}");
    }
    assert_eq!(data(&town.ask("foreign", "GET", SERVERS, None))["items"], json!([]));
    // Who is above everybody acts in one organisation all the same.
    assert_eq!(town.ask("platform_admin", "GET", &one(&server), None).status, 404);
    let within = Ask::by(town.key("platform_admin")).header("x-roboto-org-id", "acme");
    assert_eq!(data(&within.send(&town.app, "GET", &one(&server)))["display_name"], "shelf");
    // A name may be taken once before the eyes of one organisation, whatever its letters.
    let again = town.ask("org_admin", "POST", SERVERS, Some(&plain("SHELF")));
    assert_eq!((again.status, again.code()), (409, "conflict".into()));
    assert_eq!(add(&town, "foreign", &plain("shelf"))["org_ids"], json!(["beta"]));
}

async fn only_who_registered_a_server_changes_it(base: &Base<'_>) {
    let town = town(base);
    let body = json!({"server_url": NOBODY, "display_name": "wall", "registration_mode": "auto", "org_ids": ["acme", "beta"]});
    let server = add(&town, "platform_admin", &body);
    assert_eq!(server["org_ids"], json!(["acme", "beta"]));
    // An organisation is told of itself alone.
    assert_eq!(data(&town.ask("org_admin", "GET", &one(&server), None))["org_ids"], json!(["acme"]));
    for (method, rest, body) in [
        ("PATCH", "", Some(json!({"display_name": "ours"}))),
        ("DELETE", "", None),
        ("POST", "/retry-setup", None),
        ("PUT", "/allowed-tools", Some(json!({"allowed_tools": {}}))),
        ("PUT", "/new-tools-policy", Some(json!({"new_tools_policy": "allow"}))),
    ] {
        let answer = town.ask("org_admin", method, &format!("{}{rest}", one(&server)), body.as_ref());
        assert_eq!((answer.status, answer.code()), (403, "forbidden".into()), "{method} {rest}");
    }
    let change = |who: &str, tag: Option<&str>| {
        let ask = Ask::by(town.key(who)).header("x-roboto-org-id", "acme").json(&json!({"scopes": ["read", "write"]}));
        let ask = tag.into_iter().fold(ask, |ask, tag| ask.header("if-match", tag));
        ask.send(&town.app, "PATCH", &one(&server))
    };
    let changed = change("platform_admin", None);
    assert_eq!(data(&changed)["scopes"], json!(["read", "write"]));
    let tag = changed.header("etag").to_owned();
    assert_eq!(change("platform_admin", Some(&tag)).status, 200);
    let late = change("platform_admin", Some(&tag));
    assert_eq!((late.status, late.code()), (409, "version_conflict".into()));
    let unchanged = town.ask(
        "org_admin",
        "PATCH",
        &one(&add(&town, "org_admin", &plain("shelf"))),
        Some(&json!({"display_name": null, "scopes": null})),
    );
    assert_eq!(data(&unchanged)["display_name"], "shelf");
}

async fn lists_of_allowed_tools_mean_what_they_say(base: &Base<'_>) {
    let town = town(base);
    let (shelf, wall) = (add(&town, "org_admin", &plain("shelf")), add(&town, "org_admin", &plain("wall")));
    let foreign = add(&town, "foreign", &plain("theirs"));
    let set =
        |tools: Value| town.ask("org_admin", "PUT", &format!("{}/allowed-tools", one(&shelf)), Some(&json!({"allowed_tools": tools})));
    let copy = |to: &Value, from: &Value| {
        let body = json!({"source_server_id": from["server_id"]});
        town.ask("org_admin", "POST", &format!("{}/allowed-tools/copy", one(to)), Some(&body))
    };
    // Not configured is not a list that could be copied.
    let refused = copy(&wall, &shelf);
    assert_eq!((refused.status, refused.code()), (409, "conflict".into()));
    assert_eq!(data(&set(json!({})))["allowed_tools"], json!({}), "nothing is not null");
    assert_eq!(data(&copy(&wall, &shelf))["allowed_tools"], json!({}));
    assert_eq!(data(&set(json!({"a": true, "b": false})))["allowed_tools"], json!({"a": true, "b": false}));
    assert_eq!(data(&copy(&wall, &shelf))["allowed_tools"], json!({"a": true, "b": false}), "as it is");
    assert_eq!(data(&set(Value::Null))["allowed_tools"], Value::Null);
    assert_eq!(copy(&wall, &shelf).status, 409);
    assert_eq!(copy(&wall, &foreign).status, 404, "both must be visible");
    assert_eq!(wrong(&set(json!({"a": "true"}))), ["/allowed_tools/a"]);
    let absent = town.ask("org_admin", "PUT", &format!("{}/allowed-tools", one(&shelf)), Some(&json!({})));
    assert_eq!(wrong(&absent), ["/allowed_tools"], "null has to be said");
    let policy = json!({"new_tools_policy": "block"});
    let set = town.ask("org_admin", "PUT", &format!("{}/new-tools-policy", one(&shelf)), Some(&policy));
    assert_eq!(data(&set)["new_tools_policy"], "block");
    assert_eq!(data(&town.ask("member", "GET", &format!("{}/tools", one(&shelf)), None)), json!([]));
}

async fn an_organisation_says_lends_and_settles_for_itself(base: &Base<'_>) {
    let town = town(base);
    let body = json!({"server_url": NOBODY, "display_name": "wall", "registration_mode": "auto"});
    let server = add(&town, "platform_admin", &body);
    let context = format!("{}/org-context", one(&server));
    let say = |text: &str| town.ask("org_admin", "PUT", &context, Some(&json!({"context": text})));
    assert_eq!(town.ask("member", "GET", &context, None).status, 404);
    let long = "é".repeat(4_000);
    assert_eq!(data(&say(&long))["context"], json!(long));
    assert_eq!(wrong(&say(&"é".repeat(4_001))), ["/context"]);
    assert_eq!(data(&say("a\u{1b}[31m\n\tb"))["context"], "a[31m\n\tb");
    assert_eq!(data(&town.ask("member", "GET", &context, None))["context"], "a[31m\n\tb");
    assert_eq!(town.ask("foreign", "GET", &context, None).status, 404, "only that organisation sees it");
    assert_eq!(data(&say(""))["context"], "");
    assert_eq!(town.ask("member", "GET", &context, None).status, 404);

    let credential = format!("{}/org-credential", one(&server));
    let choose = |name: &str| town.ask("org_admin", "PUT", &credential, Some(&json!({"secret_name": name})));
    assert_eq!(choose("ABSENT").status, 404);
    assert_eq!(wrong(&choose("")), ["/secret_name"]);
    town.ask("org_admin", "PUT", "/v1/orgs/acme/secrets/TOKEN", Some(&json!({"value": CANARY})));
    let chosen = data(&choose("TOKEN"));
    assert_eq!((&chosen["secret_name"], &chosen["org_id"]), (&json!("TOKEN"), &json!("acme")));
    town.ask("org_admin", "PUT", "/v1/orgs/acme/secrets/TOKEN", Some(&json!({"value": "another"})));
    assert_eq!(data(&town.ask("org_admin", "GET", &credential, None))["modified"], chosen["modified"], "not when its value changes");
    assert_eq!(town.ask("member", "GET", &credential, None).status, 403);
    assert_eq!(town.ask("foreign", "GET", &credential, None).status, 404);
    assert_eq!(data(&town.ask("org_admin", "DELETE", &credential, None))["org_id"], "acme");
    assert_eq!(town.ask("org_admin", "DELETE", &credential, None).status, 404);

    let settings = "/v1/mcp/settings";
    assert_eq!(data(&town.ask("member", "GET", settings, None)), json!({"org_credential_fallback": "on"}));
    let off = json!({"org_credential_fallback": "off"});
    assert_eq!(town.ask("member", "PUT", settings, Some(&off)).status, 403);
    assert_eq!(data(&town.ask("org_admin", "PUT", settings, Some(&off))), off);
    assert_eq!(data(&town.ask("foreign", "GET", settings, None))["org_credential_fallback"], "on");
    assert_eq!(
        wrong(&town.ask("org_admin", "PUT", settings, Some(&json!({"org_credential_fallback": "no"})))),
        ["/org_credential_fallback"]
    );
}

async fn what_goes_with_a_server_is_counted(base: &Base<'_>) {
    let town = town(base);
    let body = json!({"server_url": NOBODY, "display_name": "wall", "registration_mode": "auto"});
    let server = add(&town, "platform_admin", &body);
    for (who, org) in [("org_admin", "acme"), ("foreign", "beta")] {
        town.ask(who, "PUT", &format!("/v1/orgs/{org}/secrets/TOKEN"), Some(&json!({"value": "x"})));
        data(&town.ask(who, "PUT", &format!("{}/org-context", one(&server)), Some(&json!({"context": "ours"}))));
        data(&town.ask(who, "PUT", &format!("{}/org-credential", one(&server)), Some(&json!({"secret_name": "TOKEN"}))));
    }
    let orgs = format!("{ADMIN}/{}/orgs", server["server_id"].as_str().unwrap());
    let assign = |orgs_wanted: Value| town.ask("platform_admin", "PUT", &orgs, Some(&json!({"org_ids": orgs_wanted})));
    let reassigned = data(&assign(json!(["acme"])));
    assert_eq!(reassigned["org_ids"], json!(["acme"]));
    let removed = &reassigned["removed"];
    assert_eq!((&removed["contexts"], &removed["credentials"], &removed["connections"]), (&json!(1), &json!(1), &json!(0)), "{removed}");
    assert_eq!(removed["organisations"], 2, "beta and ops see it no longer");
    assert_eq!(town.ask("foreign", "GET", &one(&server), None).status, 404);
    assert_eq!(data(&assign(json!([])))["removed"]["contexts"], 0, "nobody loses anything");
    assert_eq!(town.ask("foreign", "GET", &format!("{}/org-context", one(&server)), None).status, 404, "what went does not come back");
    assert_eq!(assign(json!(["nowhere"])).status, 409);
    assert_eq!(town.ask("org_admin", "PUT", &orgs, Some(&json!({"org_ids": []}))).status, 403);
    let deleted = Ask::by(town.key("platform_admin")).header("x-roboto-org-id", "acme").send(&town.app, "DELETE", &one(&server));
    let deleted = data(&deleted);
    assert_eq!(deleted["server_id"], server["server_id"]);
    assert_eq!(
        (&deleted["removed"]["contexts"], &deleted["removed"]["credentials"], &deleted["removed"]["organisations"]),
        (&json!(1), &json!(1), &json!(3))
    );
    assert_eq!(town.ask("org_admin", "GET", &one(&server), None).status, 404);
}

async fn lists_go_on_where_they_ended(base: &Base<'_>) {
    let town = town(base);
    for name in ["a", "b", "c"] {
        add(&town, "org_admin", &plain(name));
    }
    let (mut names, mut token) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page = data(&town.ask("member", "GET", &format!("{SERVERS}?limit=1{token}"), None));
        names.extend(page["items"].as_array().unwrap().iter().map(|server| server["display_name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_token"].as_str() else { break };
        token = format!("&page_token={next}");
    }
    names.sort();
    assert_eq!(names, ["a", "b", "c"]);
    let elsewhere = town.ask("foreign", "GET", &format!("{SERVERS}?limit=1{token}"), None);
    assert_eq!((elsewhere.status, elsewhere.code()), (400, "invalid_argument".into()), "a token of another organisation");
}

async fn every_refusal_has_the_shape_of_its_place(base: &Base<'_>) {
    let town = town(base);
    let at = |method, target: &str| Ask::anybody().send(&town.app, method, target);
    for (answer, status, code) in [
        (at("GET", SERVERS), 401, "auth"),
        (town.ask("member", "GET", "/v1/mcp/nothing", None), 404, "not_found"),
        (town.ask("member", "PUT", SERVERS, Some(&json!({}))), 405, "method_not_allowed"),
        (town.ask("org_admin", "POST", "/v1/mcp/oauth/callback", Some(&json!({"state": "x", "code": "y"}))), 410, "expired"),
        (town.ask("agent", "GET", "/v1/mcp/tokens", None), 403, "forbidden"),
    ] {
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
        assert!(answer.json()["error"].is_object(), "{answer:?}");
    }
    assert_eq!(at("GET", "/v1/orgs").header("content-type"), "application/problem+json", "the rest of the API has its own");
}

/// A server that wants no authorization can be called at once; what it lists decides about the list of allowed tools only while there is
/// none.
async fn discovery_fills_the_list_once_and_reviews_what_comes_later(base: &Base<'_>) {
    let town = town(base);
    let tool = |name: &str| FakeTool::new(name, Act::Echo);
    let upstream = FakeUpstream::start(Behaviour { tools: vec![tool("read"), tool("write")], ..Behaviour::default() });
    let server = add(&town, "org_admin", &json!({"server_url": upstream.url(), "display_name": "shelf"}));
    assert_eq!((&server["status"], &server["registration_mode"]), (&json!("active"), &json!("none")), "{server}");
    let discover = || data(&town.ask("org_admin", "POST", &format!("{}/discover", one(&server)), None));
    let record = || data(&town.ask("member", "GET", &one(&server), None));
    let known = || data(&town.ask("member", "GET", &format!("{}/tools", one(&server)), None));
    let policy = |policy: &str| {
        let body = json!({"new_tools_policy": policy});
        data(&town.ask("org_admin", "PUT", &format!("{}/new-tools-policy", one(&server)), Some(&body)));
    };
    let changes = discover();
    assert_eq!((&changes["added"], &changes["filled"]), (&json!(["read", "write"]), &json!(true)), "{changes}");
    assert_eq!(record()["allowed_tools"], json!({"read": true, "write": true}));
    assert!(record()["last_discovery_at"].is_string());
    let first = &known()[0];
    assert_eq!((&first["name"], &first["server_id"], &first["allowed"]), (&json!("read"), &server["server_id"], &json!(true)));
    assert_eq!((&first["description"], &first["input_schema"]["type"]), (&json!("Fake tool read."), &json!("object")));
    assert!(first["contract"]["risk_level"].is_string(), "{first}");
    // One is blocked and goes, others come.
    let blocked = json!({"allowed_tools": {"read": true, "write": false}});
    data(&town.ask("org_admin", "PUT", &format!("{}/allowed-tools", one(&server)), Some(&blocked)));
    upstream.set(|behaviour| behaviour.tools = vec![tool("read"), tool("later")]);
    let changes = discover();
    assert_eq!((&changes["added"], &changes["gone"], &changes["unreviewed"]), (&json!(["later"]), &json!(["write"]), &json!(["later"])));
    assert_eq!(record()["allowed_tools"], json!({"read": true, "write": false, "later": false}), "somebody has to look at it first");
    let gone = known().as_array().unwrap().iter().find(|tool| tool["name"] == "write").unwrap().clone();
    assert_eq!((&gone["present"], &gone["input_schema"]), (&json!(false), &json!({})));
    policy("allow");
    upstream.set(|behaviour| behaviour.tools = vec![tool("read"), tool("write"), tool("trusted")]);
    let changes = discover();
    assert_eq!((&changes["returned"], &changes["gone"]), (&json!(["write"]), &json!(["later"])));
    let allowed = json!({"read": true, "write": false, "later": false, "trusted": true});
    assert_eq!(record()["allowed_tools"], allowed, "coming back does not undo a block");
    // Without a list the next discovery names all that there are.
    data(&town.ask("org_admin", "PUT", &format!("{}/allowed-tools", one(&server)), Some(&json!({"allowed_tools": null}))));
    assert_eq!(discover()["filled"], true);
    assert_eq!(record()["allowed_tools"], json!({"read": true, "write": true, "trusted": true}));
    // There is nothing to connect with.
    let start = town.ask("member", "POST", &format!("{}/oauth/start", one(&server)), None);
    assert_eq!((start.status, start.code()), (409, "conflict".into()));
}
