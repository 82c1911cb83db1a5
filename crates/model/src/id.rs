//! Identifiers. Each is parsed once at the door; code behind it takes the type and does not check again.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::time::{Random, Timestamp};

/// Why a text is not a valid identifier; the message names the rule, never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidId {
    what: &'static str,
    rule: &'static str,
}

impl InvalidId {
    pub(crate) const fn new(what: &'static str, rule: &'static str) -> Self {
        Self { what, rule }
    }

    /// The rule that was broken, for a message that is assembled elsewhere.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        self.rule
    }
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a valid {}: {}", self.what, self.rule)
    }
}

impl std::error::Error for InvalidId {}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks `text` against the pattern of this identifier.
            ///
            /// # Errors
            /// [`InvalidId`] when the pattern does not match the whole text.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                if $check(text) { Ok(Self(text.into())) } else { Err(InvalidId::new($what, $rule)) }
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.into()
            }
        }
    };
}
pub(crate) use text_id;

/// One to 63 characters: the first a lower-case letter or digit, the rest also `-` and what `extra` admits.
fn label(text: &str, extra: fn(u8) -> bool) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    match text.as_bytes() {
        [first, rest @ ..] => alnum(*first) && rest.len() <= 62 && rest.iter().all(|b| alnum(*b) || *b == b'-' || extra(*b)),
        [] => false,
    }
}

fn plain_label(text: &str) -> bool {
    label(text, |_| false)
}

fn underscore_label(text: &str) -> bool {
    label(text, |b| b == b'_')
}

text_id!(
    /// One agent instance: `^[a-z0-9][a-z0-9-]{0,62}$` (reference, tool modules section 2).
    AgentId, "agent id", plain_label, "lower-case letters, digits and `-`, beginning with a letter or digit, at most 63 characters"
);
text_id!(
    /// The kind of an agent, which names its manifest: `^[a-z0-9][a-z0-9_-]{0,62}$`.
    AgentType, "agent type", underscore_label, "lower-case letters, digits, `_` and `-`, beginning with a letter or digit, at most 63 characters"
);
text_id!(
    /// An organisation, the tenant: same pattern as an agent id.
    OrgId, "organisation", plain_label, "lower-case letters, digits and `-`, beginning with a letter or digit, at most 63 characters"
);

text_id!(
    /// A group of an organisation: same pattern as an agent id.
    GroupId, "group", plain_label, "lower-case letters, digits and `-`, beginning with a letter or digit, at most 63 characters"
);

/// Longest subject; OpenID Connect Core section 2 has the same limit.
const SUBJECT_CHARS_MAX: usize = 255;

fn subject_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= SUBJECT_CHARS_MAX && text.bytes().all(|b| b.is_ascii_graphic())
}

text_id!(
    /// A person as an identity provider names him (`sub`): 1 to 255 visible ASCII characters, compared byte by byte.
    Subject, "subject", subject_text, "1 to 255 visible ASCII characters"
);

fn run_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

text_id!(
    /// A run: 1 to 64 letters, digits, `-`, `_`.
    RunId, "run id", run_text, "letters, digits, `-` and `_`, at most 64 characters"
);

impl RunId {
    /// A fresh, unpredictable id: 32 lower-case hexadecimal digits (reference, governance 3.1).
    pub fn random(random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        Self(HEXLOWER.encode(&bytes).into())
    }
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// A fresh, unpredictable id.
            pub fn random(random: &dyn Random) -> Self {
                let mut bytes = [0; $bytes];
                random.fill(&mut bytes);
                Self(bytes)
            }

            /// Reads the lower-case hexadecimal form.
            ///
            /// # Errors
            /// [`InvalidId`] for any other text.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let decoded = HEXLOWER.decode(text.as_bytes()).ok().and_then(|v| v.try_into().ok());
                decoded.map(Self).ok_or(InvalidId::new($what, $rule))
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; $bytes * 2];
                HEXLOWER.encode_mut(&self.0, &mut text);
                f.write_str(std::str::from_utf8(&text).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

random_id!(
    /// One entry pair on the ledger; what an operator is given to find it.
    EventId, 16, "event id", "32 hexadecimal digits"
);
random_id!(
    /// One feedback of an agent or person.
    FeedbackId, 16, "feedback id", "32 hexadecimal digits"
);
random_id!(
    /// A registered server.
    ServerId, 16, "server id", "32 lower-case hexadecimal digits"
);
random_id!(
    /// The public half of an API key.
    KeyId, 8, "key id", "16 hexadecimal digits"
);

impl EventId {
    /// A fresh id that begins with the time (48 bits of milliseconds) and goes on with 80 unpredictable bits: rows of one time lie
    /// together in an index, and nobody can guess an id.
    pub fn fresh(at: Timestamp, random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        let millis = u64::try_from(at.as_micros() / 1000).unwrap_or(0);
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        random.fill(&mut bytes[6..]);
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agent_ids_follow_the_reference() {
        for good in ["a", "build-01", "0x", &"a".repeat(63)] {
            assert!(AgentId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a_b", "a.b", "../x", "a b", "a\n", &"a".repeat(64)] {
            assert!(AgentId::parse(bad).is_err(), "{bad}");
        }
        assert!(AgentType::parse("research_agent").is_ok());
    }

    #[test]
    fn random_ids_round_trip() {
        struct Nines;
        impl Random for Nines {
            fn fill(&self, bytes: &mut [u8]) {
                bytes.fill(0x99);
            }
        }
        let id = EventId::random(&Nines);
        assert_eq!(EventId::parse(&id.to_string()), Ok(id));
        assert_eq!(RunId::random(&Nines), RunId::parse(&"99".repeat(16)).unwrap());
        assert!(EventId::parse("99").is_err());
        assert!(EventId::parse(&id.to_string().replace('9', "G")).is_err());
    }
}
