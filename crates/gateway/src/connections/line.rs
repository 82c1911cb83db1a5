//! The way of one holder to one server: an upstream of its own, since sessions belong to who opened them, and the token that it sends.

use std::time::{Duration, Instant};

use bailiwick_mcp::client::{Authorization, Upstream};
use bailiwick_model::Timestamp;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::ConnectFault;
use crate::lock::Lock;
use crate::mask::Mask;
use crate::servers::Link;

/// A token is renewed so long before it ends: a call that is sent with it has to arrive.
pub(super) const SKEW: Duration = Duration::from_secs(30);

/// Whose credential goes along; the words of the ledger (governance reference 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Org,
    Nothing,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Org => "org",
            Self::Nothing => "none",
        }
    }
}

/// One holder's way.
pub(super) struct Line {
    upstream: Upstream,
    authorization: Authorization,
    kind: Kind,
    sent: Lock<Sent>,
    used: Lock<Instant>,
}

/// What is sent now.
#[derive(Default)]
struct Sent {
    /// The version of the tokens; 0 for what has none.
    version: i64,
    /// When the connection was made: another one has sessions of its own.
    made: Option<Timestamp>,
    until: Option<Timestamp>,
    /// The generation of the rows that it was read in.
    read_in: Option<i64>,
    token: Option<SecretString>,
    before: Option<SecretString>,
}

/// A token to be sent.
pub(super) struct Token {
    pub(super) version: i64,
    pub(super) made: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) value: SecretString,
}

impl Line {
    pub(super) fn new(upstream: Upstream, authorization: Authorization, kind: Kind) -> Self {
        Self { upstream, authorization, kind, sent: Lock::default(), used: Lock::new(Instant::now()) }
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// The way as it is, if its token is known to be good: read in this generation of the rows, and not about to end.
    pub(super) fn ready(&self, generation: i64, now: Timestamp) -> Option<Link> {
        let sent = self.sent.lock();
        let fresh = sent.read_in == Some(generation) && sent.until.is_none_or(|until| until.as_micros() > now.as_micros() + skew());
        fresh.then(|| self.link(sent.version))
    }

    /// Whether this line stands for the connection that was made at `made`, and not for an earlier one.
    pub(super) fn is_of(&self, made: Option<Timestamp>) -> bool {
        let sent = self.sent.lock();
        sent.read_in.is_none() || sent.made == made
    }

    /// Sends this token from now on.
    ///
    /// # Errors
    /// For a token that cannot stand in a header.
    pub(super) fn send(&self, token: Token, generation: i64, mask: &Mask) -> Result<Link, ConnectFault> {
        let Token { version, made, until, value } = token;
        let header = HeaderValue::from_str(&format!("Bearer {}", value.expose_secret())).map_err(|_| ConnectFault::unsendable())?;
        let mut sent = self.sent.lock();
        // Two callers may come with tokens that they read one after the other.
        if sent.made == made && sent.version > version {
            return Ok(self.link(sent.version));
        }
        if !self.authorization.is(&header) {
            mask.learn([value.expose_secret()]);
            self.authorization.set(Some(header));
            // Earlier refusals were about another token.
            self.upstream.forgive();
            // The one before may still come back in an answer; the one before that cannot.
            if let Some(old) = sent.before.take() {
                mask.forget([old.expose_secret()]);
            }
            sent.before = sent.token.replace(value);
        }
        (sent.version, sent.made, sent.until, sent.read_in) = (version, made, until, Some(generation));
        drop(sent);
        Ok(self.link(version))
    }

    /// Sends nothing of who asks; for servers that want nothing.
    pub(super) fn bare(&self, generation: i64) -> Link {
        self.sent.lock().read_in = Some(generation);
        self.link(0)
    }

    /// The line is of no use any more: its sessions end, its tokens are forgotten.
    pub(super) async fn close(&self, mask: &Mask) {
        {
            let mut sent = self.sent.lock();
            let tokens = [sent.token.take(), sent.before.take()];
            mask.forget(tokens.iter().flatten().map(ExposeSecret::expose_secret));
        }
        self.authorization.set(None);
        self.upstream.close().await;
    }

    /// Of which connection its token is; `None` for what has none.
    pub(super) fn made(&self) -> Option<Timestamp> {
        self.sent.lock().made
    }

    /// Whether the list that it shows is everybody's in the organisation.
    pub(super) fn is_shared(&self) -> bool {
        self.kind != Kind::User
    }

    pub(super) fn touch(&self) {
        *self.used.lock() = Instant::now();
    }

    pub(super) fn used(&self) -> Instant {
        *self.used.lock()
    }

    fn link(&self, version: i64) -> Link {
        Link { upstream: self.upstream.clone(), loan: Some(super::Loan { kind: self.kind, version, holder: None }) }
    }
}

fn skew() -> i64 {
    i64::try_from(SKEW.as_micros()).unwrap_or(i64::MAX)
}
