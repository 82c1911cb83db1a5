//! Reads mails as a receiver does, from the bytes behind `DATA`; shares nothing with what writes them.

use data_encoding::BASE64;
use serde_json::{Map, Value};

/// The header block with folded lines joined, and the decoded body. `content` ends with the line of one dot.
///
/// # Errors
/// Whatever two readers could read differently, or take for the end of the mail.
pub(crate) fn read(content: &str) -> Result<(Map<String, Value>, String), String> {
    let wrong = |why: &str| format!("{why}: {content:?}");
    let content = content.strip_suffix(".\r\n").filter(|rest| rest.ends_with("\r\n")).ok_or_else(|| wrong("the end is missing"))?;
    if !content.is_ascii() || content.contains('\0') {
        return Err(wrong("not 7 bit"));
    }
    if content.split("\r\n").any(|line| line == "." || line.len() > 998 || line.contains(['\r', '\n'])) {
        return Err(wrong("a lone dot, a bare CR or LF, or a line too long"));
    }
    let unstuffed: String = content.split_inclusive("\r\n").map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
    let (head, body) = unstuffed.split_once("\r\n\r\n").ok_or_else(|| wrong("the head does not end"))?;
    let mut headers = Map::new();
    for line in head.replace("\r\n ", " ").split("\r\n") {
        let (name, value) = line.split_once(": ").ok_or_else(|| wrong("a header without a name"))?;
        if headers.insert(name.to_owned(), value.into()).is_some() {
            return Err(wrong("a header comes twice"));
        }
    }
    let decoded = match headers["Content-Transfer-Encoding"].as_str().unwrap_or_default() {
        "7bit" => body.as_bytes().to_vec(),
        "base64" => BASE64.decode(body.replace("\r\n", "").as_bytes()).map_err(|_| wrong("not base64"))?,
        "quoted-printable" => quoted_printable(body),
        _ => return Err(wrong("an unknown encoding")),
    };
    let body = String::from_utf8(decoded).map_err(|_| wrong("not UTF-8"))?;
    Ok((headers, body))
}

/// RFC 2045, section 6.7.
fn quoted_printable(text: &str) -> Vec<u8> {
    let joined = text.replace("=\r\n", "");
    let mut parts = joined.split('=');
    let mut out = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        out.push(u8::from_str_radix(&part[..2], 16).unwrap());
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    out
}

/// Encoded words decoded, white space between them gone (RFC 2047).
pub(crate) fn decoded(value: &str) -> String {
    let word = |word: &str| {
        let text = word.strip_prefix("=?utf-8?b?")?.strip_suffix("?=")?;
        String::from_utf8(BASE64.decode(text.as_bytes()).ok()?).ok()
    };
    value.split(' ').map(word).collect::<Option<String>>().unwrap_or_else(|| value.to_owned())
}

#[test]
fn the_reader_sees_what_careless_writing_lets_through() {
    let mail = |body: &str| format!("Subject: s\r\nContent-Transfer-Encoding: 7bit\r\n\r\n{body}\r\n.\r\n");
    assert_eq!(read(&mail("..x")).unwrap().1, ".x\r\n");
    for body in ["a\n.\nb", "a\r.\rb", "a\r\n.\r\nQUIT", "a\0", "ü", "a\nb", &"x".repeat(999)] {
        assert!(read(&mail(body)).is_err(), "{body:?}");
    }
    assert!(read("Subject: s\r\nBcc: e\r\nBcc: f\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\r\n.\r\n").is_err());
}
