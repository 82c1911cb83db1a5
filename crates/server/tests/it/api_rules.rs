//! The conventions of the management API: pages, repeated requests, versions, and what a careless or hostile client may send.

use serde_json::{Value, json};

use crate::api::{Answer, Ask, Town};

const GROUPS: &str = "/v1/orgs/acme/groups";

fn make_group(town: &Town, id: &str) -> Answer {
    town.ask("org_admin", "POST", GROUPS, Some(&json!({"group": id, "name": format!("Group {id}")})))
}

/// The part of a refused request that is said to be wrong.
fn wrong(answer: &Answer) -> (u16, String) {
    let problem = answer.json();
    let part = &problem["errors"][0];
    let place = part.get("pointer").or_else(|| part.get("parameter")).unwrap_or_else(|| panic!("{problem}"));
    (answer.status, place.as_str().unwrap().to_owned())
}

#[test]
fn lists_come_in_pages_whose_cursors_belong_to_them() {
    let town = Town::new("");
    for id in ["a", "b", "c", "d"] {
        assert_eq!(make_group(&town, id).status, 201);
    }
    let get = |target: &str| town.ask("org_admin", "GET", target, None);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page = get(&format!("{GROUPS}?limit=2{cursor}")).json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["group"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d", "data"]);
    let cursor = get(&format!("{GROUPS}?limit=1")).json()["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(get(&format!("/v1/orgs/acme/members?cursor={cursor}")).status, 422, "another list");
    assert_eq!(town.ask("foreign", "GET", &format!("/v1/orgs/beta/groups?cursor={cursor}"), None).status, 422, "another organisation");
    assert_eq!(get(&format!("{GROUPS}?cursor=nonsense")).code(), "invalid_argument");
    for (query, place) in
        [("limit=0", "limit"), ("limit=501", "limit"), ("limit=x", "limit"), ("limit=1&limit=2", "limit"), ("page=2", "page")]
    {
        assert_eq!(wrong(&get(&format!("{GROUPS}?{query}"))), (400, place.to_owned()), "{query}");
    }
    assert_eq!(get(&format!("{GROUPS}?limit=500")).status, 200);
}

#[test]
fn a_repeated_request_is_done_once() {
    let town = Town::new("");
    let send =
        |key: &str, body: Value| Ask::by(town.key("org_admin")).header("idempotency-key", key).json(&body).send(&town.app, "POST", GROUPS);
    let body = json!({"group": "a", "name": "A"});
    let (first, again) = (send("k-1", body.clone()), send("k-1", body.clone()));
    assert_eq!((first.status, again.status, &first.body), (201, 201, &again.body));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    let other = send("k-1", json!({"group": "b", "name": "B"}));
    assert_eq!((other.status, other.code()), (422, "idempotency_mismatch".into()));
    assert_eq!(send("k-2", body.clone()).status, 409, "the group exists");
    // What had no effect does not use its name up.
    assert_eq!(send("k-2", json!({"group": "b", "name": "B"})).status, 201);
    let elsewhere = Ask::by(town.key("platform_admin")).header("idempotency-key", "k-1").json(&json!({"group": "c", "name": "C"}));
    assert_eq!(elsewhere.send(&town.app, "POST", GROUPS).status, 201, "the word of somebody else");
    for bad in ["", "with space", &"x".repeat(256)] {
        assert_eq!(wrong(&send(bad, body.clone())), (400, "idempotency-key".into()), "{bad:?}");
    }
}

#[test]
fn the_text_of_a_key_is_in_one_answer_only() {
    let town = Town::new("");
    let keys = "/v1/orgs/acme/keys";
    let send = || {
        let ask = Ask::by(town.key("org_admin")).header("idempotency-key", "k-1");
        ask.json(&json!({"agent_id": "worker", "note": "ci", "expires_at": null})).send(&town.app, "POST", keys)
    };
    let made = send();
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!((made.status, made.json()["note"].as_str(), made.json()["state"].as_str()), (201, Some("ci"), Some("live")));
    assert_eq!(Ask::by(&token).send(&town.app, "GET", "/v1/me").json()["agent_id"], "worker");

    let again = send();
    assert_eq!((again.status, again.code()), (409, "conflict".into()));
    assert!(again.body.contains("shown only once"), "{}", again.body);
    let rotated =
        town.ask("org_admin", "POST", &format!("{keys}/{id}/rotate"), Some(&json!({"expires_at": null, "overlap_seconds": 3600})));
    let fresh = rotated.json()["token"].as_str().unwrap().to_owned();
    for key in [&token, &fresh] {
        assert_eq!(Ask::by(key).send(&town.app, "GET", "/v1/me").status, 200, "both work for a while");
    }
    let secret = |token: &str| token.rsplit('_').nth(1).unwrap().to_owned();
    let everything = [keys.to_owned(), format!("{keys}/{id}"), "/v1/orgs/acme/events".into(), "/v1/orgs/acme/agents".into()];
    for target in &everything {
        let answer = town.ask("org_admin", "GET", target, None);
        for hidden in [&token, &fresh].map(|token| secret(token)) {
            assert!(answer.status == 200 && !answer.body.contains(&hidden), "{target}");
        }
    }
    let database = std::fs::read(town.app.place().path().join("state/bailiwick.db")).unwrap_or_default();
    let log = std::fs::read(town.app.place().path().join("state/bailiwick.db-wal")).unwrap_or_default();
    assert!(!database.is_empty(), "the database is where it is looked for");
    for hidden in [secret(&token), secret(&fresh)] {
        let found = [&database, &log].iter().any(|bytes| bytes.windows(hidden.len()).any(|window| window == hidden.as_bytes()));
        assert!(!found, "the text of a key is in the database");
    }
}

#[test]
fn secrets_are_set_at_a_version_and_never_shown() {
    let town = Town::new("");
    let one = "/v1/orgs/acme/secrets/TOKEN";
    let put = |value: &str, version: Option<&str>| {
        let mut ask = Ask::by(town.key("org_admin")).json(&json!({"value": value}));
        if let Some(version) = version {
            ask = ask.header("if-match", version);
        }
        ask.send(&town.app, "PUT", one)
    };
    let first = put("hunter-2-hunter-2", None);
    assert_eq!((first.status, first.header("etag"), first.json()["set"].as_bool()), (200, "\"1\"", Some(true)));
    assert_eq!(put("second-second", Some("\"1\"")).header("etag"), "\"2\"");
    let late = put("third-third", Some("\"1\""));
    assert_eq!((late.status, late.code()), (412, "version_conflict".into()));
    for bad in ["1", "*", "\"x\"", "W/\"1\"", "\"1\", \"2\""] {
        assert_eq!(put("x", Some(bad)).status, 412, "{bad}");
    }
    // Decided last: whoever may not, or names nothing, hears of that.
    let stale = |who: &str, target: &str| Ask::by(town.key(who)).header("if-match", "\"7\"").send(&town.app, "DELETE", target).status;
    assert_eq!((stale("member", one), stale("foreign", one), stale("org_admin", "/v1/orgs/acme/secrets/NONE")), (403, 404, 404));
    assert_eq!(stale("org_admin", one), 412);
    assert_eq!(wrong(&Ask::by(town.key("org_admin")).header("if-match", "\"1\"").send(&town.app, "GET", one)), (400, "If-Match".into()));
    let refused = Ask::by(town.key("org_admin")).text(r#"{"value": ["hunter-2-hunter-2"]}"#).send(&town.app, "PUT", one);
    assert_eq!(wrong(&refused), (400, "/value".into()));
    for target in [one, "/v1/orgs/acme/secrets", "/v1/orgs/acme/events"] {
        let answer = town.ask("org_admin", "GET", target, None);
        assert_eq!(answer.status, 200);
        assert!(!answer.body.contains("hunter") && !answer.body.contains("second-second"), "{target}");
    }
    assert!(!first.body.contains("hunter") && !refused.body.contains("hunter") && !town.app.stderr().contains("hunter"));
}

#[test]
fn what_the_document_does_not_describe_is_refused_by_its_place() {
    let town = Town::new("");
    let send = |body: &str| Ask::by(town.key("org_admin")).text(body).send(&town.app, "POST", GROUPS);
    for (body, place) in [
        (r#"{"group": "a"}"#, "/name"),
        (r#"{"group": "a", "name": "A", "colour": 1}"#, "/colour"),
        (r#"{"group": "A", "name": "A"}"#, "/group"),
        (r#"{"group": "a", "name": 5}"#, "/name"),
        (r#"{"group": "a", "name": "zero\u200bwidth"}"#, "/name"),
        (r#"{"group": "a", "name": "turned\u202eround"}"#, "/name"),
        (r#"{"group": "a", "name": "line\nbreak"}"#, "/name"),
        (r#"{"group": "a", "group": "b", "name": "A"}"#, ""),
        ("[]", ""),
        ("{", ""),
        ("", ""),
    ] {
        assert_eq!(wrong(&send(body)), (400, place.to_owned()), "{body}");
    }
    let member = |body: Value| town.ask("org_admin", "POST", "/v1/orgs/acme/members", Some(&body));
    for (body, place) in [
        (json!({"sub": "x", "role": "owner"}), "/role"),
        (json!({"sub": "x y"}), "/sub"),
        (json!({"sub": "x\u{200b}"}), "/sub"),
        (json!({"sub": "x", "email": "nobody"}), "/email"),
        (json!({"sub": "x", "email": "a@b\u{2060}.c"}), "/email"),
    ] {
        assert_eq!(wrong(&member(body.clone())), (400, place.to_owned()), "{body}");
    }
    // Described, but not possible as it stands.
    let blank = send(r#"{"group": "a", "name": "  "}"#);
    assert_eq!((blank.status, blank.code()), (422, "invalid_argument".into()));
    let past = json!({"agent_id": "worker", "expires_at": "2001-01-01T00:00:00Z"});
    assert_eq!(town.ask("org_admin", "POST", "/v1/orgs/acme/keys", Some(&past)).status, 422);
    assert_eq!(town.ask("org_admin", "GET", GROUPS, None).json()["items"].as_array().unwrap().len(), 1, "nothing was made");
}

#[test]
fn bodies_have_a_size_a_type_and_a_place() {
    let town = Town::new("");
    let by = || Ask::by(town.key("org_admin"));
    let large = json!({"group": "a", "name": "x".repeat(3 << 20)}).to_string();
    let answer = by().text(large).send(&town.app, "POST", GROUPS);
    assert_eq!((answer.status, answer.code()), (413, "limit_exceeded".into()));
    let typed = |name: &'static str, value: &str| by().text("{}").header(name, value).send(&town.app, "POST", GROUPS).status;
    assert_eq!((typed("content-type", "text/plain"), typed("content-encoding", "gzip")), (415, 415));
    assert_eq!(by().text("{}").send(&town.app, "GET", GROUPS).status, 400, "nothing reads it");
    assert_eq!(by().text("{}").send(&town.app, "DELETE", "/v1/orgs/acme/groups/data").status, 400);
    assert_eq!(town.ask("org_admin", "GET", "/v1/orgs/acme/groups/data", None).status, 200);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(by().text(deep).send(&town.app, "POST", GROUPS).status, 400);
}

#[test]
fn hosts_origins_methods_and_addresses() {
    let town = Town::new("");
    let by = || Ask::by(town.key("org_admin"));
    for path in [GROUPS, "/v1/openapi.json", "/docs"] {
        let evil = by().header("origin", "https://evil.example").send(&town.app, "GET", path);
        assert_eq!((evil.status, evil.code()), (403, "policy_denied".into()), "{path}");
        let host = by().header("host", "evil.example").send(&town.app, "GET", path).status;
        assert!(host == 403 || host == 421, "{path}: {host}");
    }
    let wrong = by().send(&town.app, "PATCH", GROUPS);
    assert_eq!((wrong.status, wrong.code(), wrong.header("allow")), (405, "method_not_allowed".into(), "GET, HEAD, POST"));
    assert_eq!(Ask::anybody().send(&town.app, "POST", "/docs").status, 405);
    let head = by().send(&town.app, "HEAD", GROUPS);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for path in ["/v1", "/v1/", "/v1/nonsense", "/v1/orgs/", "/v1/orgs/acme/", "/v1//orgs", "/v1/orgs/acme/members/a/b"] {
        assert_eq!(by().send(&town.app, "GET", path).code(), "not_found", "{path}");
        assert_eq!(Ask::anybody().send(&town.app, "GET", path).status, 401, "{path}: who is unknown learns nothing");
    }
    let two = by().header("authorization", format!("Bearer {}", town.key("member"))).send(&town.app, "GET", GROUPS);
    assert_eq!(two.status, 400, "one credential");
    let docs = Ask::anybody().send(&town.app, "GET", "/docs");
    assert!(docs.body.contains("POST /v1/orgs/{org}/keys") && !docs.body.contains("<script"), "{}", docs.body);
    assert!(docs.header("content-security-policy").starts_with("default-src 'none'"));
}

#[test]
fn names_in_addresses_are_decoded_once() {
    let town = Town::new("");
    let sub = "auth0|x/y%2Fz?#&+";
    assert_eq!(town.ask("org_admin", "POST", "/v1/orgs/acme/members", Some(&json!({"sub": sub}))).status, 201);
    let get = |raw: &str| town.ask("org_admin", "GET", &format!("/v1/orgs/acme/members/{raw}"), None);
    let once = "auth0%7Cx%2Fy%252Fz%3F%23%26%2B";
    assert_eq!(get(once).json()["sub"], sub);
    assert_eq!(get(&once.replace("%2B", "+")).json()["sub"], sub, "a plus is a plus");
    assert_eq!(get(&once.replace('%', "%25")).status, 404, "never twice");
    assert_eq!(get("auth0%7Cx/y%252Fz%3F%23%26%2B").status, 404, "a slash ends a name");
    for bad in ["%", "%zz", "a%2", "%ff", "%00", "a%20b", "%e2%80%8b"] {
        assert_eq!(wrong(&get(bad)), (400, "sub".into()), "{bad}");
    }
    for dots in ["..", "%2e%2e", "..%2f..%2fgroups"] {
        assert_eq!(get(dots).status, 404, "{dots} is a name like any other");
    }
    let org = |raw: &str| town.ask("org_admin", "GET", &format!("/v1/orgs/{raw}/groups"), None).status;
    assert_eq!((org("%61cme"), org("acme%00"), org("ACME"), org("acme%2fgroups")), (200, 400, 400, 400));
}
