//! `slack_webhook` and `discord_webhook`: texts that would be other members of the message, or call people.

use bailiwick_model::Code;
use serde_json::{Value, json};

use super::row::{Holds, Request, Row, surplus};

const HOOK: &str = "POST /services/T0/B0/key-of-the-hook";

fn slack(given: &str, text: &str) -> Row {
    let sent = Request::new(HOOK).json(&json!({ "text": text }));
    Row::new(format!("text {given:?}"), "slack_webhook", "send", &json!({ "text": given }), Holds::Sent(vec![sent]))
}

fn discord(given: &str) -> Row {
    let sent = Request::new(HOOK).json(&json!({ "content": given, "allowed_mentions": { "parse": [] } }));
    Row::new(format!("content {given:?}"), "discord_webhook", "send", &json!({ "content": given }), Holds::Sent(vec![sent]))
}

fn refused(module: &'static str, name: &str, arguments: &str) -> Row {
    Row::new(name, module, "send", &json!({}), Holds::Refused(Code::InvalidArgument)).raw(arguments)
}

/// What leaves a string of JSON, a line, or the body, when it is not escaped.
const BREAKS: [&str; 8] = [
    r#"x","channel":"other"#,
    r#"x"}{"text":"y"#,
    r#"\","blocks":[],"x":""#,
    r"\u0022,\u0022username\u0022:\u0022boss",
    "a\r\n\r\nPOST /other HTTP/1.1\r\nHost: x\r\n\r\n",
    "\0\u{1}\u{8}\u{1f}\u{7f}\u{85}\u{2028}\u{2029}\u{feff}",
    "</script><script>alert(1)</script>",
    "payload=%7B%22text%22%3A%22x%22%7D",
];

pub(super) fn attacks() -> Vec<Row> {
    let mentions = [
        ("hi <!channel> there", "hi &lt;!channel> there"),
        ("<!here>", "&lt;!here>"),
        ("<!everyone|all>", "&lt;!everyone|all>"),
        ("<!HERE>", "&lt;!HERE>"),
        ("<@U024BE7LH>", "&lt;@U024BE7LH>"),
        ("<@W024BE7LH|boss>", "&lt;@W024BE7LH|boss>"),
        ("<!subteam^S012|@ops>", "&lt;!subteam^S012|@ops>"),
        ("<<!channel>>", "<&lt;!channel>>"),
        ("<!channel", "&lt;!channel"),
        ("`<!channel>` ```<!here>```", "`&lt;!channel>` ```&lt;!here>```"),
        ("<https://x.example|<!channel>>", "<https://x.example|&lt;!channel>>"),
        ("<!date^1^<!here>|x>", "<!date^1^&lt;!here>|x>"),
        ("<!date^1^{date}^https://x.example|<@U024BE7LH>>", "<!date^1^{date}^https://x.example|&lt;@U024BE7LH>>"),
        ("<!date^x><!channel>", "<!date^x>&lt;!channel>"),
        ("<!date<!channel>", "&lt;!date&lt;!channel>"),
        ("<\n!channel>", "<\n!channel>"),
        ("&lt;!channel&gt;", "&lt;!channel&gt;"),
    ];
    let calls = [
        "@everyone",
        "@here",
        "hi <@80351110224678912>",
        "<@!80351110224678912>",
        "<@&165511591545143296>",
        "@everyone\n@here\u{200b}",
        "||@everyone||",
    ];
    let slack_more = [
        ("channel", json!("#other")),
        ("username", json!("boss")),
        ("icon_url", json!("https://evil.example/x.png")),
        ("blocks", json!([{ "type": "section" }])),
        ("attachments", json!([])),
        ("link_names", json!(true)),
        ("parse", json!("full")),
        ("Text", json!("other")),
    ];
    let discord_more = [
        ("username", json!("boss")),
        ("avatar_url", json!("https://evil.example/x.png")),
        ("tts", json!(true)),
        ("embeds", json!([{ "title": "x" }])),
        ("allowed_mentions", json!({ "parse": ["everyone"] })),
        ("flags", json!(4)),
        ("thread_id", json!("1")),
    ];
    let types = [
        refused("slack_webhook", "a text that is an object", r#"{"text":{"text":"x","channel":"other"}}"#),
        refused("slack_webhook", "a text given twice", r#"{"text":"a","text":"<!channel>"}"#),
        refused("slack_webhook", "half of a character", r#"{"text":"\udc00"}"#),
        refused("slack_webhook", "nothing to see", r#"{"text":"\u2028\u0085\u3000"}"#),
        refused("discord_webhook", "a content that is a list", r#"{"content":["@everyone"]}"#),
        refused("discord_webhook", "a content given twice", r#"{"content":"a","content":"b"}"#),
        refused("discord_webhook", "half of a character", r#"{"content":"a\ud800b"}"#),
    ];
    let rows = mentions.iter().map(|(given, text)| slack(given, text)).chain(BREAKS.iter().map(|text| slack(text, text)));
    let rows = rows.chain(calls.iter().chain(&BREAKS).map(|text| discord(text))).chain(types);
    let rows = rows.chain(surplus("slack_webhook", "send", &json!({ "text": "x" }), &slack_more));
    rows.chain(surplus("discord_webhook", "send", &json!({ "content": "x" }), &discord_more)).chain(addresses()).collect()
}

/// What an operator pastes as an address.
fn addresses() -> Vec<Row> {
    let row = |name: &str, address: &'static str| {
        let holds = Holds::Unopened("SLACK_WEBHOOK_URL");
        Row::new(name, "slack_webhook", "send", &json!({ "text": "x" }), holds).with("SLACK_WEBHOOK_URL", address)
    };
    vec![
        row("a header in the address", "http://127.0.0.1:9/services/x HTTP/1.1\r\nX-Evil: 1\r\n\r\n"),
        row("a space in the address", "http://127.0.0.1:9/services/x y"),
        row("a line end behind the address", "http://127.0.0.1:9/services/x\n"),
        row("a line separator in the query", "http://127.0.0.1:9/services/x?a\u{2028}b"),
    ]
}

pub(super) fn allowed() -> Vec<Row> {
    let texts = [
        "done: Grüße, 世界 👩\u{200d}🚀\n\"two\" \\ {x}",
        "a < b & c > d; 1 <- 2, <3, <?, email@here.example @channel !channel",
        "<https://x.example/?a=b|link> <mailto:a@b.example|mail> <#C024BE7LR>",
        "<!date^1392734382^{date}|then>",
        "*bold* _it_ ~no~ `code` ```block```\n> quote\n• point",
    ];
    let contents = [
        "**bold** ||spoiler|| <t:1392734382:R> <:emoji:1> #general",
        "Grüße, 世界 👩\u{200d}🚀\r\n\ttab \"quoted\" \\",
        "a@b.example and @ alone",
        " padded ",
    ];
    let restored = |module: &'static str, key: &str, text: &str| {
        let sent = Request::new(HOOK).json(&json!({ key: text }));
        let row = Row::new("mentions that an operator allows", module, "send", &json!({ key: text }), Holds::Sent(vec![sent]));
        row.under(json!({ "any_host": true, "allow_mentions": true }))
    };
    let query = |text: &str| -> Value { json!({ "text": text }) };
    let behind = Request::new("POST /x/key-of-the-hook?thread_id=42&a=b").json(&query("x"));
    let queried = Row::new("an address with a query", "slack_webhook", "send", &query("x"), Holds::Sent(vec![behind]))
        .with("SLACK_WEBHOOK_URL", "http://127.0.0.1:9/x/key-of-the-hook?thread_id=42&a=b");
    let own = [restored("slack_webhook", "text", "<!channel> <@U024BE7LH>"), restored("discord_webhook", "content", "@everyone"), queried];
    texts.iter().map(|text| slack(text, text)).chain(contents.iter().map(|text| discord(text))).chain(own).collect()
}
