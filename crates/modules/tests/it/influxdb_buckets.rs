//! `influxdb`: buckets that agents create, and whose they are.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bailiwick_model::{AgentId, AgentType, Code, OrgId};
use bailiwick_modules::{Host, ModuleRegistry, ModuleSetup};
use serde_json::{Value, json};

use crate::influxdb_support::{NO_ROWS, TOKEN, config, headers, network, open_as};
use crate::service::{FakeService, Received, Reply};
use crate::support::Agent;

const ORG_ID: &str = "0123456789abcdef";

/// A server with buckets that can be created, and the names it has.
async fn server(existing: &[&str]) -> (FakeService, Arc<Mutex<BTreeSet<String>>>) {
    let names = Arc::new(Mutex::new(existing.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>()));
    let shared = names.clone();
    let service = FakeService::start(move |request| answer(request, &mut shared.lock().unwrap())).await;
    (service, names)
}

fn answer(request: &Received, names: &mut BTreeSet<String>) -> Reply {
    let (path, parameters) = request.target.split_once('?').unwrap_or((&request.target, ""));
    match (request.method.as_str(), path) {
        ("GET", "/api/v2/orgs") => {
            Reply::json(&json!({ "orgs": [{ "id": "ffffffffffffffff", "name": "acme2" }, { "id": ORG_ID, "name": "acme" }] }))
        }
        ("GET", "/api/v2/buckets") => {
            let name = parameters.rsplit('=').next().unwrap();
            if names.contains(name) {
                return Reply::json(&json!({ "buckets": [{ "name": name, "id": "1" }] }));
            }
            Reply::new(404, r#"{"code":"not found","message":"bucket not found"}"#)
        }
        ("POST", "/api/v2/buckets") => {
            let name = request.json()["name"].as_str().unwrap().to_owned();
            if names.insert(name) {
                return Reply::new(201, "{}");
            }
            Reply::new(422, r#"{"code":"conflict","message":"bucket with this name already exists"}"#)
        }
        ("POST", "/api/v2/query") => Reply::new(200, NO_ROWS),
        _ => Reply::new(204, ""),
    }
}

async fn create(agent: &Agent, name: &str) -> Result<Value, Code> {
    agent.code("create_bucket", &json!({ "name": name })).await
}

async fn reach(agent: &Agent, bucket: &str) -> Result<Value, Code> {
    agent.code("list_measurements", &json!({ "bucket": bucket })).await
}

#[tokio::test]
async fn a_bucket_is_created_under_the_agents_name_and_used() {
    let (service, _) = server(&[]).await;
    let host = network();
    let agent = open_as("agent-1", &host, &service, None, &config());
    assert_eq!(reach(&agent, "agent-1--mine").await, Err(Code::ScopeViolation));
    assert_eq!(agent.call("create_bucket", &json!({ "name": "mine", "retention_days": 7 })).await, Ok(json!(true)));
    let received = service.received();
    let targets: Vec<&str> = received.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(targets, ["/api/v2/buckets?org=acme&name=agent-1-mine", "/api/v2/orgs?org=acme", "/api/v2/buckets"]);
    for request in &received[..2] {
        assert_eq!(headers(request), [("accept", "application/json"), ("authorization", &*format!("Token {TOKEN}"))]);
        assert!(request.body.is_empty());
    }
    assert_eq!(headers(&received[2]).len(), 3);
    let rules = json!([{ "type": "expire", "everySeconds": 604_800 }]);
    assert_eq!(received[2].json(), json!({ "orgID": ORG_ID, "name": "agent-1--mine", "retentionRules": rules }));
    assert_eq!(reach(&agent, "agent-1--mine").await, Ok(json!([])));
    let description = agent.0.tools().into_iter().find(|tool| tool.name == "create_bucket").unwrap().description;
    assert!(description.contains("`agent-1--<name>`"), "{description}");

    let again = open_as("agent-1", &host, &service, None, &config());
    assert_eq!(reach(&again, "agent-1--mine").await, Ok(json!([])), "remembered by the host, not by the instance");
    assert_eq!(create(&again, "mine").await, Err(Code::AlreadyExists));
    let forgetful = open_as("agent-1", &network(), &service, None, &config());
    assert_eq!(reach(&forgetful, "agent-1--mine").await, Err(Code::ScopeViolation), "the name alone opens nothing");
}

#[tokio::test]
async fn retention_is_a_number_of_days() {
    let (service, _) = server(&[]).await;
    let agent = open_as("agent-1", &network(), &service, None, &config());
    for days in [json!(-5), json!(3_651), json!(1.5), json!("7"), json!(true), json!(u64::MAX)] {
        assert_eq!(
            agent.code("create_bucket", &json!({ "name": "x", "retention_days": days })).await,
            Err(Code::InvalidArgument),
            "{days}"
        );
    }
    assert!(service.received().is_empty());
    for (name, days, rules) in [("a", json!(0), json!([])), ("b", json!(3_650), json!([{ "type": "expire", "everySeconds": 315_360_000 }]))]
    {
        agent.call("create_bucket", &json!({ "name": name, "retention_days": days })).await.unwrap();
        assert_eq!(service.received().last().unwrap().json()["retentionRules"], rules);
    }
    agent.call("create_bucket", &json!({ "name": "c" })).await.unwrap();
    assert_eq!(service.received().last().unwrap().json()["retentionRules"][0]["everySeconds"], json!(2_592_000));
}

#[tokio::test]
async fn names_that_are_none_are_refused_before_anything_is_asked() {
    let (service, _) = server(&[]).await;
    let agent = open_as("agent-1", &network(), &service, None, &config());
    let long = "x".repeat(65);
    for name in ["", "../x", "a b", "a/b", "a.b", "x\n", "é", "a\"b", "$", "-x", "a--b", "--", &long] {
        assert_eq!(create(&agent, name).await, Err(Code::InvalidArgument), "{name:?}");
    }
    assert!(service.received().is_empty());
    for name in ["x", "_x", "X-y_9", "x-", &"x".repeat(64)] {
        assert_eq!(create(&agent, name).await, Ok(json!(true)), "{name}");
    }
}

#[tokio::test]
async fn a_bucket_of_the_older_form_is_not_shadowed_and_not_taken_over() {
    let (service, names) = server(&["agent-1-old"]).await;
    let agent = open_as("agent-1", &network(), &service, None, &config());
    assert_eq!(create(&agent, "old").await, Err(Code::AlreadyExists));
    assert_eq!(names.lock().unwrap().len(), 1);
    for bucket in ["agent-1-old", "agent-1--old"] {
        assert_eq!(reach(&agent, bucket).await, Err(Code::ScopeViolation));
    }
}

/// Ids that begin with each other, end in `-` or hold `--`; names that would fill the gap.
const IDS: [&str; 6] = ["a", "a-b", "a-", "a--", "a--b", "ab"];
const NAMES: [&str; 12] = ["x", "b-x", "-x", "b", "-b", "b--x", "-b--x", "b--c--x", "c", "_x", "b-", "--x"];

async fn no_two_share(separator: Option<&str>) -> usize {
    let (service, names) = server(&[]).await;
    let mut config = config();
    if let Some(separator) = separator {
        config["bucket_separator"] = json!(separator);
    }
    let agents: Vec<Agent> = IDS.iter().map(|id| open_as(id, &network(), &service, None, &config)).collect();
    let mut created = 0;
    let mut seen = BTreeSet::new();
    for (index, agent) in agents.iter().enumerate() {
        for name in NAMES {
            if create(agent, name).await.is_err() {
                continue;
            }
            created += 1;
            let fresh: Vec<String> = names.lock().unwrap().iter().filter(|bucket| !seen.contains(*bucket)).cloned().collect();
            let [bucket] = fresh.as_slice() else { panic!("{} created {fresh:?}", IDS[index]) };
            seen.insert(bucket.clone());
            for (other, agent) in agents.iter().enumerate() {
                assert_eq!(reach(agent, bucket).await.is_ok(), other == index, "{bucket} of {} and {}", IDS[index], IDS[other]);
            }
        }
    }
    created
}

#[tokio::test]
async fn agents_whose_ids_begin_with_each_other_share_no_bucket() {
    let mut taken = BTreeSet::new();
    for id in IDS {
        for name in NAMES.iter().filter(|name| !name.starts_with('-') && !name.contains("--")) {
            if !taken.contains(&format!("{id}-{name}")) {
                assert!(taken.insert(format!("{id}--{name}")), "{id} {name}");
            }
        }
    }
    assert_eq!(no_two_share(None).await, taken.len(), "every sound name is free, unless its older form looks taken");
    assert_eq!(no_two_share(Some(".")).await, IDS.len() * NAMES.len(), "what no id can hold keeps all names apart");
    assert!(no_two_share(Some("-")).await > IDS.len(), "with the older separator the first to come has the name, alone");
    assert!(no_two_share(Some("---")).await > IDS.len());
}

fn open_in(org: &str, id: &str, host: &Host, service: &FakeService) -> Agent {
    let credentials = [("INFLUXDB_URL", service.url()), ("INFLUXDB_TOKEN", TOKEN.to_owned())];
    let credentials = credentials.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let config = config();
    let setup = ModuleSetup {
        key: "influxdb",
        org: Some(&OrgId::parse(org).unwrap()),
        agent_id: &AgentId::parse(id).unwrap(),
        agent_type: &AgentType::parse("tester").unwrap(),
        access: None,
        config: config.as_object().unwrap(),
        credentials: &credentials,
        host,
    };
    Agent(ModuleRegistry::with_builtin().get("influxdb").unwrap().open(setup).unwrap())
}

#[tokio::test]
async fn agents_of_two_organisations_with_one_id_share_no_bucket() {
    let (service, names) = server(&["a-x"]).await;
    let agents = [
        open_in("north", "a", &network(), &service),
        open_in("north-a", "a", &network(), &service),
        open_in("n", "a", &network(), &service),
    ];
    for agent in &agents {
        assert_eq!(create(agent, "x").await, Ok(json!(true)), "the older form was the home organisation's only");
    }
    let created: Vec<String> = names.lock().unwrap().iter().cloned().collect();
    assert_eq!(created, ["@n:a--x", "@north-a:a--x", "@north:a--x", "a-x"]);
    for (bucket, owner) in [("@n:a--x", 2), ("@north-a:a--x", 1), ("@north:a--x", 0), ("a-x", 9)] {
        for (index, agent) in agents.iter().enumerate() {
            assert_eq!(reach(agent, bucket).await.is_ok(), index == owner, "{bucket} {index}");
        }
    }
}

#[tokio::test]
async fn an_organisation_that_nobody_knows_is_an_error() {
    let service = FakeService::start(|request| match request.target.split('?').next() {
        Some("/api/v2/orgs") => Reply::json(&json!({ "orgs": [{ "id": 5, "name": "acme" }] })),
        _ => Reply::json(&json!({ "buckets": [{ "name": "agent-1-xy" }] })),
    })
    .await;
    let agent = open_as("agent-1", &network(), &service, None, &config());
    assert_eq!(create(&agent, "x").await, Err(Code::UpstreamError), "another bucket's name in the list is not this one's");
    let mut by_id = config();
    by_id["org"] = json!(ORG_ID);
    let (service, _) = server(&[]).await;
    let agent = open_as("agent-1", &network(), &service, None, &by_id);
    assert_eq!(create(&agent, "x").await, Ok(json!(true)));
    assert_eq!(service.received().last().unwrap().json()["orgID"], json!(ORG_ID));
    assert!(service.received().iter().all(|request| !request.target.contains("/orgs")), "an identifier needs no look-up");
}
