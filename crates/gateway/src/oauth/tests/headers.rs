//! `WWW-Authenticate`, table by table.

use http::HeaderValue;

use crate::oauth::challenge::{Challenge, read};

fn one(text: &str) -> Result<Option<Challenge>, &'static str> {
    read(&[HeaderValue::from_bytes(text.as_bytes()).unwrap()]).map_err(|malformed| malformed.0)
}

fn metadata(text: &str) -> Option<String> {
    one(text).unwrap().unwrap().resource_metadata
}

#[test]
fn challenges_that_are_understood() {
    for text in [
        r#"Bearer resource_metadata="https://s.example.com/x""#,
        r#"bearer RESOURCE_METADATA="https://s.example.com/x""#,
        r#"Bearer  realm="a, b=\"c\"" , resource_metadata = "https://s.example.com/x""#,
        r#"Basic realm="x", Bearer resource_metadata="https://s.example.com/x""#,
        r#"Negotiate, Bearer resource_metadata="https://s.example.com/x""#,
        r#"Negotiate oYG7==, Bearer resource_metadata="https://s.example.com/x", error=invalid_token"#,
        r#"DPoP algs="ES256 PS256", Bearer resource_metadata="https://s.example.com/x""#,
        r#"Bearer error="invalid_token", Bearer resource_metadata="https://s.example.com/x""#,
        r#",, Bearer resource_metadata="https://s.example.com/x",,"#,
        r#"Bearer resource_metadata="https:\/\/s.example.com/x""#,
    ] {
        assert_eq!(metadata(text).as_deref(), Some("https://s.example.com/x"), "{text}");
    }
    let full = one(r#"Bearer error="insufficient_scope", scope="a b a", resource_metadata="https://s.example.com/x""#).unwrap().unwrap();
    assert!(full.wants_more_scope());
    assert_eq!(full.scopes, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(one("Bearer").unwrap(), Some(Challenge::default()));
    assert_eq!(one(r#"Bearer scope="""#).unwrap(), Some(Challenge::default()));
    assert_eq!(one(r#"Basic realm="Bearer resource_metadata=x""#).unwrap(), None);
    assert_eq!(one("").unwrap(), None);
    assert_eq!(one(r#"Bearer error="<b>\n""#).unwrap().unwrap().error.as_deref(), Some("unreadable"));
}

#[test]
fn several_values() {
    let values = ["Basic realm=x", "Bearer resource_metadata=\"https://s.example.com/x\""].map(HeaderValue::from_static);
    assert!(read(&values).unwrap().unwrap().resource_metadata.is_some());
    // A parameter does not reach over to the value before it.
    let values = ["Bearer", "resource_metadata=\"https://s.example.com/x\""].map(HeaderValue::from_static);
    assert!(read(&values).is_err());
}

#[test]
fn headers_that_are_not_used() {
    let many = vec!["Bearer"; 17].join(", ");
    let params = format!("Bearer {}", (0..33).map(|n| format!("p{n}=x")).collect::<Vec<_>>().join(", "));
    let long = format!("Bearer realm=\"{}\"", "x".repeat(9_000));
    let scopes = format!("Bearer scope=\"{}\"", (0..129).map(|n| format!("s{n}")).collect::<Vec<_>>().join(" "));
    for text in [
        r#"Bearer resource_metadata="https://s.example.com/x"#,
        r#"Bearer resource_metadata="a", resource_metadata="b""#,
        r#"Bearer resource_metadata="a", Resource_Metadata="b""#,
        r#"Bearer resource_metadata="a" scope="b""#,
        r#"Bearer resource_metadata=https://s.example.com/x"#,
        r#"resource_metadata="https://s.example.com/x""#,
        r#"Bearer resource_metadata="a\"#,
        r#"Bearer scope="a"b"#,
        "Bearer scope=\"a\\\"b\"",
        "Bearer resource_metadata=\"h\u{e4}\"",
        "Bearer; resource_metadata=\"a\"",
        "Bearer\tresource_metadata=\"a\"",
        "=x",
        &many,
        &params,
        &long,
        &scopes,
    ] {
        assert!(one(text).is_err(), "{text}");
    }
}
