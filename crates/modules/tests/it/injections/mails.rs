//! `smtp`: recipients, subjects and bodies that would be commands, headers, or the end of the mail.

use bailiwick_model::Code;
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::row::{Holds, Mail, Row, surplus};
use super::scene::FROM;

const OPS: &str = "ops@example.org";

fn arguments(to: &str, subject: &str, body: &str) -> Value {
    json!({ "to": to, "subject": subject, "body": body })
}

fn mailed(subject: &str, body: &str) -> Holds {
    Holds::Mailed(Mail { from: FROM.into(), to: OPS.into(), subject: subject.into(), body: body.into() })
}

fn to(to: &str, code: Code) -> Row {
    Row::new(format!("to {to:?}"), "smtp", "send", &arguments(to, "s", "b"), Holds::Refused(code))
}

fn subject(subject: &str, holds: Holds) -> Row {
    Row::new(format!("subject {subject:?}"), "smtp", "send", &arguments(OPS, subject, "b"), holds)
}

fn body(body: &str) -> Row {
    Row::new(format!("body {body:.60?}"), "smtp", "send", &arguments(OPS, "s", body), mailed("s", body))
}

/// Nobody that is listed, or more than that.
const STRANGERS: [&str; 30] = [
    "ops",
    "@example.org",
    "",
    "ops@sub.example.org",
    "ops+x@example.org",
    "ops@example.org.",
    "eve@example.org",
    "OPS@example.org",
    "ops@example.org ",
    " ops@example.org",
    "ops @example.org",
    "Ops <ops@example.org>",
    "<ops@example.org>",
    "ops@example.org,eve@example.org",
    "ops@example.org; eve@example.org",
    "eve@example.org,ops@example.org",
    "ops@example.org\r\nBcc: eve@example.org",
    "ops@example.org>\r\nRCPT TO:<eve@example.org",
    "ops@example.org> NOTIFY=SUCCESS ORCPT=rfc822;eve@example.org",
    "ops@example.org\0",
    "ops@example.org\n",
    "ops@example.org\u{2028}Bcc: eve@example.org",
    "ops@eve@example.org",
    "@eve.example:ops@example.org",
    "ops%eve.example@example.org",
    "eve.example!ops@example.org",
    "ops(eve)@example.org",
    "\"ops\"@example.org",
    "ops@\u{435}xample.org",
    "ops@example.org\u{200b}",
];

/// No subject holds a control character.
const LINES: [&str; 12] = [
    "a\r\nBcc: eve@example.org",
    "a\nBcc: eve@example.org",
    "a\rBcc: eve@example.org",
    "a\r\n Bcc: eve@example.org",
    "a\r\n\tfolded",
    "a\r\n\r\nanother body",
    "a\r\n.\r\nMAIL FROM:<eve@example.org>",
    "\r\n",
    "a\0b",
    "a\u{1b}[31m",
    "a\u{85}Bcc: eve@example.org",
    "a\tb",
];

/// Subjects that some reader would take for more than one line; they are one.
const SUBJECTS: [&str; 9] = [
    "a\u{2028}Bcc: eve@example.org",
    "a\u{2029}Bcc: eve@example.org",
    "a\u{560d}\u{560a}Bcc: eve@example.org",
    "=?utf-8?q?a=0D=0ABcc:_eve@example.org?=",
    "=?utf-8?b?YQ0KQmNjOiBldmVAZXhhbXBsZS5vcmc=?=",
    "a =?iso-8859-1?q?=0D=0A?= b",
    "a%0d%0aBcc: eve@example.org",
    "a\\r\\nBcc: eve@example.org",
    "\u{202e}gro.elpmaxe@eve :ccB",
];

/// Bodies that some server would take for the end of the mail, or some reader for headers.
const BODIES: [&str; 22] = [
    "a\r\n.\r\nMAIL FROM:<eve@example.org>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\n",
    "a\n.\nMAIL FROM:<eve@example.org>\n",
    "a\n.\r\nMAIL FROM:<eve@example.org>\r\n",
    "a\r\n.\nMAIL FROM:<eve@example.org>\r\n",
    "a\r.\rMAIL FROM:<eve@example.org>\r",
    "a\r\n.\rMAIL FROM:<eve@example.org>\r\n",
    "a\r.\r\nMAIL FROM:<eve@example.org>\r\n",
    "a\n.\rQUIT\n",
    "a\r\r\n.\r\r\nQUIT\r\r\n",
    "a\r\n\0.\r\nQUIT\r\n",
    "a\r\n.\0\r\nQUIT\r\n",
    "a\r\n\u{85}.\r\nQUIT",
    "a\u{2028}.\u{2028}QUIT",
    ".\r\n.\r\n.\r\n",
    ".",
    "..",
    "...\n..\n.",
    ".\u{fc}\r\n.\u{fc}\r\n..\u{fc}",
    "Bcc: eve@example.org\r\nX-Evil: 1\r\n\r\nb",
    "\r\n--b\r\nContent-Type: text/html\r\n\r\n<script>1</script>\r\n--b--\r\n",
    "=2E\r\n=0D=0A.=0D=0A\r\n",
    "RSET\r\nHELP\r\nVRFY eve\r\nBDAT 5 LAST\r\n",
];

pub(super) fn attacks() -> Vec<Row> {
    let strangers = STRANGERS.iter().map(|text| to(text, Code::ScopeViolation));
    let lines = LINES.iter().map(|text| subject(text, Holds::Refused(Code::InvalidArgument)));
    let subjects = SUBJECTS.iter().map(|text| subject(text, mailed(text, "b")));
    let bodies = BODIES.iter().map(|text| body(text));
    strangers.chain(lines).chain(subjects).chain(bodies).chain(folds()).chain(others()).collect()
}

/// Lines so long that an encoding has to break them, with a dot wherever it may break.
fn folds() -> Vec<Row> {
    let dots = ".".repeat(200);
    let shifted = (70..80).map(|at| format!("{}.\u{fc}", "x".repeat(at))).collect::<Vec<_>>().join("\n");
    let rows =
        [("dots in a line that is broken", dots), ("a dot at every break", shifted), ("a line of dots and spaces", ". ".repeat(600))];
    rows.into_iter().map(|(name, text)| Row { name: name.to_owned(), ..body(&text) }).collect()
}

/// A sender as an operator writes it; the name goes out as one encoded word.
fn sender(given: &str, name: &str) -> Row {
    let word = format!("=?utf-8?b?{}?= <agent@mail.example>", BASE64.encode(name.as_bytes()));
    let mail = Mail { from: word, to: OPS.into(), subject: "s".into(), body: "b".into() };
    let row = Row::new(format!("a sender {given:?}"), "smtp", "send", &arguments(OPS, "s", "b"), Holds::Mailed(mail));
    row.under(json!({ "from_address": given }))
}

fn bare_sender() -> Row {
    let bare = "agent@mail.example";
    let mail = Mail { from: bare.into(), to: OPS.into(), subject: "s".into(), body: "b".into() };
    Row::new("a sender without a name", "smtp", "send", &arguments(OPS, "s", "b"), Holds::Mailed(mail))
        .under(json!({ "from_address": bare }))
}

fn others() -> Vec<Row> {
    let more = [
        ("bcc", json!("eve@example.org")),
        ("cc", json!(["eve@example.org"])),
        ("from", json!("boss@mail.example")),
        ("from_address", json!("boss@mail.example")),
        ("reply_to", json!("eve@example.org")),
        ("headers", json!({ "Bcc": "eve@example.org" })),
        ("html", json!("<b>x</b>")),
        ("attachments", json!([])),
        ("Subject", json!("other")),
    ];
    let refused = |name: &str, raw: &str| Row::new(name, "smtp", "send", &json!({}), Holds::Refused(Code::InvalidArgument)).raw(raw);
    let own = [
        refused("a list of recipients", r#"{"to":["ops@example.org","eve@example.org"],"subject":"s","body":"b"}"#),
        refused("two recipients", r#"{"to":"ops@example.org","to":"eve@example.org","subject":"s","body":"b"}"#),
        refused("half of a character in a subject", r#"{"to":"ops@example.org","subject":"\ud80d","body":"b"}"#),
        refused("no body", r#"{"to":"ops@example.org","subject":"s"}"#),
    ];
    let configured = |name: &str, key: &'static str, config: Value| {
        Row::new(name, "smtp", "send", &arguments(OPS, "s", "b"), Holds::Unopened(key)).under(config)
    };
    let operators = [
        configured(
            "a sender with a header",
            "from_address",
            json!({ "from_address": "Agent\r\nBcc: eve@example.org <agent@mail.example>" }),
        ),
        configured(
            "a sender in an encoded word",
            "from_address",
            json!({ "from_address": "=?utf-8?q?Boss=0D=0ABcc:_eve@example.org?= <agent@mail.example>" }),
        ),
        configured("a sender with a line separator", "from_address", json!({ "from_address": "a\u{2028}Bcc: eve <agent@mail.example>" })),
        configured("two senders", "from_address", json!({ "from_address": "eve@example.org, agent@mail.example" })),
        configured("a sender that ends the command", "from_address", json!({ "from_address": "agent@mail.example> SIZE=1" })),
        configured("a recipient with a command", "allowed_recipients.0", json!({ "allowed_recipients": ["ops@example.org>\r\nRSET"] })),
    ];
    let surplus = surplus("smtp", "send", &arguments(OPS, "s", "b"), &more);
    let senders = [
        sender("\"Eve <eve@example.org>, Boss\" <agent@mail.example>", "Eve <eve@example.org>, Boss"),
        sender("\"a\\\" <eve@example.org>, \\\"b\" <agent@mail.example>", "a\" <eve@example.org>, \"b"),
        sender("{agent_id} ${HOME} %s <agent@mail.example>", "{agent_id} ${HOME} %s"),
    ];
    own.into_iter().chain(surplus).chain(operators).chain(senders).collect()
}

pub(super) fn allowed() -> Vec<Row> {
    let subjects = [
        "Build done: Bcc is a word",
        "Re: [ops] 50% of \"x\" <y@z.example>; a, b",
        "Größe 世界 👩\u{200d}🚀",
        " two  spaces ",
        "",
        "a.b.c ... .",
        "a word longer than any line xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx end",
    ];
    let bodies = [
        "Hello,\n\n...and so on. v1.2.3\n.hidden\nBest\n",
        "From here on: a = b; c\tand\td\r\n",
        "<b>bold</b> & \"quotes\" {braces}",
        "世界\n.世界\n",
        "> quoted\n>> more\nQUIT smoking\n",
    ];
    let other_case = Holds::Mailed(Mail { from: FROM.into(), to: OPS.into(), subject: "s".into(), body: "b".into() });
    let written = Row::new("a domain in another case", "smtp", "send", &arguments("ops@EXAMPLE.org", "s", "b"), other_case);
    let subjects = subjects.iter().map(|text| subject(text, mailed(text, "b")));
    let senders =
        [sender("Größe 世界 <agent@mail.example>", "Größe 世界"), sender("\"Ops, Team\" <agent@mail.example>", "Ops, Team"), bare_sender()];
    subjects.chain(bodies.iter().map(|text| body(text))).chain([written]).chain(senders).collect()
}
