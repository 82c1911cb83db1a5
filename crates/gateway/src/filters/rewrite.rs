//! Going through a message once: every string is judged where it stands, and only what must change is written anew.

use bailiwick_mcp::{Json, Limits, Token, TokenKind};
use data_encoding::BASE64;

use super::Stop;
use super::forms::lenient;
use super::results::Judge;
use super::treatment::{Layout, Treatment, is_protocol_name, is_protocol_number, is_protocol_value, opens_free, treatments};

/// The message without what the rules take away; `None` when it stays as it is.
pub(super) fn message(judge: &mut Judge<'_>, json: &Json, layout: Layout) -> Result<Option<Json>, Stop> {
    let mut places = treatments(json, layout).into_iter().peekable();
    let mut text = Rewritten { json, out: Vec::new(), copied: 0, renamed: 0 };
    let mut around = Around { free: vec![layout == Layout::Free], name: None };
    for token in json.tokens() {
        let own = places.next_if(|(start, _)| *start == token.place.start).map(|(_, treatment)| treatment);
        match token.kind {
            TokenKind::Open => around.enter(),
            TokenKind::Close => around.leave(),
            TokenKind::Word => {}
            TokenKind::Name => {
                let name = json.token_text(&token).unwrap_or_default().into_owned();
                if (around.is_free() || !is_protocol_name(&name))
                    && let Some(changed) = judge.text(&name)?
                {
                    text.rename(&token, changed);
                }
                around.name = Some(name);
            }
            TokenKind::Number => {
                let spelling = json.bytes().get(token.place.clone()).and_then(|raw| std::str::from_utf8(raw).ok()).unwrap_or_default();
                if (around.is_free() || !around.name.as_deref().is_some_and(is_protocol_number))
                    && let Some(changed) = judge.text(spelling)?
                {
                    text.replace(&token, &changed);
                }
            }
            TokenKind::Text => {
                let value = json.token_text(&token).unwrap_or_default();
                let changed = match own {
                    Some(treatment) => blob(judge, &value, treatment)?,
                    None if !around.is_free() && around.name.as_deref().is_some_and(|name| is_protocol_value(name, &value)) => None,
                    None => judge.text(&value)?,
                };
                if let Some(changed) = changed {
                    text.replace(&token, &changed);
                }
            }
        }
    }
    text.finish().map_err(|_| judge.broken())
}

/// A string of Base64 after its treatment.
fn blob(judge: &mut Judge<'_>, value: &str, treatment: Treatment) -> Result<Option<String>, Stop> {
    if treatment == Treatment::Binary {
        return Ok(None);
    }
    judge.decoded(value.len() / 4 * 3)?;
    match (lenient(value), treatment) {
        (Some(bytes), Treatment::TextBlob) => {
            let changed = judge.text(&String::from_utf8_lossy(&bytes))?;
            Ok(changed.map(|text| BASE64.encode(text.as_bytes())))
        }
        (Some(bytes), _) => match String::from_utf8(bytes) {
            Ok(text) => Ok(judge.text(&text)?.map(|text| BASE64.encode(text.as_bytes()))),
            Err(_) => Ok(None),
        },
        (None, _) => judge.unreadable().map(|()| None),
    }
}

/// Whose names and values stand here.
struct Around {
    /// For each open array or object whether the protocol says nothing about its inside.
    free: Vec<bool>,
    /// The name of the member whose value comes, or of the array around.
    name: Option<String>,
}

impl Around {
    fn is_free(&self) -> bool {
        self.free.last().copied().unwrap_or(false)
    }

    fn enter(&mut self) {
        let free = self.is_free() || self.name.as_deref().is_some_and(opens_free);
        self.free.push(free);
    }

    fn leave(&mut self) {
        self.free.pop();
        self.name = None;
    }
}

/// The text in the making.
struct Rewritten<'j> {
    json: &'j Json,
    out: Vec<u8>,
    /// The old text up to here is in `out`.
    copied: usize,
    /// Names written anew.
    renamed: usize,
}

impl Rewritten<'_> {
    fn replace(&mut self, token: &Token, text: &str) {
        self.out.extend_from_slice(self.json.bytes().get(self.copied..token.place.start).unwrap_or_default());
        self.out.extend_from_slice(Json::from_text(text).bytes());
        self.copied = token.place.end;
    }

    /// Two names may become the same: those after the first are numbered.
    fn rename(&mut self, token: &Token, mut text: String) {
        self.renamed += 1;
        if self.renamed > 1 {
            text.push_str(&format!("-{}", self.renamed));
        }
        self.replace(token, &text);
    }

    fn finish(mut self) -> Result<Option<Json>, bailiwick_mcp::Fault> {
        if self.copied == 0 {
            return Ok(None);
        }
        self.out.extend_from_slice(self.json.bytes().get(self.copied..).unwrap_or_default());
        Json::check(self.out.into(), &Limits::RESULT).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bailiwick_model::manifest::{Decoding, FilterAction, Pattern, ResponseFilter};

    use super::super::Cost;
    use super::super::results::{Rules, Screened};
    use super::*;

    fn rules(filters: &[(&str, FilterAction)]) -> Rules {
        let filter = |(pattern, action): &(&str, FilterAction)| ResponseFilter {
            name: format!("{action:?}"),
            pattern: Pattern::parse(pattern, false).unwrap(),
            action: *action,
            decode: vec![Decoding::Base64],
        };
        Rules::of(&filters.iter().map(filter).collect::<Vec<_>>(), Cost { decoded_bytes_max: 1 << 20, time: Duration::from_secs(60) })
    }

    fn screen(rules: &Rules, text: &str, layout: Layout) -> Result<Screened<Json>, Stop> {
        rules.screen_now(&Json::check(text.to_owned().into(), &Limits::RESULT).unwrap(), layout)
    }

    #[track_caller]
    fn redacted(text: &str, layout: Layout) -> String {
        let screened = screen(&rules(&[("hunter2|41{3}", FilterAction::Redact)]), text, layout).unwrap();
        assert_eq!(screened.hits.len(), usize::from(screened.changed.is_some()));
        screened.changed.map_or_else(|| "unchanged".into(), |json| json.as_str().to_owned())
    }

    #[test]
    fn redaction_changes_what_matches_and_nothing_else() {
        let base = |text: &str| BASE64.encode(text.as_bytes());
        let (word, image) = (base("a hunter2 b"), base("\u{0}\u{1}hunter2"));
        let cases: Vec<(String, Layout, String)> = vec![
            (r#"{"content":[{"type":"text","text":"x"}]}"#.into(), Layout::Tool, "unchanged".into()),
            (
                r#"{ "content" : [ {"type":"text","text":"a\nhunter2 \u0068unter2"} ], "n":1e2 }"#.into(),
                Layout::Tool,
                r#"{ "content" : [ {"type":"text","text":"a\n[REDACTED] [REDACTED]"} ], "n":1e2 }"#.into(),
            ),
            (
                r#"{"structuredContent":{"hunter2":[{"ahunter2":4111}],"type":"hunter2"}}"#.into(),
                Layout::Tool,
                r#"{"structuredContent":{"[REDACTED]":[{"a[REDACTED]-2":"[REDACTED]"}],"type":"[REDACTED]"}}"#.into(),
            ),
            // Only found after decoding: the whole value goes.
            (
                format!(r#"{{"content":[{{"type":"text","text":"{word}"}}]}}"#),
                Layout::Tool,
                r#"{"content":[{"type":"text","text":"[REDACTED]"}]}"#.into(),
            ),
            // Binary data stays as it is, where it may stand.
            (format!(r#"{{"content":[{{"data":"{image}","type":"image","mimeType":"image/png"}}]}}"#), Layout::Tool, "unchanged".into()),
            (
                r#"{"structuredContent":{"content":[{"type":"image","data":"hunter2"}]}}"#.into(),
                Layout::Tool,
                r#"{"structuredContent":{"content":[{"type":"image","data":"[REDACTED]"}]}}"#.into(),
            ),
            (
                r#"{"content":[{"type":"image","data":"hunter2","mimeType":"hunter2"}]}"#.into(),
                Layout::Tool,
                r#"{"content":[{"type":"image","data":"hunter2","mimeType":"[REDACTED]"}]}"#.into(),
            ),
            // Text inside Base64 is redacted inside.
            (
                format!(
                    r#"{{"content":[{{"type":"resource","resource":{{"uri":"f:x","mimeType":"text/plain; charset=utf-8","blob":"{word}"}}}}]}}"#
                ),
                Layout::Tool,
                format!(
                    r#"{{"content":[{{"type":"resource","resource":{{"uri":"f:x","mimeType":"text/plain; charset=utf-8","blob":"{}"}}}}]}}"#,
                    base("a [REDACTED] b")
                ),
            ),
            (
                format!(r#"{{"contents":[{{"uri":"f:x","blob":"{word}"}}]}}"#),
                Layout::Resource,
                format!(r#"{{"contents":[{{"uri":"f:x","blob":"{}"}}]}}"#, base("a [REDACTED] b")),
            ),
            (
                format!(r#"{{"contents":[{{"uri":"f:x","mimeType":"application/pdf","blob":"{word}"}}]}}"#),
                Layout::Resource,
                "unchanged".into(),
            ),
            (
                r#"{"messages":[{"role":"user","content":{"type":"text","text":"hunter2"}}]}"#.into(),
                Layout::Prompt,
                r#"{"messages":[{"role":"user","content":{"type":"text","text":"[REDACTED]"}}]}"#.into(),
            ),
            (r#"{"data":["hunter2"]}"#.into(), Layout::Free, r#"{"data":["[REDACTED]"]}"#.into()),
            (r#""hunter2""#.into(), Layout::Free, r#""[REDACTED]""#.into()),
        ];
        for (text, layout, expected) in cases {
            assert_eq!(redacted(&text, layout), expected, "{text}");
        }
    }

    #[test]
    fn the_protocols_own_words_stay() {
        let all = rules(&[("text|type|content|user|1", FilterAction::Redact)]);
        let text = r#"{"content":[{"type":"text","text":"a text","annotations":{"audience":["user"],"priority":1}}],"isError":false}"#;
        let changed = screen(&all, text, Layout::Tool).unwrap().changed.unwrap();
        assert_eq!(
            changed.as_str(),
            r#"{"content":[{"type":"text","text":"a [REDACTED]","annotations":{"audience":["[REDACTED]"],"priority":1}}],"isError":false}"#
        );
    }

    #[test]
    fn blocking_comes_first_and_warning_changes_nothing() {
        let text = r#"{"content":[{"type":"text","text":"one two"},{"type":"text","text":"three"}]}"#;
        let mixed = rules(&[("one", FilterAction::Redact), ("two", FilterAction::Warn), ("three", FilterAction::Block)]);
        let Err(Stop::Blocked(hit)) = screen(&mixed, text, Layout::Tool) else { panic!("it blocks") };
        assert_eq!((hit.event, &*hit.filter), ("response_filter_blocked", "Block"));
        let warned = screen(&rules(&[("o", FilterAction::Warn)]), text, Layout::Tool).unwrap();
        assert!(warned.changed.is_none());
        assert_eq!(warned.hits.iter().map(|hit| hit.event).collect::<Vec<_>>(), ["response_filter_warning"]);
        let both = screen(&rules(&[("one", FilterAction::Redact), ("two", FilterAction::Warn)]), text, Layout::Tool).unwrap();
        assert_eq!(both.hits.len(), 2);
        assert!(screen(&rules(&[]), text, Layout::Tool).unwrap().changed.is_none());
    }

    #[test]
    fn declared_text_that_cannot_be_read_is_held_back_by_rules_that_protect() {
        let text = r#"{"contents":[{"uri":"f:x","mimeType":"text/plain","blob":"!no base64!"}]}"#;
        assert!(matches!(screen(&rules(&[("x", FilterAction::Redact)]), text, Layout::Resource), Err(Stop::Blocked(_))));
        assert!(screen(&rules(&[("x", FilterAction::Warn)]), text, Layout::Resource).is_ok());
    }

    #[test]
    fn a_name_that_would_stand_twice_is_not_shown() {
        let text = r#"{"structuredContent":{"[REDACTED]":1,"hunter2":2}}"#;
        let outcome = screen(&rules(&[("hunter2", FilterAction::Redact)]), text, Layout::Tool);
        assert!(matches!(outcome, Err(Stop::Blocked(_))), "{outcome:?}");
    }
}
