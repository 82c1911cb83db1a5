//! Reads Flux literals the way the language's scanner does, written from its specification and its scanner's rules, not from our writer.

/// The value of the string literal at the beginning of `source`, and what follows it.
///
/// # Errors
/// Why the scanner would not read a string there.
///
/// A `"` ends the literal, except in the escape `\"`. A `$` takes the next character with it, whatever that is, unless it is `{`
/// (an expression begins) or `"`.
pub fn string(source: &str) -> Result<(String, &str), &'static str> {
    let body = source.strip_prefix('"').ok_or("no string begins here")?;
    let mut chars = body.char_indices();
    let end = loop {
        match chars.next().ok_or("the string does not end")? {
            (at, '"') => break at,
            (_, '\\') => match chars.next().ok_or("the string does not end")?.1 {
                'n' | 'r' | 't' | '\\' | '"' => {}
                'x' => {
                    let digits = [chars.next(), chars.next()];
                    if !digits.iter().all(|d| d.is_some_and(|(_, c)| c.is_ascii_hexdigit())) {
                        return Err("an escape without two digits");
                    }
                }
                _ => return Err("an escape the language does not have"),
            },
            (_, '$') => match chars.next().ok_or("the string does not end")? {
                (_, '{') => return Err("an expression begins"),
                (at, '"') => break at,
                _ => {}
            },
            _ => {}
        }
    };
    Ok((unescape(&body[..end], false)?, &body[end + 1..]))
}

/// The value of the regular expression literal at the beginning of `source`, and what follows it.
///
/// # Errors
/// Why the scanner would not read a regular expression there.
///
/// A `/` ends the literal. Behind a `\` it may also be an escaped one, and the scanner takes the longest token, so such a `/` ends the
/// literal only when no other one comes.
pub fn regex(source: &str) -> Result<(String, &str), &'static str> {
    let body = source.strip_prefix('/').ok_or("no regular expression begins here")?;
    if body.starts_with('/') {
        return Err("a comment begins");
    }
    let mut end = None;
    for (at, _) in body.match_indices('/') {
        end = Some(at);
        if !body[..at].ends_with('\\') {
            break;
        }
    }
    let end = end.ok_or("the regular expression does not end")?;
    Ok((unescape(&body[..end], true)?, &body[end + 1..]))
}

fn unescape(text: &str, regex: bool) -> Result<String, &'static str> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes().iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match rest.next().ok_or("an escape without a character")? {
            b'x' => {
                let digits = [rest.next(), rest.next()].map(|d| d.and_then(|d| char::from(d).to_digit(16)));
                let [Some(high), Some(low)] = digits else { return Err("an escape without two digits") };
                out.push(u8::try_from(high * 16 + low).unwrap());
            }
            b'/' if regex => out.push(b'/'),
            other if regex => out.extend([b'\\', other]),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            other @ (b'\\' | b'"' | b'$') => out.push(other),
            _ => return Err("an escape the language does not have"),
        }
    }
    String::from_utf8(out).map_err(|_| "not UTF-8")
}

#[test]
fn the_reader_sees_what_naive_writing_lets_through() {
    assert_eq!(string(r#""a\x24{b}\\\"" rest"#), Ok((r#"a${b}\""#.to_owned(), " rest")));
    assert_eq!(string(r#""${1}""#), Err("an expression begins"));
    assert_eq!(string(r#""\u00e9""#), Err("an escape the language does not have"));
    // `$"` with the quote escaped alone: the string ends behind the backslash.
    assert_eq!(string(r#""$\"" or true"#), Err("an escape without a character"));
    // `$\` with the backslash escaped alone: the string goes on into the next one.
    assert_eq!(string(r#""$\\" and r["b"] == " or true""#), Ok((r#"$\" and r["#.to_owned(), r#"b"] == " or true""#)));
    assert_eq!(regex(r"/a\/b/ rest"), Ok(("a/b".to_owned(), " rest")));
    assert_eq!(regex(r#"/a\\/ and r["b"] == "/ or true""#), Ok((r#"a\\/ and r["b"] == ""#.to_owned(), r#" or true""#)));
    assert_eq!(regex("//"), Err("a comment begins"));
}
