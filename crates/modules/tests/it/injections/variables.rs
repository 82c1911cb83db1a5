//! `${VAR}` in a manifest: the value of a variable is text, whatever it looks like.

use serde_json::{Value, json};

use super::row::{Holds, Request, Row};
use super::scene::ROOM;

const GET: &str = "GET /api/v1/x";

/// A header of a service that holds a variable.
fn header(written: &str, value: &'static str, holds: Holds) -> Row {
    let row = Row::new(format!("a header {written:?} of {value:?}"), "http_proxy", "get", &json!({ "service": "s", "path": "/x" }), holds);
    row.under(json!({ "headers": { "X-Team": written } })).where_is("VALUE", value)
}

fn sent(header: &str) -> Holds {
    Holds::Sent(vec![Request::new(GET).with("x-team", header)])
}

fn unopened(module: &'static str, tool: &'static str, config: Value, key: &'static str, value: &'static str) -> Row {
    let name = format!("{config} of {value:?}");
    Row::new(name, module, tool, &json!({}), Holds::Unopened(key)).under(config).where_is("VALUE", value)
}

pub(super) fn attacks() -> Vec<Row> {
    let headers = [
        "${OTHER} ${VALUE} $${VALUE}",
        "{agent_id} {agent_id.__class__} %(x)s",
        "x, credential_key: KEY",
        "x\" }, \"credential_key\": \"KEY\", \"y\": { \"z\": \"",
        "!!python/object:os.system [a] {b: c} &d *d # e",
        "${secret:TOKEN}",
        "- x",
        "null",
    ];
    let key = "allowed_services.0.headers.X-Team";
    let rows = headers.into_iter().map(|value| header("${VALUE}", value, sent(value)));
    let split = ["x\r\nX-Evil: 1", "x\n      credential_key: KEY", "x\r"].map(|value| header("a ${VALUE}", value, Holds::Unopened(key)));
    let halves = header("${VALUE}{VALUE}", "$", sent("${VALUE}"));
    let topic = |value| unopened("ntfy", "send", json!({ "topic": "${VALUE}" }), "topic", value);
    let layout = |value| unopened("filesystem", "write_file", json!({ "layout": "${VALUE}/{agent_id}" }), "layout", value);
    let others = [
        topic("{agent_id.__class__}"),
        topic("a\nmax_priority: urgent"),
        topic("a/../other"),
        topic("${HOME}"),
        layout(".."),
        layout("/etc"),
        layout("a/../.."),
        layout("{{agent_id}}/{x"),
        unopened("smtp", "send", json!({ "allowed_recipients": ["${VALUE}"] }), "allowed_recipients.0", "ops@example.org, eve@example.org"),
        unopened("smtp", "send", json!({ "from_address": "${VALUE}" }), "from_address", "agent@mail.example\r\nBcc: eve@example.org"),
        unopened("matrix", "send", json!({ "allowed_rooms": ["${VALUE}"] }), "allowed_rooms.0", "!a:b\n- !c:d"),
        unopened("influxdb", "list_measurements", json!({ "buckets": ["${VALUE}"] }), "buckets.0", "a\n- b"),
        unopened("http_proxy", "get", json!({ "base_url": "${VALUE}" }), "allowed_services.0.base_url", "http://127.0.0.1:9/ headers: {}"),
    ];
    rows.chain(split).chain([halves]).chain(others).collect()
}

pub(super) fn allowed() -> Vec<Row> {
    let message = json!({ "title": "t", "message": "m" });
    let pushed = Request::new("POST /blue-a-1").with("title", "t").with("priority", "default").text("m");
    let event = Request::new("PUT /_matrix/client/v3/rooms/%21OGEhHVWSdvArJzumhm%3Amatrix.org/send/m.room.message/01J");
    let event = event.with("authorization", "Bearer token-1").json(&json!({ "msgtype": "m.text", "body": "m" }));
    let note = json!({ "path": "note.txt", "content": "hello" });
    vec![
        header("${VALUE}", "blue", sent("blue")),
        header("team ${VALUE}/${VALUE}", "a: \"b\"", sent("team a: \"b\"/a: \"b\"")),
        header("$${VALUE} $VALUE", "x", sent("${VALUE} $VALUE")),
        header("${VALUE}", "007", sent("007")),
        Row::new("a topic", "ntfy", "send", &message, Holds::Sent(vec![pushed]))
            .under(json!({ "topic": "${VALUE}-{agent_id}" }))
            .where_is("VALUE", "blue"),
        Row::new("a room", "matrix", "send", &json!({ "room": ROOM, "message": "m" }), Holds::Sent(vec![event]))
            .under(json!({ "allowed_rooms": ["${VALUE}"] }))
            .where_is("VALUE", ROOM),
        Row::new("a layout", "filesystem", "write_file", &note, Holds::Written("teams/blue/a-1/note.txt", "hello"))
            .under(json!({ "layout": "teams/${VALUE}/{agent_id}" }))
            .where_is("VALUE", "blue"),
    ]
}
