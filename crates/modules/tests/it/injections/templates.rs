//! Values with fields in them, and what only looks like a field.

use bailiwick_model::Code;
use serde_json::{Value, json};

use super::metrics::{flux, query};
use super::row::{Holds, Mail, Request, Row};
use super::scene::{BEARER, FROM, INFLUX, ROOM};

/// Texts that some template engine would replace.
pub(super) const FIELDS: &str =
    "{agent_id} {agent_type} ${HOME} $HOME %(agent_id)s %s {{7*7}} {0.__class__} $(id) `id` #{1} <%= 1 %> {% x %}";

/// A topic, and a layout, that no agent may be opened with.
const TOPICS: [&str; 26] = [
    "{agent_id.__class__.__init__.__globals__}",
    "{agent_type!r}",
    "{agent_id:>64}",
    "{agent_id[0]}",
    "{0}",
    "{}",
    "{ agent_id }",
    "{AGENT_ID}",
    "{org}",
    "{agent_{agent_id}}",
    "agent_id}",
    "{agent_id}}",
    "{{agent_id}",
    "{{agent_id}}",
    "{{{agent_id}}}",
    "{{7*7}}",
    "{% raw %}",
    "${HOME}",
    "$(id)",
    "`id`",
    "%(agent_id)s",
    "%s",
    "{agent_id}/../other",
    "{agent_id}?auth=x",
    "{agent_id}\r\nX-Evil: 1",
    "{agent_id}\u{2028}",
];
const LAYOUTS: [&str; 12] = [
    "agents/{agent_id.__class__}",
    "agents/{agent_id}/{0.__class__}",
    "agents/{agent_id}/${HOME}",
    "agents/{agent_id}/{agent_id!r}",
    "agents/{agent_id}/{",
    "agents/{agent_id}}",
    "agents/%(agent_id)s",
    "shared/{{agent_id}}",
    "shared/{{{{agent_id}}}}",
    "{agent_type}/{{agent_id}}",
    "{agent_id}/../../other",
    "{agent_id}\n",
];

fn push(arguments: &Value, holds: Holds) -> Row {
    Row::new("", "ntfy", "send", arguments, holds)
}

fn write(layout: &str, holds: Holds) -> Row {
    let arguments = json!({ "path": "note.txt", "content": "hello" });
    Row::new(format!("layout {layout:?}"), "filesystem", "write_file", &arguments, holds).under(json!({ "layout": layout }))
}

fn topic(topic: &str, holds: Holds) -> Row {
    let arguments = json!({ "title": "t", "message": "m" });
    Row { name: format!("topic {topic:?}"), ..push(&arguments, holds) }.under(json!({ "topic": topic }))
}

pub(super) fn attacks() -> Vec<Row> {
    let topics = TOPICS.iter().map(|text| topic(text, Holds::Unopened("topic")));
    let layouts = LAYOUTS.iter().map(|text| write(text, Holds::Unopened("layout")));
    topics.chain(layouts).chain(operators_words()).chain(messages()).chain(requests()).collect()
}

/// Values without fields: braces in them are braces.
fn operators_words() -> Vec<Row> {
    let get = json!({ "service": "s", "path": "/x" });
    let header = json!({ "headers": { "X-Agent": "{agent_id} ${HOME} %(x)s" } });
    let sent = |line: &str| Request::new(line);
    vec![
        Row::new(
            "a field in a header",
            "http_proxy",
            "get",
            &get,
            Holds::Sent(vec![sent("GET /api/v1/x").with("x-agent", "{agent_id} ${HOME} %(x)s")]),
        )
        .under(header),
        Row::new("a field in an address", "http_proxy", "get", &get, Holds::Sent(vec![sent("GET /%7Bagent_id%7D/x")]))
            .under(json!({ "base_url": "http://127.0.0.1:9/{agent_id}" })),
        Row::new(
            "a field in the name of a service",
            "http_proxy",
            "get",
            &json!({ "service": "a-1", "path": "/x" }),
            Holds::Refused(Code::ScopeViolation),
        )
        .under(json!({ "name": "{agent_id}" })),
        Row::new(
            "a field in the name of a bucket",
            "influxdb",
            "list_measurements",
            &json!({ "bucket": "a-1" }),
            Holds::Refused(Code::ScopeViolation),
        )
        .under(json!({ "buckets": ["{agent_id}"] })),
        Row::new(
            "a field in a room",
            "matrix",
            "send",
            &json!({ "room": "!a-1:matrix.org", "message": "m" }),
            Holds::Refused(Code::ScopeViolation),
        )
        .under(json!({ "allowed_rooms": ["!{agent_id}:matrix.org"] })),
        Row::new(
            "a field in a recipient",
            "smtp",
            "send",
            &json!({ "to": "a-1@example.org", "subject": "s", "body": "b" }),
            Holds::Refused(Code::ScopeViolation),
        )
        .under(json!({ "allowed_recipients": ["{agent_id}@example.org"] })),
    ]
}

/// Arguments are no templates.
fn argument(module: &'static str, tool: &'static str, arguments: &Value, holds: Holds) -> Row {
    Row::new(format!("fields in arguments of {module} {tool}"), module, tool, arguments, holds)
}

fn messages() -> Vec<Row> {
    let hook = |body: &Value| Holds::Sent(vec![Request::new("POST /services/T0/B0/key-of-the-hook").json(body)]);
    let title = "POST /agents-a-1";
    let mail = Mail { from: FROM.into(), to: "ops@example.org".into(), subject: FIELDS.into(), body: FIELDS.into() };
    let room = "PUT /_matrix/client/v3/rooms/%21OGEhHVWSdvArJzumhm%3Amatrix.org/send/m.room.message/01J";
    vec![
        argument(
            "ntfy",
            "send",
            &json!({ "title": FIELDS, "message": FIELDS, "tags": "{agent_id},${HOME}" }),
            Holds::Sent(vec![
                Request::new(title).with("title", FIELDS).with("tags", "{agent_id},${HOME}").with("priority", "default").text(FIELDS),
            ]),
        ),
        argument("slack_webhook", "send", &json!({ "text": FIELDS }), hook(&json!({ "text": FIELDS }))),
        argument(
            "discord_webhook",
            "send",
            &json!({ "content": FIELDS }),
            hook(&json!({ "content": FIELDS, "allowed_mentions": { "parse": [] } })),
        ),
        argument("smtp", "send", &json!({ "to": "ops@example.org", "subject": FIELDS, "body": FIELDS }), Holds::Mailed(mail)),
        argument(
            "matrix",
            "send",
            &json!({ "room": ROOM, "message": FIELDS }),
            Holds::Sent(vec![Request::new(room).with("authorization", BEARER).json(&json!({ "msgtype": "m.text", "body": FIELDS }))]),
        ),
    ]
}

fn requests() -> Vec<Row> {
    let path = "/%7Bagent_id%7D/$%7BHOME%7D?q=%7Bagent_type%7D";
    let influx = |line: &str| Request::new(line).with("authorization", INFLUX);
    vec![
        argument(
            "http_proxy",
            "get",
            &json!({ "service": "s", "path": "/{agent_id}/${HOME}?q={agent_type}", "params": { "{agent_id}": "${HOME}" } }),
            Holds::Sent(vec![Request::new(format!("GET /api/v1{path}&%7Bagent_id%7D=%24%7BHOME%7D"))]),
        ),
        argument(
            "http_proxy",
            "post",
            &json!({ "service": "s", "path": "/x", "body": { "{agent_id}": FIELDS } }),
            Holds::Sent(vec![Request::new("POST /api/v1/x").json(&json!({ "{agent_id}": FIELDS }))]),
        ),
        argument("http_proxy", "put", &json!({ "service": "{agent_id}", "path": "/x" }), Holds::Refused(Code::ScopeViolation)),
        argument(
            "influxdb",
            "write_points",
            &json!({ "bucket": "telemetry", "measurement": "m", "points": [{ "tags": { "t": "{agent_id}" }, "fields": { "f": "${HOME} %s" } }] }),
            Holds::Sent(vec![
                influx("POST /api/v2/write?org=acme&bucket=telemetry&precision=ns")
                    .with("accept", "application/json")
                    .text("m,t={agent_id} f=\"${HOME} %s\"\n"),
            ]),
        ),
        query("==", json!("{agent_id} ${HOME}"), flux(r#"== "{agent_id} \x24{HOME}""#)),
        argument("influxdb", "create_bucket", &json!({ "name": "{agent_id}" }), Holds::Refused(Code::InvalidArgument)),
        argument("influxdb", "list_measurements", &json!({ "bucket": "${BUCKET}" }), Holds::Refused(Code::ScopeViolation)),
        argument(
            "filesystem",
            "write_file",
            &json!({ "path": "{agent_id}/${HOME}.txt", "content": "{agent_id} ${HOME} %s" }),
            Holds::Written("agents/a-1/{agent_id}/${HOME}.txt", "{agent_id} ${HOME} %s"),
        ),
        argument("filesystem", "write_file", &json!({ "path": "../{agent_id}/x", "content": "x" }), Holds::Refused(Code::PathRefused)),
    ]
}

pub(super) fn allowed() -> Vec<Row> {
    let topics = [
        ("{agent_id}", "a-1"),
        ("{agent_type}-{agent_id}", "tester-a-1"),
        ("{agent_id}{agent_id}", "a-1a-1"),
        ("alerts", "alerts"),
        ("Alerts_{agent_id}-x", "Alerts_a-1-x"),
    ];
    let sent = |name: &str| {
        let request = Request::new(format!("POST /{name}")).with("title", "t").with("priority", "default").text("m");
        Holds::Sent(vec![request])
    };
    let layouts = [
        ("{agent_id}", "a-1/note.txt"),
        ("teams/{agent_type}/{agent_id}", "teams/tester/a-1/note.txt"),
        ("agents/{{{agent_id}}}", "agents/{a-1}/note.txt"),
        ("{{blue}}/{agent_id}", "{blue}/a-1/note.txt"),
        ("{agent_type}{{agent_id}}/{agent_id}", "tester{agent_id}/a-1/note.txt"),
        ("agents/$HOME/{agent_id}", "agents/$HOME/a-1/note.txt"),
        ("./agents//{agent_id}/", "agents/a-1/note.txt"),
    ];
    let topics = topics.into_iter().map(|(text, name)| topic(text, sent(name)));
    topics.chain(layouts.into_iter().map(|(text, path)| write(text, Holds::Written(path, "hello")))).collect()
}
