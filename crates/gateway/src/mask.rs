//! The last filter: no live secret leaves in a result or an error (security reference section 4).

use std::borrow::Cow;
use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use arc_swap::ArcSwapOption;
use bailiwick_mcp::{Json, Limits};
use bailiwick_model::Code;
use bailiwick_modules::host::SecretSink;
use bailiwick_store::ledger::redact::in_json;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::lock::Lock;
use crate::refusal::Refusal;

/// What stands in place of a secret; of one length, so that it tells nothing.
const REPLACEMENT: &str = "<redacted-value>";
/// Shorter values are words, not secrets; masking them would destroy innocent text.
const SECRET_BYTES_MIN: usize = 8;

impl SecretSink for Mask {
    fn learn(&self, secret: &str) {
        Self::learn(self, [secret]);
    }
}

/// All secrets the process holds, as one matcher, rebuilt when one is added.
#[derive(Default)]
pub(crate) struct Mask {
    secrets: Lock<Vec<SecretString>>,
    matcher: ArcSwapOption<AhoCorasick>,
}

impl Mask {
    /// Adds values; from the next call on they are masked in plain and in their usual encoded forms.
    pub(crate) fn learn<'a>(&self, values: impl IntoIterator<Item = &'a str>) {
        let mut secrets = self.secrets.lock();
        let before = secrets.len();
        for value in values.into_iter().filter(|v| v.len() >= SECRET_BYTES_MIN) {
            if !secrets.iter().any(|known| known.expose_secret() == value) {
                secrets.push(SecretString::from(value));
            }
        }
        // Agents are opened again and again; building the matcher is dear.
        if secrets.len() == before {
            return;
        }
        let forms: BTreeSet<String> = secrets.iter().flat_map(|secret| forms(secret.expose_secret())).collect();
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(forms.iter());
        self.matcher.store(built.ok().filter(|_| !forms.is_empty()).map(std::sync::Arc::new));
    }

    /// The JSON without secrets. Only a text that held one is copied.
    pub(crate) fn clean(&self, json: Json) -> Result<Json, Refusal> {
        let matcher = self.matcher.load();
        let Some(matcher) = matcher.as_deref() else { return Ok(json) };
        if !matcher.is_match(json.bytes()) {
            return Ok(json);
        }
        let masked = replace(matcher, json.as_str());
        Json::check(masked.into(), &Limits::RESULT).map_err(|_| {
            Refusal::new(
                Code::UpstreamProtocol,
                "the result held a secret where it cannot be masked",
                "ask the operator to look at the server",
            )
        })
    }

    /// A refusal without secrets, the operator's reason included: a module's fault may quote what a service said.
    pub(crate) fn clean_refusal(&self, refusal: Refusal) -> Refusal {
        let Refusal { code, message, remedy, retryable, details, reason } = refusal;
        let text = |text: Cow<'static, str>| match self.clean_text(&text) {
            Cow::Borrowed(_) => text.clone(),
            Cow::Owned(masked) => masked.into(),
        };
        // Details that cannot be masked are left out.
        let clean = |details: Value| self.clean(Json::from_serialize(&details).ok()?).ok()?.decode().ok();
        Refusal {
            code,
            message: text(message),
            remedy: text(remedy),
            retryable,
            details: details.and_then(clean),
            reason: reason.map(text),
        }
    }

    /// The text without secrets.
    pub(crate) fn clean_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let matcher = self.matcher.load();
        match matcher.as_deref() {
            Some(matcher) if matcher.is_match(text) => replace(matcher, text).into(),
            _ => text.into(),
        }
    }
}

fn replace(matcher: &AhoCorasick, text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    matcher.replace_all_with(text, &mut out, |_, _, out| {
        out.push_str(REPLACEMENT);
        true
    });
    out
}

/// A secret in the forms in which it may come back.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let percent = bytes.iter().map(|b| if b.is_ascii_alphanumeric() { char::from(*b).to_string() } else { format!("%{b:02X}") }).collect();
    let encoded = [BASE64.encode(bytes).trim_end_matches('=').to_owned(), BASE64URL_NOPAD.encode(bytes), HEXLOWER.encode(bytes), percent];
    encoded.into_iter().chain(in_json(secret)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_every_form_and_keeps_the_rest() {
        let mask = Mask::default();
        let secret = "tok\"en/with+odd chars\"";
        mask.learn([secret, "short"]);
        let in_json = [
            r#"tok\"en/with+odd chars\""#,
            r#"tok\"en\/with+odd chars\""#,
            r#"tok\\\"en/with+odd chars\\\""#,
            r#"tok\\\"en\\/with+odd chars\\\""#,
            r#"tok\\\\\\\"en/with+odd chars\\\\\\\""#,
            r#"tok\\\\\\\\\\\\\\\"en/with+odd chars\\\\\\\\\\\\\\\""#,
            "dG9rImVuL3dpdGgrb2RkIGNoYXJzIg",
            "746f6b22656e2f776974682b6f646420636861727322",
            "tok%22en%2Fwith%2Bodd%20chars%22",
        ];
        for form in in_json {
            let text = format!("\"before {form} after\"");
            let clean = mask.clean(Json::check(text.into(), &Limits::RESULT).unwrap()).unwrap();
            assert_eq!(clean.as_str(), format!("\"before {REPLACEMENT} after\""), "{form}");
        }
        assert_eq!(mask.clean_text(&format!("a {secret} b")), format!("a {REPLACEMENT} b"));
        assert_eq!(mask.clean_text("a short word"), "a short word");
    }

    #[test]
    fn a_refusal_is_masked_in_every_part() {
        let mask = Mask::default();
        mask.learn(["T0/B0/the-hook"]);
        let refusal = |text: &str, details| {
            Refusal::new(Code::UpstreamError, text.to_owned(), text.to_owned()).with_details(details).because(text.to_owned())
        };
        let details = |text: &str| serde_json::json!({ "status": 404, "body": text });
        let masked = mask.clean_refusal(refusal("no T0/B0/the-hook here", details("/T0/B0/the-hook\n")));
        let expected = refusal("no <redacted-value> here", details("/<redacted-value>\n"));
        assert_eq!(format!("{masked:?}"), format!("{expected:?}"));
        let innocent = refusal("not found", details("nothing"));
        assert_eq!(format!("{:?}", mask.clean_refusal(innocent.clone())), format!("{innocent:?}"));
        mask.learn(["1234567890"]);
        let bare = mask.clean_refusal(refusal("x", serde_json::json!({ "pin": 1_234_567_890 })));
        assert_eq!(bare.details, None, "a number cannot be masked");
    }

    #[test]
    fn a_secret_outside_a_string_is_not_shown_at_all() {
        let mask = Mask::default();
        mask.learn(["1234567890"]);
        assert!(mask.clean(Json::from_static(r#"{"pin":1234567890}"#)).is_err());
        assert!(mask.clean(Json::from_static(r#"{"pin":123456789}"#)).is_ok());
    }
}
