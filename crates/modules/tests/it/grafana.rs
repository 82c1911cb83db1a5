//! The tools of `grafana` against a Grafana that keeps state.

use bailiwick_model::{AgentType, Code};
use bailiwick_modules::{Access, Host, ModuleDraft, ModuleRegistry};
use serde_json::{Value, json};

use crate::grafana_fake::{FakeGrafana, TOKEN, uid_of};
use crate::support::try_open_on;

const LISTS: &str = "GET /grafana/api/folders?limit=1000&page=1";
const SAVES: &str = "POST /grafana/api/dashboards/db";

fn panel(uid: &str) -> Value {
    json!({ "id": 1, "type": "timeseries", "title": "load", "datasource": { "type": "prometheus", "uid": uid }, "targets": [{ "refId": "A", "expr": "up" }] })
}

#[tokio::test]
async fn a_dashboard_lives_in_the_agents_folder() {
    let grafana = FakeGrafana::start().await;
    let agent = grafana.open(&json!({ "allowed_datasources": ["Prometheus"] }));
    let uid = uid_of("agent-a-1", "Load", 0);
    let gets = format!("GET /grafana/api/dashboards/uid/{uid}");
    assert_eq!(agent.call("list_dashboards", &json!({})).await.unwrap(), json!([]));
    assert_eq!(grafana.lines(), [LISTS], "reading makes no folder");

    let made = agent.call("create_dashboard", &json!({ "title": "Load", "panels": [panel("prom")] })).await.unwrap();
    assert_eq!(made, json!({ "id": 11, "uid": uid, "url": format!("/d/{uid}"), "status": "success", "version": 1 }));
    let sent = grafana.service.take();
    let lines: Vec<String> = sent.iter().map(|request| format!("{} {}", request.method, request.target)).collect();
    assert_eq!(lines, ["GET /grafana/api/datasources", LISTS, "POST /grafana/api/folders", SAVES]);
    assert_eq!(sent[2].json(), json!({ "uid": "agent-a-1", "title": "agent-a-1" }));
    let model = json!({ "id": null, "uid": null, "title": "Load", "panels": [panel("prom")], "schemaVersion": 38 });
    assert_eq!(sent[3].json(), json!({ "dashboard": model, "folderUid": "agent-a-1", "overwrite": false }));
    for request in &sent {
        let mut names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.retain(|name| !matches!(*name, "content-length" | "content-type"));
        names.sort_unstable();
        assert_eq!(names, ["accept-encoding", "authorization", "host", "user-agent"]);
    }

    let listed = agent.call("list_dashboards", &json!({})).await.unwrap();
    assert_eq!(listed, json!([{ "uid": uid, "title": "Load", "type": "dash-db", "folderUid": "agent-a-1" }]));
    assert_eq!(grafana.lines(), ["GET /grafana/api/search?type=dash-db&folderUIDs=agent-a-1&limit=1000&page=1"]);
    let got = agent.call("get_dashboard", &json!({ "uid": uid })).await.unwrap();
    assert_eq!((&got["dashboard"]["title"], &got["meta"]["folderUid"]), (&json!("Load"), &json!("agent-a-1")));
    assert_eq!(grafana.lines(), [gets.as_str()]);
    let text = json!({ "type": "text", "options": { "content": "hello" } });
    let saved = agent.call("update_dashboard", &json!({ "uid": uid, "panels": [text] })).await.unwrap();
    assert_eq!(saved["version"], 2);
    assert_eq!(grafana.lines(), [gets.as_str(), SAVES], "fetched once");
    assert_eq!(agent.call("delete_dashboard", &json!({ "uid": uid })).await.unwrap(), json!(true));
    assert_eq!(grafana.lines(), [gets, format!("DELETE /grafana/api/dashboards/uid/{uid}")]);
    assert_eq!(agent.code("get_dashboard", &json!({ "uid": uid })).await, Err(Code::ScopeViolation));
}

#[tokio::test]
async fn dashboards_elsewhere_are_neither_read_nor_changed() {
    let grafana = FakeGrafana::start().await;
    grafana.folder("agent-a-1", "agent-a-1");
    grafana.folder("agent-a-10", "agent-a-10");
    grafana.dashboard("mine", "agent-a-1", &json!({}));
    for (uid, folder) in [("theirs", "agent-a-10"), ("root", ""), ("renamed", "AGENT-A-1")] {
        grafana.dashboard(uid, folder, &json!({}));
    }
    let agent = grafana.open(&json!({}));
    assert_eq!(agent.call("list_dashboards", &json!({})).await.unwrap().as_array().unwrap().len(), 1);
    grafana.lines();
    for uid in ["theirs", "root", "renamed"] {
        for (tool, arguments) in [
            ("get_dashboard", json!({ "uid": uid })),
            ("update_dashboard", json!({ "uid": uid, "panels": [] })),
            ("delete_dashboard", json!({ "uid": uid })),
        ] {
            assert_eq!(agent.code(tool, &arguments).await, Err(Code::ScopeViolation), "{tool} {uid}");
            assert_eq!(grafana.lines(), [format!("GET /grafana/api/dashboards/uid/{uid}")], "{tool} {uid}");
        }
    }
    let long = "a".repeat(41);
    for uid in ["", "mine\n", " mine", "mine ", "../mine", "mine/..", "mine?x", "mine#", "m\u{fc}ne", "mi.ne", "%6dine", long.as_str()] {
        for (tool, arguments) in [
            ("get_dashboard", json!({ "uid": uid })),
            ("update_dashboard", json!({ "uid": uid, "panels": [] })),
            ("delete_dashboard", json!({ "uid": uid })),
        ] {
            assert_eq!(agent.0.confine(tool, &arguments.to_string()).unwrap_err().code, Code::InvalidArgument, "{tool} {uid:?}");
            assert_eq!(agent.code(tool, &arguments).await, Err(Code::InvalidArgument), "{tool} {uid:?}");
        }
    }
    assert!(grafana.lines().is_empty(), "refused without a call");
    // What exists elsewhere and what exists nowhere look the same to the agent.
    let refusal = async |uid: &str| {
        let fault = agent.call("get_dashboard", &json!({ "uid": uid })).await.unwrap_err();
        (fault.code, fault.message, fault.remedy, fault.details)
    };
    assert_eq!(refusal("theirs").await, refusal(&"a".repeat(40)).await);
    let stranger = grafana.try_open(None, "nobody", None, &json!({})).unwrap();
    assert_eq!(
        stranger.code("get_dashboard", &json!({ "uid": "mine" })).await,
        Err(Code::ScopeViolation),
        "without a folder there is nothing"
    );
}

#[tokio::test]
async fn the_folder_is_found_pinned_or_made() {
    let create = json!({ "title": "t", "panels": [] });
    // Made by scoped-mcp, on the second page.
    let grafana = FakeGrafana::start().await;
    (0..1_000).for_each(|i| grafana.folder(&format!("f{i}"), "other"));
    grafana.folder("kX3", "agent-a-1");
    grafana.open(&json!({})).call("create_dashboard", &create).await.unwrap();
    assert_eq!(grafana.lines(), [LISTS, "GET /grafana/api/folders?limit=1000&page=2", SAVES]);
    assert_eq!(grafana.state.lock().unwrap().dashboards[&uid_of("kX3", "t", 0)].folder, "kX3");
    // Two of one title.
    grafana.folder("kX4", "agent-a-1");
    assert_eq!(grafana.open(&json!({})).code("create_dashboard", &create).await, Err(Code::UpstreamError));
    // Pinned: the title does not matter, and it is not made.
    let pinned = grafana.open(&json!({ "folder_uid": "f7" }));
    grafana.lines();
    pinned.call("create_dashboard", &create).await.unwrap();
    assert_eq!(grafana.lines(), ["GET /grafana/api/folders/f7", SAVES]);
    let missing = grafana.open(&json!({ "folder_uid": "nowhere" }));
    assert_eq!(missing.code("create_dashboard", &create).await, Err(Code::NotFound));
    assert_eq!(missing.call("list_dashboards", &json!({})).await.unwrap(), json!([]));

    // Renamed by an operator, recognised by its uid.
    let grafana = FakeGrafana::start().await;
    grafana.folder("agent-a-1", "Research");
    grafana.open(&json!({})).call("create_dashboard", &create).await.unwrap();
    assert_eq!(grafana.lines(), [LISTS, SAVES]);
    // Too many to look through.
    (0..20_000).for_each(|i| grafana.folder(&format!("f{i}"), "other"));
    assert_eq!(grafana.open(&json!({})).code("create_dashboard", &create).await, Err(Code::LimitExceeded));
}

#[tokio::test]
async fn agents_of_two_organisations_have_two_folders() {
    let grafana = FakeGrafana::start().await;
    let create = json!({ "title": "t", "panels": [] });
    let long = "a".repeat(63);
    for (org, agent) in
        [(None, "a"), (Some("blue"), "a"), (Some("red"), "a"), (None, "a-b"), (None, long.as_str()), (Some("blue"), long.as_str())]
    {
        let opened = grafana.try_open(org, agent, None, &json!({})).unwrap();
        opened.call("create_dashboard", &create).await.unwrap();
        assert_eq!(opened.call("list_dashboards", &json!({})).await.unwrap().as_array().unwrap().len(), 1, "{org:?} {agent}");
    }
    let state = grafana.state.lock().unwrap();
    let mut folders: Vec<&str> = state.folders.iter().map(|(uid, _)| uid.as_str()).collect();
    assert_eq!(state.folders[0], ("agent-a".to_owned(), "agent-a".to_owned()));
    assert_eq!(state.folders[1].1, "agent-a (blue)");
    folders.sort_unstable();
    folders.dedup();
    assert_eq!((folders.len(), state.dashboards.len()), (6, 6));
}

#[tokio::test]
async fn two_calls_at_once_make_one_folder() {
    let grafana = FakeGrafana::start().await;
    let (one, two) = (grafana.open(&json!({})), grafana.open(&json!({})));
    let create = json!({ "title": "t", "panels": [] });
    let (a, b, c) =
        tokio::join!(one.call("create_dashboard", &create), two.call("create_dashboard", &create), one.call("create_dashboard", &create));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(grafana.state.lock().unwrap().folders.len(), 1);
}

#[tokio::test]
async fn a_change_in_between_is_kept_once() {
    let grafana = FakeGrafana::start().await;
    grafana.folder("agent-a-1", "agent-a-1");
    grafana.dashboard("mine", "agent-a-1", &json!({ "tags": ["kept"] }));
    let agent = grafana.open(&json!({}));
    let update = json!({ "uid": "mine", "panels": [{ "type": "text" }] });
    grafana.state.lock().unwrap().interfering = 1;
    assert_eq!(agent.call("update_dashboard", &update).await.unwrap()["version"], 3);
    let fetches = "GET /grafana/api/dashboards/uid/mine";
    assert_eq!(grafana.lines(), [LISTS, fetches, SAVES, fetches, SAVES]);
    {
        let state = grafana.state.lock().unwrap();
        let model = &state.dashboards["mine"].model;
        let kept = (&model["tags"], &model["description"], &model["panels"]);
        assert_eq!(kept, (&json!(["kept"]), &json!("changed in between"), &json!([{ "type": "text" }])));
    }
    grafana.state.lock().unwrap().interfering = 2;
    let fault = agent.call("update_dashboard", &update).await.unwrap_err();
    assert_eq!((fault.code, &fault.details.unwrap()["status"]), (Code::UpstreamError, &json!(412)));
    assert_eq!(grafana.lines(), [fetches, SAVES, fetches, SAVES]);
}

#[tokio::test]
async fn data_sources_are_shown_as_far_as_they_are_opened() {
    let grafana = FakeGrafana::start().await;
    let listed = grafana.open(&json!({ "allowed_datasources": ["Orders DB", "Prometheus", "Gone"] }));
    let wanted = json!([
        { "uid": "prom", "name": "Prometheus", "type": "prometheus", "isDefault": true },
        { "uid": "sql-1", "name": "Orders DB", "type": "grafana-postgresql-datasource", "isDefault": false },
    ]);
    assert_eq!(listed.call("list_datasources", &json!({})).await.unwrap(), wanted);
    grafana.lines();
    assert_eq!(grafana.open(&json!({})).call("list_datasources", &json!({})).await.unwrap(), json!([]));
    assert!(grafana.lines().is_empty());
    let names = grafana.open(&json!({ "legacy_list_datasources": true })).call("list_datasources", &json!({})).await.unwrap();
    let wanted: Vec<Value> = ["Prometheus", "Orders DB", "Logs", "Metrics", "Odd"].map(|name| json!({ "name": name })).into();
    assert_eq!(names, json!(wanted));
}

#[tokio::test]
async fn a_query_goes_to_a_listed_data_source_in_its_own_words() {
    let grafana = FakeGrafana::start().await;
    let agent = grafana.open(&json!({ "allowed_datasources": ["Prometheus", "Orders DB", "Logs", "Metrics", "Odd", "Gone"] }));
    for (name, uid, kind, words) in [
        ("Prometheus", "prom", "prometheus", json!({ "range": true })),
        ("Orders DB", "sql-1", "grafana-postgresql-datasource", json!({ "rawSql": "q", "rawQuery": true, "format": "table" })),
        ("Logs", "loki-1", "loki", json!({ "queryType": "range" })),
        ("Metrics", "flux", "influxdb", json!({ "query": "q", "rawQuery": true, "resultFormat": "time_series" })),
        ("Odd", "odd", "vendor-odd-datasource", json!({ "query": "q" })),
    ] {
        let answer = agent.call("query_datasource", &json!({ "datasource": name, "query": "q" })).await.unwrap();
        let mut query = json!({ "refId": "A", "datasource": { "uid": uid, "type": kind }, "expr": "q", "maxDataPoints": 100 });
        query.as_object_mut().unwrap().extend(words.as_object().unwrap().clone());
        assert_eq!(answer["results"]["A"]["asked"], json!({ "queries": [query], "from": "now-1h", "to": "now" }), "{name}");
    }
    assert_eq!(grafana.lines()[2..4], ["GET /grafana/api/datasources/name/Orders%20DB", "POST /grafana/api/ds/query"]);
    let more = json!({ "datasource": "Prometheus", "query": "up", "from": "1753693800000", "to": "now/d", "max_points": 7 });
    let asked = agent.call("query_datasource", &more).await.unwrap()["results"]["A"]["asked"].clone();
    assert_eq!(
        (&asked["from"], &asked["to"], &asked["queries"][0]["maxDataPoints"]),
        (&json!("1753693800000"), &json!("now/d"), &json!(7))
    );
    grafana.lines();
    assert_eq!(agent.code("query_datasource", &json!({ "datasource": "Gone", "query": "up" })).await, Err(Code::UpstreamError));
    assert_eq!(grafana.lines(), ["GET /grafana/api/datasources/name/Gone"]);

    let closed = grafana.open(&json!({}));
    for (who, arguments, code) in [
        (&closed, json!({ "datasource": "Prometheus", "query": "up" }), Code::ScopeViolation),
        (&agent, json!({ "datasource": "prometheus", "query": "up" }), Code::ScopeViolation),
        (&agent, json!({ "datasource": "prom", "query": "up" }), Code::ScopeViolation),
        (&agent, json!({ "datasource": "Secret", "query": "up" }), Code::ScopeViolation),
        (&agent, json!({ "datasource": "Prometheus\n", "query": "up" }), Code::InvalidArgument),
        (&agent, json!({ "datasource": "../x", "query": "up" }), Code::InvalidArgument),
        (&agent, json!({ "datasource": "", "query": "up" }), Code::InvalidArgument),
        (&agent, json!({ "datasource": "Prometheus", "query": " " }), Code::InvalidArgument),
        (&agent, json!({ "datasource": "Prometheus", "query": "up", "from": "yesterday" }), Code::InvalidArgument),
        (&agent, json!({ "datasource": "Prometheus", "query": "up", "to": "now\"" }), Code::InvalidArgument),
        (&agent, json!({ "datasource": "Prometheus", "query": "up", "max_points": 0 }), Code::InvalidArgument),
        (&agent, json!({ "datasource": "Prometheus", "query": "up", "max_points": 10_001 }), Code::InvalidArgument),
        (&agent, json!({ "datasource": "Prometheus", "query": "up", "uid": "sql-1" }), Code::InvalidArgument),
    ] {
        assert_eq!(who.0.confine("query_datasource", &arguments.to_string()).map_err(|fault| fault.code), Err(code), "{arguments}");
        assert_eq!(who.code("query_datasource", &arguments).await, Err(code), "{arguments}");
    }
    assert!(grafana.lines().is_empty(), "refused without a call");
}

#[tokio::test]
async fn a_rule_lies_in_the_agents_folder_and_group() {
    let grafana = FakeGrafana::start().await;
    let agent = grafana.open(&json!({ "allowed_datasources": ["Prometheus"] }));
    let data = json!([
        { "refId": "A", "datasourceUid": "prom", "relativeTimeRange": { "from": 600, "to": 0 }, "model": { "expr": "up" } },
        { "refId": "C", "datasourceUid": "__expr__", "model": { "type": "threshold", "expression": "A" } },
    ]);
    let made = agent.call("create_alert_rule", &json!({ "name": "Down", "condition": { "data": data, "for": "10m" } })).await.unwrap();
    assert_eq!((&made["uid"], &made["title"]), (&json!("rule-0"), &json!("Down")));
    agent.call("create_alert_rule", &json!({ "name": "Empty", "condition": {} })).await.unwrap();
    let wanted = |title: &str, data: &Value, lasts: &str, uid: &str| {
        json!({ "title": title, "condition": "C", "data": data, "folderUID": "agent-a-1", "ruleGroup": "agent-a-1", "noDataState": "NoData",
            "execErrState": "Error", "for": lasts, "uid": uid })
    };
    assert_eq!(grafana.state.lock().unwrap().rules, [wanted("Down", &data, "10m", "rule-0"), wanted("Empty", &json!([]), "5m", "rule-1")]);
    grafana.lines();
    for condition in [json!({ "for": "soon" }), json!({ "for": "" }), json!({ "data": ["x"] }), json!({ "data": {} }), json!([])] {
        let arguments = json!({ "name": "n", "condition": condition });
        assert_eq!(agent.code("create_alert_rule", &arguments).await, Err(Code::InvalidArgument), "{condition}");
    }
    for name in ["", " ", "a\nb", &"x".repeat(201)] {
        assert_eq!(
            agent.code("create_alert_rule", &json!({ "name": name, "condition": {} })).await,
            Err(Code::InvalidArgument),
            "{name:?}"
        );
        assert_eq!(agent.code("create_dashboard", &json!({ "title": name, "panels": [] })).await, Err(Code::InvalidArgument), "{name:?}");
    }
    assert!(grafana.lines().is_empty());
}

#[tokio::test]
async fn a_reading_agent_changes_nothing() {
    let grafana = FakeGrafana::start().await;
    let agent = grafana.try_open(None, "a-1", Some(Access::Read), &json!({})).unwrap();
    let names: Vec<_> = agent.0.tools().into_iter().map(|tool| tool.name.into_owned()).collect();
    assert_eq!(names, ["list_dashboards", "get_dashboard", "list_datasources", "query_datasource"]);
    assert_eq!(agent.code("create_dashboard", &json!({ "title": "t", "panels": [] })).await, Err(Code::PolicyDenied));
    assert!(grafana.lines().is_empty());
}

#[tokio::test]
async fn no_refusal_shows_the_token_or_the_address() {
    let grafana = FakeGrafana::start().await;
    for (status, code) in [(401, Code::UpstreamAuth), (403, Code::UpstreamError), (500, Code::UpstreamError), (302, Code::UpstreamRedirect)]
    {
        grafana.state.lock().unwrap().broken = Some(status);
        let agent = grafana.open(&json!({ "allowed_datasources": ["Prometheus"] }));
        for (tool, arguments) in [
            ("list_dashboards", json!({})),
            ("get_dashboard", json!({ "uid": "x" })),
            ("list_datasources", json!({})),
            ("query_datasource", json!({ "datasource": "Prometheus", "query": "up" })),
            ("create_dashboard", json!({ "title": "t", "panels": [] })),
            ("update_dashboard", json!({ "uid": "x", "panels": [] })),
            ("delete_dashboard", json!({ "uid": "x" })),
            ("create_alert_rule", json!({ "name": "n", "condition": {} })),
        ] {
            let fault = agent.call(tool, &arguments).await.unwrap_err();
            assert_eq!(fault.code, code, "{tool}");
            let shown = format!("{fault:?}");
            assert!(!shown.contains("CANARY") && !shown.contains("127.0.0.1"), "{shown}");
        }
    }
}

#[test]
fn mistakes_of_the_configuration_are_named() {
    let kind = ModuleRegistry::with_builtin().get("grafana").unwrap().clone();
    let agent_type = AgentType::parse("tester").unwrap();
    let keys = |config: Value| -> Vec<String> {
        let draft = ModuleDraft { agent_id: None, agent_type: &agent_type, access: None, config: config.as_object().unwrap() };
        kind.check(draft).into_iter().map(|fault| fault.key.unwrap()).collect()
    };
    assert!(keys(json!({ "grafana_url": "https://g.example/x", "allowed_datasources": ["A b_c.d-e"], "folder_uid": "a_B-9" })).is_empty());
    let bad = json!({ "grafana_url": "https://user@g.example", "allowed_datasources": ["ok", "a\n", "", "a/b", "x".repeat(65)], "folder_uid": "a b" });
    let names = [1, 2, 3, 4].map(|index| format!("allowed_datasources.{index}"));
    assert_eq!(keys(bad.clone()), [&["grafana_url".to_owned()][..], &names, &["folder_uid".to_owned()]].concat());
    let open = |config: &Value, credentials: &[(&str, &str)]| {
        try_open_on(&Host::isolated(), "grafana", "a", None, config, credentials).err().map(|fault| fault.key.unwrap())
    };
    assert_eq!(open(&bad, &[("GRAFANA_SERVICE_ACCOUNT_TOKEN", "t")]).as_deref(), Some("grafana_url"));
    assert_eq!(open(&json!({}), &[("GRAFANA_SERVICE_ACCOUNT_TOKEN", "t")]).as_deref(), Some("GRAFANA_URL"));
    assert_eq!(open(&json!({ "grafana_url": "https://g.example" }), &[]).as_deref(), Some("GRAFANA_SERVICE_ACCOUNT_TOKEN"));
    let url = json!({ "grafana_url": "https://g.example" });
    assert_eq!(open(&url, &[("GRAFANA_SERVICE_ACCOUNT_TOKEN", "t\n")]).as_deref(), Some("GRAFANA_SERVICE_ACCOUNT_TOKEN"));
    assert_eq!(open(&url, &[("GRAFANA_SERVICE_ACCOUNT_TOKEN", TOKEN)]), None);
    assert_eq!(open(&json!({ "grafana_ulr": "x" }), &[]).as_deref(), Some("grafana_ulr"));
    let needed =
        |config: Value| kind.credentials(config.as_object().unwrap()).into_iter().map(|key| key.name.into_owned()).collect::<Vec<_>>();
    assert_eq!(needed(url), ["GRAFANA_SERVICE_ACCOUNT_TOKEN"]);
    assert_eq!(needed(json!({})), ["GRAFANA_URL", "GRAFANA_SERVICE_ACCOUNT_TOKEN"]);
}

#[tokio::test]
async fn the_address_in_the_configuration_wins() {
    let grafana = FakeGrafana::start().await;
    let url = json!({ "grafana_url": format!("{}/grafana", grafana.service.url()) });
    let credentials = [("GRAFANA_URL", "http://192.0.2.1"), ("GRAFANA_SERVICE_ACCOUNT_TOKEN", TOKEN)];
    let agent = try_open_on(&crate::service::host(grafana.network.clone()), "grafana", "a-1", None, &url, &credentials).unwrap();
    assert_eq!(agent.call("list_dashboards", &json!({})).await.unwrap(), json!([]));
    assert_eq!(*grafana.network.dialled.lock().unwrap(), [grafana.service.address]);
}
