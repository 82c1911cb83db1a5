//! `grafana`: titles, panels and rules that would be other members of what is saved, or lie in another folder.

use bailiwick_model::Code;
use serde_json::{Value, json};

use super::row::{Holds, Request, Row, surplus};
use crate::grafana_fake::TOKEN;

const FOLDER: &str = "agent-a-1";

fn request(line: &str) -> Request {
    let (method, path) = line.split_once(' ').unwrap();
    Request::new(format!("{method} /grafana/api/{path}")).with("authorization", format!("Bearer {TOKEN}"))
}

fn folders() -> Request {
    request("GET folders?limit=1000&page=1")
}

fn create(title: &str, panels: &Value, holds: Holds) -> Row {
    Row::new(format!("a dashboard {title:?} {panels}"), "grafana", "create_dashboard", &json!({ "title": title, "panels": panels }), holds)
}

/// A dashboard that is saved with exactly this title and these panels, in the agent's folder, over nothing.
fn saved(title: &str, panels: Value) -> Row {
    let model = json!({ "id": null, "uid": null, "title": title, "panels": panels, "schemaVersion": 38 });
    let save = request("POST dashboards/db").json(&json!({ "dashboard": model, "folderUid": FOLDER, "overwrite": false }));
    create(title, &panels, Holds::Sent(vec![folders(), save]))
}

/// A rule that is saved with exactly this data, in the agent's folder and group.
fn ruled(name: &str, condition: Value) -> Row {
    let data = condition.get("data").cloned().unwrap_or_else(|| json!([]));
    let rule = json!({
        "title": name, "condition": condition.get("condition").cloned().unwrap_or_else(|| json!("C")), "data": data, "folderUID": FOLDER,
        "ruleGroup": FOLDER, "noDataState": "NoData", "execErrState": "Error", "for": "5m",
    });
    let holds = Holds::Sent(vec![folders(), request("POST v1/provisioning/alert-rules").json(&rule)]);
    Row::new(
        format!("a rule {name:?} {condition}"),
        "grafana",
        "create_alert_rule",
        &json!({ "name": name, "condition": condition }),
        holds,
    )
}

/// A query that goes to the data source `Prometheus` in these words and no others.
fn asked(query: &str) -> Row {
    let one =
        json!({ "expr": query, "range": true, "refId": "A", "datasource": { "uid": "prom", "type": "prometheus" }, "maxDataPoints": 100 });
    let ask = request("POST ds/query").json(&json!({ "queries": [one], "from": "now-1h", "to": "now" }));
    let holds = Holds::Sent(vec![request("GET datasources/name/Prometheus"), ask]);
    Row::new(format!("a query {query:?}"), "grafana", "query_datasource", &json!({ "datasource": "Prometheus", "query": query }), holds)
}

fn refused(tool: &'static str, arguments: &Value, code: Code) -> Row {
    Row::new(format!("{tool} {arguments}"), "grafana", tool, arguments, Holds::Refused(code))
}

/// A dashboard of somebody else: looked at, and that is all.
fn foreign(tool: &'static str, more: &Value) -> Row {
    let mut arguments = json!({ "uid": "foreign" });
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let holds = Holds::RefusedAfter(Code::ScopeViolation, vec![folders(), request("GET dashboards/uid/foreign")]);
    Row::new(format!("{tool} of another's dashboard"), "grafana", tool, &arguments, holds)
}

const TITLES: [&str; 5] = ["a\r\nX-Evil: 1", "a\0", "a\u{85}b", "\u{2028}\u{3000}", "a\u{1b}[2J"];
const UIDS: [&str; 12] = [
    "mine/../../folders/theirs",
    "../../folders/theirs",
    "mine?overwrite=true",
    "mine#x",
    "mine%2f..%2fforeign",
    "mine\r\nX-Evil: 1",
    "mine HTTP/1.1",
    "mine\u{2028}",
    "mine;x",
    "..",
    "*",
    "m\u{456}ne",
];

pub(super) fn attacks() -> Vec<Row> {
    let literal = [
        ("a\",\"uid\":\"foreign", json!([])),
        ("../../theirs", json!([])),
        ("<img src=x onerror=alert(1)> ${HOME} {agent_id} $__all", json!([])),
        ("a\u{2028}\u{202e}b", json!([])),
        // What would move or replace a dashboard stays a member of a panel.
        ("p1", json!([{ "type": "text", "id": 11, "uid": "foreign", "folderUid": "theirs", "folderId": 0, "overwrite": true }])),
        ("p2", json!([{ "type": "text", "dashboard": { "id": 10, "uid": "foreign", "version": 1 } }])),
        (
            "p3",
            json!([{ "type": "text", "title": "x\"}],\"uid\":\"foreign\",\"panels\":[{", "options": { "content": "</script>\r\n\0" } }]),
        ),
        ("p4", json!([{ "type": "text", "__proto__": { "uid": "foreign" }, "\"uid\":\"foreign\",\"": 1 }])),
    ];
    let rules = [
        ("a\",\"folderUID\":\"theirs", json!({})),
        (
            "r1",
            json!({ "data": [{ "datasourceUid": "__expr__", "refId": "A", "folderUID": "theirs", "ruleGroup": "theirs", "orgID": 2 }] }),
        ),
        ("r2", json!({ "condition": "C\",\"folderUID\":\"theirs" })),
        ("r3", json!({ "data": [{ "datasourceUid": "__expr__", "model": { "expression": "\"}],\"folderUID\":\"theirs" } }] })),
    ];
    let queries = [
        "up\"}],\"from\":\"0\",\"queries\":[{\"datasource\":{\"uid\":\"sql-1\"}",
        "up\r\n\r\nDELETE /grafana/api/folders/theirs HTTP/1.1\r\n\r\n",
        "${__user.token} $__all {agent_id} [[x]]",
        "up\u{2028}\u{85}\\\" # comment",
    ];
    let sources = [
        "Prometheus/../../1/proxy",
        "Prometheus?x=1",
        "Prometheus%2f..",
        "Prometheus#",
        "Prometheus\r\nX: 1",
        "Prometheus\u{2028}",
        "Prometh\u{435}us",
        "",
    ];
    let rows = literal.into_iter().map(|(title, panels)| saved(title, panels));
    let rows = rows.chain(rules.into_iter().map(|(name, condition)| ruled(name, condition))).chain(queries.iter().map(|text| asked(text)));
    let source = |name: &&str| refused("query_datasource", &json!({ "datasource": name, "query": "up" }), Code::InvalidArgument);
    rows.chain(sources.iter().map(source)).chain(names()).chain(members()).chain(shapes()).collect()
}

fn names() -> Vec<Row> {
    let title = |title: &&str| refused("create_dashboard", &json!({ "title": title, "panels": [] }), Code::InvalidArgument);
    let rule = |title: &&str| refused("create_alert_rule", &json!({ "name": title, "condition": {} }), Code::InvalidArgument);
    let read = |uid: &&str| refused("get_dashboard", &json!({ "uid": uid }), Code::InvalidArgument);
    let delete = |uid: &&str| refused("delete_dashboard", &json!({ "uid": uid }), Code::InvalidArgument);
    let others = [
        foreign("get_dashboard", &json!({})),
        foreign("update_dashboard", &json!({ "panels": [] })),
        foreign("delete_dashboard", &json!({})),
        refused("query_datasource", &json!({ "datasource": "Logs", "query": "up" }), Code::ScopeViolation),
        refused("query_datasource", &json!({ "datasource": "Prometheus", "query": "up\0" }), Code::InvalidArgument),
        refused(
            "query_datasource",
            &json!({ "datasource": "Prometheus", "query": "up", "from": "now\",\"to\":\"0" }),
            Code::InvalidArgument,
        ),
        refused("query_datasource", &json!({ "datasource": "Prometheus", "query": "up", "to": "now\n" }), Code::InvalidArgument),
    ];
    TITLES
        .iter()
        .map(title)
        .chain(TITLES.iter().map(rule))
        .chain(UIDS.iter().map(read))
        .chain(UIDS.iter().map(delete))
        .chain(others)
        .collect()
}

/// Members that a save has in Grafana and the tools do not.
fn members() -> Vec<Row> {
    let saves = [
        ("uid", json!("foreign")),
        ("id", json!(10)),
        ("folderUid", json!("theirs")),
        ("folder_uid", json!("theirs")),
        ("folderId", json!(1)),
        ("overwrite", json!(true)),
        ("dashboard", json!({ "uid": "foreign" })),
        ("templating", json!({ "list": [] })),
        ("message", json!("x")),
    ];
    let updates =
        [("folderUid", json!("theirs")), ("overwrite", json!(true)), ("title", json!("x")), ("version", json!(99)), ("id", json!(10))];
    let conditions = [
        ("folderUID", json!("theirs")),
        ("folderUid", json!("theirs")),
        ("ruleGroup", json!("theirs")),
        ("orgID", json!(2)),
        ("uid", json!("foreign")),
        ("isPaused", json!(true)),
        ("notification_settings", json!({ "receiver": "x" })),
        ("labels", json!({ "a": "b" })),
        ("For", json!("1h")),
    ];
    let condition = |(name, value): &(&str, Value)| {
        refused("create_alert_rule", &json!({ "name": "n", "condition": { *name: value } }), Code::InvalidArgument)
    };
    let rule = [("folderUID", json!("theirs")), ("ruleGroup", json!("theirs")), ("uid", json!("foreign"))];
    let create = surplus("grafana", "create_dashboard", &json!({ "title": "t", "panels": [] }), &saves);
    let update = surplus("grafana", "update_dashboard", &json!({ "uid": "mine", "panels": [] }), &updates);
    let alert = surplus("grafana", "create_alert_rule", &json!({ "name": "n", "condition": {} }), &rule);
    let query = surplus(
        "grafana",
        "query_datasource",
        &json!({ "datasource": "Prometheus", "query": "up" }),
        &[("queries", json!([])), ("orgId", json!(2))],
    );
    create.into_iter().chain(update).chain(alert).chain(query).chain(conditions.iter().map(condition)).collect()
}

fn shapes() -> Vec<Row> {
    let raw = |name: &str, tool, text: &str| Row::new(name, "grafana", tool, &json!({}), Holds::Refused(Code::InvalidArgument)).raw(text);
    vec![
        raw("panels that are an object", "create_dashboard", r#"{"title":"t","panels":{"uid":"foreign"}}"#),
        raw("a panel that is a text", "create_dashboard", r#"{"title":"t","panels":["\"uid\":\"foreign\""]}"#),
        raw("two titles", "create_dashboard", r#"{"title":"a","title":"b\n","panels":[]}"#),
        raw("half of a character", "create_dashboard", r#"{"title":"\ud800","panels":[]}"#),
        raw("a condition that is a list", "create_alert_rule", r#"{"name":"n","condition":[[],"5m","C"]}"#),
        raw("a duration with more", "create_alert_rule", r#"{"name":"n","condition":{"for":"5m\",\"folderUID\":\"theirs"}}"#),
        raw("two conditions", "create_alert_rule", r#"{"name":"n","condition":{},"condition":{"for":"1h"}}"#),
    ]
}

pub(super) fn allowed() -> Vec<Row> {
    let text = |content: &str| json!([{ "type": "text", "title": "t", "gridPos": { "x": 0 }, "options": { "content": content } }]);
    let found = json!({ "id": 10, "uid": "mine", "title": "mine", "version": 1, "schemaVersion": 38, "panels": text("x") });
    let update = request("POST dashboards/db").json(&json!({ "dashboard": found, "folderUid": FOLDER, "overwrite": false }));
    let looked = || vec![folders(), request("GET dashboards/uid/mine")];
    let with = |mut all: Vec<Request>, last: Request| {
        all.push(last);
        Holds::Sent(all)
    };
    let row = |tool, arguments: &Value, holds| Row::new(format!("{tool} of the agent's dashboard"), "grafana", tool, arguments, holds);
    vec![
        saved("Load / \"web\" & <db>: 50% — größer", text("**bold** <b>x</b> ${var} {{label}}")),
        saved("uid: foreign", json!([{ "type": "row", "panels": [] }])),
        saved("世界 👩\u{200d}🚀", json!([])),
        ruled(
            "Disk > 90% on \"web\"",
            json!({ "data": [{ "datasourceUid": "__expr__", "refId": "C", "model": { "type": "threshold" } }] }),
        ),
        ruled("r", json!({ "condition": "B" })),
        asked("sum by (job) (rate(http_requests_total{code=~\"5..\", path!=\"/\"}[5m])) > 0"),
        asked("up{a=\"\\\"\\n\"} # ü\nor vector(1)"),
        row("get_dashboard", &json!({ "uid": "mine" }), Holds::Sent(looked())),
        row("update_dashboard", &json!({ "uid": "mine", "panels": text("x") }), with(looked(), update)),
        row("delete_dashboard", &json!({ "uid": "mine" }), with(looked(), request("DELETE dashboards/uid/mine"))),
    ]
}
