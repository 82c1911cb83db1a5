//! Credentials of one instance, taken out of what a service says when it refuses.
//!
//! The gateway masks every secret in everything that leaves it. But a refusal's text is cut, and half a credential is no longer
//! recognised; so it is taken out here, before the cut.

use data_encoding::BASE64;
use secrecy::{ExposeSecret, SecretString};

use crate::egress::{HttpAnswer, segment};

/// What stands in place of a secret.
const REPLACEMENT: &str = "<redacted-value>";
/// Shorter values are words, not secrets.
const SECRET_BYTES_MIN: usize = 4;

/// Texts that must not be shown, the longest first.
#[derive(Default)]
pub(crate) struct Withheld(Vec<SecretString>);

impl Withheld {
    /// The secrets in plain and in the forms in which a service may repeat them.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: Vec<String> = secrets.into_iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN).flat_map(forms).collect();
        forms.sort_unstable_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self(forms.into_iter().map(SecretString::from).collect())
    }

    /// The text without the secrets.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose_secret(), REPLACEMENT))
    }

    /// A refusing answer with a body to show; any other as it is.
    pub(crate) fn clean_refusal(&self, mut answer: HttpAnswer) -> HttpAnswer {
        if !answer.status.is_success() {
            answer.body = self.clean(&String::from_utf8_lossy(&answer.body)).into();
        }
        answer
    }
}

fn forms(secret: &str) -> Vec<String> {
    let quoted = serde_json::to_string(secret).unwrap_or_default();
    let base64 = BASE64.encode(secret.as_bytes());
    vec![secret.to_owned(), quoted.trim_matches('"').to_owned(), base64.trim_end_matches('=').to_owned(), segment(secret)]
}
