//! The tokens of a checked text in one pass, for readers that care about every string wherever it stands.

use std::borrow::Cow;
use std::ops::Range;

use super::{Json, scan, string_in};

/// What a [`Token`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `{` or `[`
    Open,
    /// `}` or `]`
    Close,
    /// The name of a member; its value follows.
    Name,
    /// A string that is a value.
    Text,
    /// A number.
    Number,
    /// `true`, `false` or `null`.
    Word,
}

/// One token and where it stands in the text of the value it was asked of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its place; of strings with their quotes.
    pub place: Range<usize>,
}

impl Json {
    /// Every token in the order of the text; white space, commas and colons are left out.
    pub fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        Tokens { text: &self.text, at: 0 }
    }

    /// What a name or text token of this value means; `None` for the others.
    #[must_use]
    pub fn token_text(&self, token: &Token) -> Option<Cow<'_, str>> {
        string_in(self.text.get(token.place.clone())?)
    }
}

struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        while self.text.get(self.at).is_some_and(|byte| scan::is_space(*byte) || matches!(byte, b',' | b':')) {
            self.at += 1;
        }
        let start = self.at;
        let (kind, end) = match self.text.get(start)? {
            b'{' | b'[' => (TokenKind::Open, start + 1),
            b'}' | b']' => (TokenKind::Close, start + 1),
            b'"' => {
                let end = scan::skip_value(self.text, start)?;
                let is_name = self.text.get(scan::skip_space(self.text, end)) == Some(&b':');
                (if is_name { TokenKind::Name } else { TokenKind::Text }, end)
            }
            b't' | b'f' | b'n' => (TokenKind::Word, scan::skip_value(self.text, start)?),
            _ => (TokenKind::Number, scan::skip_value(self.text, start)?),
        };
        self.at = end;
        Some(Token { kind, place: start..end })
    }
}

#[cfg(test)]
mod tests {
    use super::TokenKind::{Close, Name, Number, Open, Text, Word};
    use super::*;
    use crate::json::Limits;

    #[test]
    fn every_token_is_given_in_order() {
        let text = r#" {"a\"b" : ["x:", -1e3 ,{}, null], "" :"\u00e9"} "#;
        let json = Json::check(text.into(), &Limits::RESULT).unwrap();
        let found: Vec<_> = json.tokens().map(|token| (token.kind, &json.as_str()[token.place])).collect();
        let expected = [
            (Open, "{"),
            (Name, r#""a\"b""#),
            (Open, "["),
            (Text, r#""x:""#),
            (Number, "-1e3"),
            (Open, "{"),
            (Close, "}"),
            (Word, "null"),
            (Close, "]"),
            (Name, r#""""#),
            (Text, r#""\u00e9""#),
            (Close, "}"),
        ];
        assert_eq!(found, expected);
        let texts: Vec<_> = json.tokens().filter_map(|token| json.token_text(&token).map(Cow::into_owned)).collect();
        assert_eq!(texts, ["a\"b", "x:", "", "é"]);
        assert_eq!(Json::from_static("7").tokens().count(), 1);
    }
}
