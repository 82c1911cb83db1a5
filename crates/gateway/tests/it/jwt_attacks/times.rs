//! A token has an end, begins in the past, and lives for a day at most (RFC 7519 section 4.1, security reference section 9).

use serde_json::{Value, json};

use super::row::{NOW, Row, Token, forged};

const DAY: i64 = 24 * 3600;
const LEEWAY: i64 = 30;

pub(crate) fn rows() -> Vec<Row> {
    let token = Token::corp;
    let lives = |from: i64, to: i64| token().claim("iat", json!(from)).claim("exp", json!(to));
    let mut rows = vec![
        forged("no end", "times_malformed", token().without("exp")),
        forged("over", "expired", lives(NOW - 600, NOW - 300)),
        forged("over for longer than the leeway", "expired", lives(NOW - 600, NOW - LEEWAY - 1)),
        forged("over for exactly the leeway", "expired", lives(NOW - 600, NOW - LEEWAY)),
        forged("over since the beginning of time", "expired", token().without("iat").claim("exp", json!(0))),
        forged("a day and a second", "lifetime_too_long", lives(NOW - 10, NOW - 10 + DAY + 1)),
        forged("a day and a second, nearly over", "lifetime_too_long", lives(NOW - DAY, NOW + 1)),
        forged("a year", "lifetime_too_long", lives(NOW, NOW + 365 * DAY)),
        forged(
            "more than a day to go, and no beginning",
            "lifetime_too_long",
            token().without("iat").claim("exp", json!(NOW + DAY + LEEWAY + 1)),
        ),
        forged("until the year 9999", "lifetime_too_long", token().without("iat").claim("exp", json!(253_402_300_799_i64))),
        forged("issued in the future", "not_yet_valid", lives(NOW + LEEWAY + 1, NOW + 300)),
        forged("issued tomorrow", "not_yet_valid", lives(NOW + DAY, NOW + DAY + 300)),
        forged("begins in the future", "not_yet_valid", token().claim("nbf", json!(NOW + LEEWAY + 1))),
        forged("issued after its end", "times_malformed", token().claim("iat", json!(NOW + 301))),
        forged("issued at its end", "times_malformed", token().claim("iat", json!(NOW + 300))),
        forged("begins after its end", "times_malformed", token().claim("nbf", json!(NOW + 301))),
    ];
    let odd: [(&str, Value); 12] = [
        ("text", json!((NOW + 300).to_string())),
        ("null", Value::Null),
        ("a list", json!([NOW + 300])),
        ("an object", json!({"seconds": NOW + 300})),
        ("true", json!(true)),
        ("a fraction", json!(1_785_231_300.5)),
        ("negative", json!(-1)),
        ("milliseconds", json!((NOW + 300) * 1000)),
        ("beyond 63 bits", json!(u64::MAX)),
        ("empty text", json!("")),
        ("a date", json!("2026-07-28T09:35:00Z")),
        ("a number as text with a sign", json!("+1785231300")),
    ];
    for name in ["exp", "nbf", "iat"] {
        for (what, value) in &odd {
            rows.push(forged(format!("{name} is {what}"), "times_malformed", token().claim(name, value.clone())));
        }
    }
    // Spellings that a parser of trees would lose.
    for (what, written) in [
        ("with an exponent", "1785231300e0"),
        ("with a fraction of zero", "1785231300.0"),
        ("beyond every number", "1e999"),
        ("beyond 64 bits", "18446744073709551617"),
        ("minus zero", "-0"),
    ] {
        let claims = format!("{},\"exp\":{written}}}", token().without("exp").open_claims());
        rows.push(forged(format!("exp {what}"), "times_malformed", token().saying(&claims)));
    }
    rows
}
