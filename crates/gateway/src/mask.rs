//! The last filter: no live secret leaves in a result or an error (security reference section 4).

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_mcp::{Json, Limits};
use bailiwick_model::Code;
use bailiwick_modules::host::SecretSink;
use bailiwick_store::ledger::redact::in_json;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::form_urlencoded::byte_serialize;

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

/// All secrets the process holds. They stand in layers, each with a matcher of its own and about twice as large as the next, so that learning
/// one does not build everything anew: tokens of connections come and go all day.
#[derive(Default)]
pub(crate) struct Mask {
    layers: ArcSwap<Vec<Arc<Layer>>>,
    /// Held by whoever changes the layers.
    tally: Lock<Tally>,
}

/// Who needs what.
#[derive(Default)]
struct Tally {
    /// How often a value was learned and not forgotten.
    uses: HashMap<Box<[u8]>, usize>,
    /// Values that nobody needs and that stand in the layers still.
    forgotten: BTreeSet<Box<[u8]>>,
}

/// Some secrets and their forms.
struct Layer {
    secrets: Vec<SecretString>,
    matcher: AhoCorasick,
}

/// Forgotten secrets that stay in the layers at most, unless they are fewer than those that are still known.
const FORGOTTEN_MIN: usize = 64;

impl Layer {
    /// `None` when there is nothing to look for.
    fn of(secrets: Vec<SecretString>) -> Option<Arc<Self>> {
        let forms: BTreeSet<String> = secrets.iter().flat_map(|secret| forms(secret.expose_secret())).collect();
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(forms.iter());
        built.ok().filter(|_| !forms.is_empty()).map(|matcher| Arc::new(Self { secrets, matcher }))
    }

    fn has(&self, value: &str) -> bool {
        self.secrets.iter().any(|known| known.expose_secret() == value)
    }
}

impl Mask {
    /// Adds values; from the next call on they are masked in plain and in their usual encoded forms.
    pub(crate) fn learn<'a>(&self, values: impl IntoIterator<Item = &'a str>) {
        let mut tally = self.tally.lock();
        let mut layers = Vec::clone(&self.layers.load());
        let mut fresh: Vec<SecretString> = Vec::new();
        for value in values.into_iter().filter(|v| v.len() >= SECRET_BYTES_MIN) {
            let digest = digest_of(value);
            tally.forgotten.remove(&digest);
            *tally.uses.entry(digest).or_default() += 1;
            // Agents are opened again and again; building the matcher is dear.
            if !layers.iter().any(|layer| layer.has(value)) && !fresh.iter().any(|known| known.expose_secret() == value) {
                fresh.push(SecretString::from(value));
            }
        }
        if fresh.is_empty() {
            return;
        }
        while let Some(layer) = layers.pop_if(|last| last.secrets.len() <= fresh.len()) {
            fresh.extend(layer.secrets.iter().cloned());
        }
        layers.extend(Layer::of(fresh));
        self.layers.store(Arc::new(layers));
    }

    /// Takes one [`learn`](Self::learn) of each value back. What nobody needs any more is still masked for a while, so that an answer that is on its way is.
    pub(crate) fn forget<'a>(&self, values: impl IntoIterator<Item = &'a str>) {
        let mut tally = self.tally.lock();
        for value in values.into_iter().filter(|v| v.len() >= SECRET_BYTES_MIN) {
            let digest = digest_of(value);
            let Some(uses) = tally.uses.get_mut(&digest) else { continue };
            *uses -= 1;
            if *uses == 0 {
                tally.uses.remove(&digest);
                tally.forgotten.insert(digest);
            }
        }
        let layers = self.layers.load();
        let all: usize = layers.iter().map(|layer| layer.secrets.len()).sum();
        if tally.forgotten.len() < FORGOTTEN_MIN || tally.forgotten.len() * 2 < all {
            return;
        }
        let known = layers.iter().flat_map(|layer| &layer.secrets);
        let kept = known.filter(|secret| !tally.forgotten.contains(&digest_of(secret.expose_secret()))).cloned().collect();
        self.layers.store(Arc::new(Layer::of(kept).into_iter().collect()));
        tally.forgotten.clear();
    }

    /// The JSON without secrets. Only a text that held one is copied.
    pub(crate) fn clean(&self, json: Json) -> Result<Json, Refusal> {
        let Some(masked) = self.masked(json.as_str()) else { return Ok(json) };
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
        self.masked(text).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// Whether a secret is in the text.
    pub(crate) fn holds(&self, text: &str) -> bool {
        self.masked(text).is_some()
    }

    /// The text with every secret replaced; `None` when it holds none. What the layers find may overlap: then all of it goes.
    fn masked(&self, text: &str) -> Option<String> {
        let layers = self.layers.load();
        let mut found: Vec<(usize, usize)> = Vec::new();
        for layer in layers.iter() {
            found.extend(layer.matcher.find_iter(text).map(|hit| (hit.start(), hit.end())));
        }
        if found.is_empty() {
            return None;
        }
        found.sort_unstable();
        let mut out = String::with_capacity(text.len());
        let mut shown = 0;
        for (start, end) in found {
            if start >= shown {
                out.push_str(text.get(shown..start).unwrap_or_default());
                out.push_str(REPLACEMENT);
            }
            shown = shown.max(end);
        }
        out.push_str(text.get(shown..).unwrap_or_default());
        Some(out)
    }
}

/// Forgotten values are not kept themselves.
fn digest_of(value: &str) -> Box<[u8]> {
    digest(&SHA256, value.as_bytes()).as_ref().into()
}

/// A secret in the forms in which it may come back.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    // Programs differ in what they leave as it is (RFC 3986 section 2.3, and the form of HTML).
    let percent = |keep: &[u8]| -> String {
        let kept = |b: u8| b.is_ascii_alphanumeric() || keep.contains(&b);
        bytes.iter().map(|b| if kept(*b) { char::from(*b).to_string() } else { format!("%{b:02X}") }).collect()
    };
    let encoded = [
        BASE64.encode(bytes).trim_end_matches('=').to_owned(),
        BASE64URL_NOPAD.encode(bytes),
        HEXLOWER.encode(bytes),
        percent(b""),
        percent(b"-._~"),
        byte_serialize(bytes).collect(),
    ];
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
        let token = "a-b.c_d~e+f/g=*h";
        mask.learn([token]);
        for form in ["a%2Db%2Ec%5Fd%7Ee%2Bf%2Fg%3D%2Ah", "a-b.c_d~e%2Bf%2Fg%3D%2Ah", "a-b.c_d%7Ee%2Bf%2Fg%3D*h"] {
            assert_eq!(mask.clean_text(form), REPLACEMENT, "{form}");
        }
        assert_eq!(mask.clean_text(&format!("a {secret} b")), format!("a {REPLACEMENT} b"));
        assert_eq!(mask.clean_text("a short word"), "a short word");
    }

    #[test]
    fn secrets_of_different_layers_may_overlap() {
        let mask = Mask::default();
        mask.learn(["first-secret-of-many", "another-secret-value", "a-third-secret-value"]);
        mask.learn(["secret-of-many-parts"]);
        assert_eq!(mask.layers.load().len(), 2, "the smaller one stands for itself");
        assert_eq!(mask.clean_text("x first-secret-of-many-parts y"), format!("x {REPLACEMENT} y"));
        assert_eq!(mask.clean_text("another-secret-value,secret-of-many-parts"), format!("{REPLACEMENT},{REPLACEMENT}"));
    }

    #[test]
    fn tokens_that_come_and_go_do_not_pile_up() {
        let mask = Mask::default();
        mask.learn(["the-key-that-stays"]);
        let token = |n: usize| format!("access-token-number-{n}");
        for n in 0..1_000 {
            mask.learn([token(n).as_str()]);
            if n > 0 {
                mask.forget([token(n - 1).as_str()]);
            }
            assert_eq!(mask.clean_text(&token(n)), REPLACEMENT);
        }
        let held: usize = mask.layers.load().iter().map(|layer| layer.secrets.len()).sum();
        assert!(held <= 2 * FORGOTTEN_MIN + 2, "{held}");
        assert_eq!(mask.clean_text("the-key-that-stays"), REPLACEMENT);
        assert_eq!(mask.clean_text(&token(5)), token(5), "forgotten in the end");
        mask.learn([token(5).as_str()]);
        assert_eq!(mask.clean_text(&token(5)), REPLACEMENT);
    }

    #[test]
    fn what_two_need_is_not_forgotten_by_one() {
        let mask = Mask::default();
        mask.learn(["needed-by-two-of-them"]);
        mask.learn(["needed-by-two-of-them"]);
        mask.forget(["needed-by-two-of-them"]);
        for n in 0..500 {
            let token = format!("access-token-number-{n}");
            mask.learn([token.as_str()]);
            mask.forget([token.as_str()]);
        }
        assert_eq!(mask.clean_text("needed-by-two-of-them"), REPLACEMENT);
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
