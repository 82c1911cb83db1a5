//! `matrix`: rooms that would be other paths, and messages that would be other members of the event.

use bailiwick_model::Code;
use serde_json::{Value, json};

use super::row::{Holds, Request, Row, surplus};
use super::scene::{BEARER, ROOM};

const PATH: &str = "/_matrix/client/v3/rooms/";
const SEND: &str = "/send/m.room.message/01J";
const ENCODED: &str = "%21OGEhHVWSdvArJzumhm%3Amatrix.org";

fn arguments(room: &str, message: &str) -> Value {
    json!({ "room": room, "message": message })
}

/// The event in the room that stands so in the path.
fn event(room: &str, message: &str) -> Request {
    let request = Request::new(format!("PUT {PATH}{room}{SEND}")).with("authorization", BEARER);
    request.json(&json!({ "msgtype": "m.text", "body": message }))
}

fn message(text: &str) -> Row {
    let holds = Holds::Sent(vec![event(ENCODED, text)]);
    Row::new(format!("message {text:?}"), "matrix", "send", &arguments(ROOM, text), holds)
}

fn stranger(room: &str) -> Row {
    Row::new(format!("room {room:?}"), "matrix", "send", &arguments(room, "m"), Holds::Refused(Code::ScopeViolation))
}

/// A room that is listed and stands so in the path.
fn listed(room: &str, encoded: &str) -> Row {
    let row =
        Row::new(format!("the listed room {room:?}"), "matrix", "send", &arguments(room, "m"), Holds::Sent(vec![event(encoded, "m")]));
    row.under(json!({ "allowed_rooms": [room] }))
}

/// An alias, which is looked up and leads to a room with a hostile name.
fn alias(alias: &str, encoded: &str) -> Row {
    let look_up = Request::new(format!("GET /_matrix/client/v3/directory/room/{encoded}")).with("authorization", BEARER);
    let led = event("%21led%2F..%2F..%2Faway%3Fx%23y%3Amatrix.org", "m");
    let row = Row::new(format!("the alias {alias:?}"), "matrix", "send", &arguments(alias, "m"), Holds::Sent(vec![look_up, led]));
    row.under(json!({ "allowed_rooms": [alias] }))
}

pub(super) fn attacks() -> Vec<Row> {
    let strangers = [
        "!OGEhHVWSdvArJzumhm:matrix.org/../../../account/whoami",
        "!OGEhHVWSdvArJzumhm:matrix.org/state/m.room.power_levels",
        "!OGEhHVWSdvArJzumhm:matrix.org?user_id=@boss:matrix.org",
        "!OGEhHVWSdvArJzumhm:matrix.org#x",
        "!OGEhHVWSdvArJzumhm:matrix.org\r\nX-Evil: 1",
        "!OGEhHVWSdvArJzumhm:matrix.org\0",
        "!OGEhHVWSdvArJzumhm:matrix.org\u{2028}",
        "!OGEhHVWSdvArJzumhm:matrix.org.",
        "!OGEhHVWSdvArJzumhm:matrix.org:443",
        "!OGEhHVWSdvArJzumhm%3Amatrix.org",
        "%21OGEhHVWSdvArJzumhm:matrix.org",
        "!OGEhHVWSdvArJzumhm:m\u{430}trix.org",
        "!OGEhHVWSdvArJzumhm",
        "!*:matrix.org",
    ];
    let messages = [
        r#"x","msgtype":"m.notice"#,
        r#"x","format":"org.matrix.custom.html","formatted_body":"<h1>y</h1>"#,
        r#"x"}{"msgtype":"m.text"#,
        "<h1>x</h1><script>alert(1)</script><img src=x onerror=alert(1)>",
        "<mx-reply><blockquote>you said yes</blockquote></mx-reply>",
        "/me bows\n/invite @eve:matrix.org\n!kick",
        "a\r\n\r\nPUT /other HTTP/1.1\r\n\r\n",
        "\0\u{1}\u{8}\u{1b}[31m\u{85}\u{2028}\u{202e}",
    ];
    let rooms = [
        ("!a/../../../other:matrix.org", "%21a%2F..%2F..%2F..%2Fother%3Amatrix.org"),
        ("!a?b&c=d#e:matrix.org", "%21a%3Fb%26c%3Dd%23e%3Amatrix.org"),
        ("!%2e%2e%2f:matrix.org", "%21%252e%252e%252f%3Amatrix.org"),
        ("!\"{a}\\:matrix.org", "%21%22%7Ba%7D%5C%3Amatrix.org"),
    ];
    let more = [
        ("format", json!("org.matrix.custom.html")),
        ("formatted_body", json!("<b>x</b>")),
        ("msgtype", json!("m.notice")),
        ("event_type", json!("m.room.power_levels")),
        ("txn_id", json!("../x")),
        ("m.relates_to", json!({ "rel_type": "m.replace" })),
        ("content", json!({})),
    ];
    let refused = |name: &str, raw: &str| Row::new(name, "matrix", "send", &json!({}), Holds::Refused(Code::InvalidArgument)).raw(raw);
    let own = [
        refused("a message that is an event", r#"{"room":"!OGEhHVWSdvArJzumhm:matrix.org","message":{"msgtype":"m.notice","body":"x"}}"#),
        refused("two rooms", r#"{"room":"!OGEhHVWSdvArJzumhm:matrix.org","room":"!other:matrix.org","message":"m"}"#),
        refused("half of a character", r#"{"room":"!OGEhHVWSdvArJzumhm:matrix.org","message":"\ud800"}"#),
    ];
    let rows = strangers.iter().map(|room| stranger(room)).chain(messages.iter().map(|text| message(text)));
    let rows = rows.chain(rooms.iter().map(|(room, encoded)| listed(room, encoded))).chain(own);
    let rows = rows.chain(surplus("matrix", "send", &arguments(ROOM, "m"), &more));
    rows.chain([alias("#a/../../b?c:matrix.org", "%23a%2F..%2F..%2Fb%3Fc%3Amatrix.org")]).collect()
}

pub(super) fn allowed() -> Vec<Row> {
    let messages =
        ["Grüße, 世界 👩\u{200d}🚀\n\"two\" \\ 1 < 2 & 3", "**bold** @ops: see https://x.example/?a=b#c", "", "{\"a\": [1, null]}\t"];
    let rooms = [
        ("!OpaqueOfVersion12", "%21OpaqueOfVersion12"),
        ("!a.b-c_d~e:matrix.org:8448", "%21a.b-c_d~e%3Amatrix.org%3A8448"),
        ("!zimmer:b\u{fc}cher.example", "%21zimmer%3Ab%C3%BCcher.example"),
    ];
    let rooms = rooms.iter().map(|(room, encoded)| listed(room, encoded));
    messages.iter().map(|text| message(text)).chain(rooms).chain([alias("#ops:matrix.org", "%23ops%3Amatrix.org")]).collect()
}
