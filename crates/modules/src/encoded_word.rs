//! Text in headers that carry ASCII only (RFC 2047, section 2 and 4.1).

use data_encoding::BASE64;

/// Bytes of text in one encoded word: in base64 and with its frame it stays within the 75 characters that the RFC allows for a word, and
/// behind the name of a header within the 76 that it allows for a line.
const WORD_BYTES_MAX: usize = 39;

/// Whether a reader takes `text` as it stands: printable ASCII in which nothing looks like an encoded word.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.contains("=?")
}

/// `text` as encoded words of UTF-8 in base64, which are to be written with white space between them. No character is torn apart.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(rest.floor_char_boundary(WORD_BYTES_MAX));
        words.push(format!("=?utf-8?b?{}?=", BASE64.encode(head.as_bytes())));
        rest = tail;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_short_and_whole() {
        assert_eq!(words("Grüße"), ["=?utf-8?b?R3LDvMOfZQ==?="]);
        assert!(words("").is_empty());
        let text = "a👩‍🚀ü".repeat(40);
        let found = words(&text);
        let decode = |word: &String| String::from_utf8(BASE64.decode(&word.as_bytes()[10..word.len() - 2]).unwrap()).unwrap();
        assert_eq!(found.iter().map(decode).collect::<String>(), text);
        assert!(found.iter().all(|word| word.len() <= 75 && word.starts_with("=?utf-8?b?")));
    }

    #[test]
    fn what_a_reader_would_decode_is_not_plain() {
        assert!(is_plain("Build done?") && is_plain(""));
        for text in ["ü", "=?utf-8?q?x?=", "a\tb", "a\nb", "\u{7f}"] {
            assert!(!is_plain(text), "{text:?}");
        }
    }
}
