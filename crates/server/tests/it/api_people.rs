//! Roles as people meet them: the last administrator, administrators of a group, those above organisations; and what is on the ledger
//! afterwards.

use bailiwick_testkit::app::{END_WAIT, poll};
use serde_json::{Value, json};

use crate::api::{Ask, Town};
use crate::scene::talk;

#[test]
fn the_last_administrator_stays() {
    let town = Town::new("");
    let ann = "/v1/orgs/acme/members/ann";
    let demote = |who| town.ask(who, "PATCH", ann, Some(&json!({"role": "member"})));
    for refused in [demote("org_admin"), town.ask("org_admin", "DELETE", ann, None), town.ask("platform_admin", "DELETE", ann, None)] {
        assert_eq!((refused.status, refused.code()), (409, "conflict".into()));
        assert!(refused.body.contains("last administrator"), "{}", refused.body);
        let event = refused.json()["event_id"].as_str().unwrap().to_owned();
        // The readable row is written behind the record.
        let told = || town.ask("member", "GET", &format!("/v1/orgs/acme/events/{event}"), None);
        assert_eq!(told().status, 403);
        let told = || Some(town.ask("org_admin", "GET", &format!("/v1/orgs/acme/events/{event}"), None)).filter(|told| told.status == 200);
        let told = poll(END_WAIT, told).expect("the event is found by its id").json();
        assert_eq!((&told["ok"], &told["server"]), (&json!(false), &json!("ann")));
    }
    assert_eq!(town.ask("org_admin", "PATCH", "/v1/orgs/acme/members/mia", Some(&json!({"role": "org_admin"}))).status, 200);
    assert_eq!(demote("member").json()["role"], "member", "mia may do it now, at once");
    assert_eq!(town.ask("org_admin", "GET", "/v1/orgs/acme/keys", None).status, 403, "ann may nothing more, at once");
}

#[test]
fn administrators_of_a_group_manage_their_own_group_only() {
    let town = Town::new("");
    assert_eq!(town.ask("org_admin", "POST", "/v1/orgs/acme/groups", Some(&json!({"group": "other", "name": "Other"}))).status, 201);
    let put = |group: &str, sub: &str, role: &str| {
        town.ask("group", "PUT", &format!("/v1/orgs/acme/groups/{group}/members/{sub}"), Some(&json!({"role": role})))
    };
    assert_eq!(put("data", "mia", "member").status, 200);
    assert_eq!(put("data", "ghost", "member").status, 409, "no member of the organisation");
    assert_eq!(put("data", "mia", "org_admin").status, 400, "a group has no such role");
    let refused = put("other", "lee", "group_admin");
    assert_eq!((refused.status, refused.code()), (403, "forbidden".into()));
    assert_eq!(town.ask("member", "GET", "/v1/orgs/acme/members/mia", None).status, 200, "himself");
    assert_eq!(town.ask("member", "GET", "/v1/orgs/acme/members/ann", None).status, 403);
    let me = town.ask("group", "GET", "/v1/me", None).json();
    assert_eq!(me["groups"], json!([{"group": "data", "role": "group_admin"}]));
    assert_eq!((&me["sub"], &me["role"], &me["platform_admin"]), (&json!("lee"), &json!("member"), &json!(false)));
}

#[test]
fn whoever_acts_from_above_is_on_the_record_of_the_organisation() {
    let town = Town::new("");
    let rows = || town.ask("org_admin", "GET", "/v1/orgs/acme/events?limit=500", None).json()["items"].as_array().unwrap().clone();
    let from_above = |rows: &[Value]| -> Vec<String> {
        rows.iter().filter(|row| row["operator"] == "ops/pam").map(|row| row["tool"].as_str().unwrap().to_owned()).collect()
    };
    assert!(from_above(&rows()).is_empty());
    assert_eq!(town.ask("platform_admin", "GET", "/v1/orgs/acme/members", None).status, 200);
    assert_eq!(town.ask("platform_admin", "POST", "/v1/orgs/acme/members", Some(&json!({"sub": "new"}))).status, 201);
    let expected = ["user add", "user list"];
    poll(END_WAIT, || (from_above(&rows()) == expected).then_some(()));
    assert_eq!(from_above(&rows()), expected, "reading is recorded too");
    // In his own organisation he is who he is there.
    assert_eq!(town.ask("platform_admin", "GET", "/v1/orgs/ops", None).json()["org"], "ops");
}

#[test]
fn nobody_gets_above_organisations_through_one() {
    let town = Town::new("");
    // Somebody of the same name elsewhere is somebody else.
    assert_eq!(town.ask("org_admin", "POST", "/v1/orgs/acme/members", Some(&json!({"sub": "pam"}))).status, 201);
    let key = |who, org: &str, sub: &str| {
        let body = json!({"agent_id": "desk", "agent_type": "reader", "sub": sub, "expires_at": null});
        town.ask(who, "POST", &format!("/v1/orgs/{org}/keys"), Some(&body))
    };
    let twin = key("org_admin", "acme", "pam").json()["token"].as_str().unwrap().to_owned();
    let me = Ask::by(&twin).send(&town.app, "GET", "/v1/me").json();
    assert_eq!((&me["org"], &me["platform_admin"]), (&json!("acme"), &json!(false)));
    assert_eq!(Ask::by(&twin).send(&town.app, "GET", "/v1/platform/admins").status, 403);

    // An administrator of the organisation can make no key of a platform administrator, and those from before do not carry it.
    let before = key("org_admin", "acme", "mia").json();
    assert_eq!(town.ask("platform_admin", "PUT", "/v1/platform/admins/mia", Some(&json!({"org": "acme"}))).status, 200);
    let refused = key("org_admin", "acme", "mia");
    assert_eq!((refused.status, refused.code()), (403, "forbidden".into()));
    let old = before["id"].as_str().unwrap();
    let rotated = town.ask("org_admin", "POST", &format!("/v1/orgs/acme/keys/{old}/rotate"), Some(&json!({"expires_at": null})));
    assert_eq!(rotated.status, 403);
    for key in [before["token"].as_str().unwrap(), town.key("member")] {
        assert_eq!(Ask::by(key).send(&town.app, "GET", "/v1/platform/admins").status, 403);
    }
    let made = key("platform_admin", "acme", "mia").json()["token"].as_str().unwrap().to_owned();
    assert_eq!(Ask::by(&made).send(&town.app, "GET", "/v1/platform/admins").status, 200);
}

#[test]
fn every_change_is_on_the_ledger_with_who_made_it() {
    let town = Town::new("");
    assert_eq!(town.ask("org_admin", "POST", "/v1/orgs/acme/groups", Some(&json!({"group": "x", "name": "X"}))).status, 201);
    assert_eq!(town.ask("member", "DELETE", "/v1/orgs/acme/groups/x", None).status, 403);
    assert_eq!(town.ask("org_admin", "DELETE", "/v1/orgs/acme/groups/x", None).status, 204);
    let told = |row: &Value| {
        format!(
            "{} {} {} {}",
            row["sub"].as_str().unwrap_or("-"),
            row["tool"].as_str().unwrap(),
            row["server"].as_str().unwrap(),
            row["ok"]
        )
    };
    let rows = || -> Vec<String> {
        let page = town.ask("org_admin", "GET", "/v1/orgs/acme/events?limit=3", None).json();
        page["items"].as_array().unwrap().iter().map(told).collect()
    };
    let expected = ["ann group create x true", "ann group delete x true", "mia group delete acme false"];
    let sorted = || {
        let mut rows = rows();
        rows.sort();
        rows
    };
    // The readable rows are written behind the records.
    poll(END_WAIT, || (sorted() == expected).then_some(()));
    assert_eq!(sorted(), expected);
    let proof = town.app.command(&["audit", "verify"]);
    assert!(proof.status.success(), "{}", talk(&proof));
}

#[test]
fn a_removed_member_is_nobody_within_a_second() {
    let town = Town::new("");
    assert_eq!(town.ask("himself", "GET", "/v1/me", None).status, 200);
    let began = std::time::Instant::now();
    assert_eq!(town.ask("org_admin", "DELETE", "/v1/orgs/acme/members/bob", None).status, 204);
    assert_eq!(town.ask("himself", "GET", "/v1/orgs/acme/members/bob", None).status / 100, 4, "no rights at once");
    while town.ask("himself", "GET", "/v1/me", None).status != 401 {
        assert!(began.elapsed() < std::time::Duration::from_secs(2), "still somebody");
    }
    assert!(town.keys().count() >= 8);
}
