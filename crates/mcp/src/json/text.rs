//! String contents: from escaped to plain text and back.

use std::borrow::Cow;

use memchr::memchr;

/// Value of four hexadecimal digits at `at`.
pub(super) fn hex4(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at.checked_add(4)?)?;
    digits.iter().try_fold(0_u16, |sum, digit| {
        let value = (*digit as char).to_digit(16)?;
        Some(sum << 4 | u16::try_from(value).ok()?)
    })
}

/// The escape whose backslash stands at `at`: the character it means and the offset behind it. None for an unknown escape and for half a
/// surrogate pair.
pub(super) fn escape_at(text: &[u8], at: usize) -> Option<(char, usize)> {
    let plain = |c| Some((c, at + 2));
    match text.get(at + 1)? {
        b'"' => plain('"'),
        b'\\' => plain('\\'),
        b'/' => plain('/'),
        b'b' => plain('\u{8}'),
        b'f' => plain('\u{c}'),
        b'n' => plain('\n'),
        b'r' => plain('\r'),
        b't' => plain('\t'),
        b'u' => unicode_at(text, at),
        _ => None,
    }
}

fn unicode_at(text: &[u8], at: usize) -> Option<(char, usize)> {
    let first = hex4(text, at + 2)?;
    if !(0xd800..=0xdbff).contains(&first) {
        // A low half that stands alone is refused here: it is no `char`.
        return char::from_u32(u32::from(first)).map(|c| (c, at + 6));
    }
    if text.get(at + 6..at + 8)? != br"\u" {
        return None;
    }
    let second = hex4(text, at + 8)?;
    if !(0xdc00..=0xdfff).contains(&second) {
        return None;
    }
    let code = 0x1_0000 + (u32::from(first - 0xd800) << 10) + u32::from(second - 0xdc00);
    char::from_u32(code).map(|c| (c, at + 12))
}

/// What the raw text between two quotes means; borrowed when it holds no escape. None only for text that has not passed the check.
pub(super) fn unescape(raw: &[u8]) -> Option<Cow<'_, str>> {
    let Some(first) = memchr(b'\\', raw) else {
        return std::str::from_utf8(raw).ok().map(Cow::Borrowed);
    };
    let mut out = String::with_capacity(raw.len());
    let (mut copied, mut next) = (0, Some(first));
    while let Some(slash) = next {
        out.push_str(std::str::from_utf8(raw.get(copied..slash)?).ok()?);
        let (c, behind) = escape_at(raw, slash)?;
        out.push(c);
        copied = behind;
        next = memchr(b'\\', raw.get(behind..)?).map(|distance| behind + distance);
    }
    out.push_str(std::str::from_utf8(raw.get(copied..)?).ok()?);
    Some(Cow::Owned(out))
}

/// Appends `text` as a JSON string with its quotes; escapes only what RFC 8259 demands.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let end = super::scan::plain_run(bytes, at).end;
        out.extend_from_slice(bytes.get(at..end).unwrap_or_default());
        match bytes.get(end) {
            None => break,
            Some(b'"') => out.extend_from_slice(br#"\""#),
            Some(b'\\') => out.extend_from_slice(br"\\"),
            Some(b'\n') => out.extend_from_slice(br"\n"),
            Some(b'\r') => out.extend_from_slice(br"\r"),
            Some(b'\t') => out.extend_from_slice(br"\t"),
            Some(control) => {
                out.extend_from_slice(br"\u00");
                out.extend_from_slice(&[HEX[usize::from(control >> 4 & 15)], HEX[usize::from(control & 15)]]);
            }
        }
        at = end + 1;
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unescape_knows_every_escape() {
        let raw = br#"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00z"#;
        assert_eq!(unescape(raw).as_deref(), Some("a\"\\/\u{8}\u{c}\n\r\té😀z"));
        assert!(matches!(unescape("é".as_bytes()), Some(Cow::Borrowed("é"))));
    }

    #[test]
    fn unescape_refuses_what_the_check_refuses() {
        for bad in [&br"\x"[..], br"\", br"\u12", br"\u12g4", br"\ud800", br"\ud800A", br"\ud800\u0041", br"\udc00", br"\u+123", b"\xff"] {
            assert_eq!(unescape(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn push_string_is_undone_by_unescape_and_by_serde() {
        let text: String = (0..=0x2_ff).filter_map(char::from_u32).chain(['\u{2028}', '😀']).collect();
        let mut out = Vec::new();
        push_string(&mut out, &text);
        assert_eq!(unescape(&out[1..out.len() - 1]).as_deref(), Some(text.as_str()));
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }
}
