//! Operations on the ledger: an intent before the effect, the outcome after it. Without a record nothing is changed (reference, security
//! section 5).

use std::sync::atomic::Ordering;
use std::time::Instant;

use bailiwick_model::{Code, EventId, OrgId};
use bailiwick_store::event::{Actor, EventKind, EventRow};
use bailiwick_store::ledger::{Durability, Entry, Span};
use bailiwick_store::{Scope, StoreError, StoreResult};
use serde_json::{Value, json};
use tracing::warn;

use super::acting::Author;
use super::fault::{Done, Fault};
use super::{Acting, Operations};
use crate::connections::ConnectFault;

/// What is done.
#[derive(Clone, Copy, Debug)]
pub struct Deed<'a> {
    /// The kind of its rows.
    pub kind: EventKind,
    /// The operation as the command line writes it, e.g. `key revoke`.
    pub operation: &'static str,
    /// What it is done to: a name or an id, never a value.
    pub subject: &'a str,
    /// Why, where somebody had to say so.
    pub reason: Option<&'a str>,
}

impl<'a> Deed<'a> {
    /// A deed that needs no reason.
    #[must_use]
    pub const fn new(kind: EventKind, operation: &'static str, subject: &'a str) -> Self {
        Self { kind, operation, subject, reason: None }
    }

    /// The same with what was given as its reason.
    #[must_use]
    pub const fn because(self, reason: &'a str) -> Self {
        Self { reason: Some(reason), ..self }
    }
}

/// A failure that the ledger has a word for.
pub(super) trait Failed: Into<Fault> {
    /// The word.
    fn word(&self) -> String;
}

impl Failed for StoreError {
    fn word(&self) -> String {
        format!("{:?}", self.kind()).to_lowercase()
    }
}

impl Failed for ConnectFault {
    fn word(&self) -> String {
        self.code.to_string()
    }
}

impl Operations {
    /// Does `effect` between its two records and gives its result.
    ///
    /// # Errors
    /// `audit_unavailable` when the intent cannot be recorded (nothing was done then), or what `effect` gives. Both name the event.
    pub(super) async fn record<T>(&self, author: &Author, deed: Deed<'_>, effect: impl Future<Output = StoreResult<T>>) -> Done<T> {
        self.record_any(author, deed, effect).await
    }

    /// The same for an effect that fails in a way of its own.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub(super) async fn record_any<T, E: Failed>(
        &self,
        author: &Author,
        deed: Deed<'_>,
        effect: impl Future<Output = Result<T, E>>,
    ) -> Done<T> {
        let event = EventId::random(self.random());
        let began = self.now();
        let intent = Entry {
            bytes: bytes(author, deed, &json!({"at": began.as_micros()})),
            durability: Durability::Power,
            span: Span::Intent(event),
            row: None,
        };
        self.ledger()?.append(intent).await.map_err(|cause| unrecorded(&cause).event(event))?;
        let done = effect.await;
        let code = done.as_ref().err().map(Failed::word);
        let status = if code.is_none() { "ok" } else { "failed" };
        let took = self.now().since(began);
        let row = EventRow {
            tool: Some(deed.operation.into()),
            server: Some(deed.subject.into()),
            decision: Some(status.into()),
            code: code.clone().map(Into::into),
            ok: code.is_none(),
            note: deed.reason.map(|reason| reason.to_owned().into()),
            duration_ms: u32::try_from(took.as_millis()).ok(),
            ..EventRow::new(event, began, deed.kind, author.actor.clone())
        };
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let outcome = Entry {
            bytes: bytes(author, deed, &json!({"status": status, "code": code, "us": us})),
            durability: Durability::Power,
            span: Span::Outcome(event),
            row: Some(Box::new(row)),
        };
        // The deed is done: what is missing now is found at the next start and closed as indeterminate.
        if let Err(cause) = self.ledger()?.append(outcome).await {
            self.0.unrecorded.fetch_add(1, Ordering::Relaxed);
            warn!(target: "ops", event = "outcome_unrecorded", %cause, operation = deed.operation, "it is done, but its outcome is not recorded");
        }
        done.map_err(|fault| fault.into().event(event))
    }

    /// Does `effect` for the operator at the machine and records it: for commands that have no place in the API.
    ///
    /// # Errors
    /// `forbidden` for anybody else; otherwise as the ledger and `effect` give them.
    pub async fn record_locally<T>(&self, acting: &Acting, deed: Deed<'_>, effect: impl Future<Output = StoreResult<T>>) -> Done<T> {
        let platform = self.platform(acting, deed.operation)?;
        self.record(platform.author(), deed, effect).await
    }

    /// Records that somebody from above an organisation looks into it.
    pub(super) async fn note_reading(&self, author: &Author, deed: Deed<'_>) -> Done<()> {
        // The operator at the machine may read the file of the database without us.
        if author.local {
            return Ok(());
        }
        let (event, now) = (EventId::fresh(self.now(), self.random()), self.now());
        let row = EventRow {
            tool: Some(deed.operation.into()),
            server: Some(deed.subject.into()),
            decision: Some("ok".into()),
            ..EventRow::new(event, now, deed.kind, author.actor.clone())
        };
        let bytes = bytes(author, deed, &json!({"at": now.as_micros(), "status": "ok"}));
        let entry = Entry { bytes, durability: Durability::Process, span: Span::Event(event), row: Some(Box::new(row)) };
        self.ledger()?.append(entry).await.map(drop).map_err(|cause| unrecorded(&cause))
    }

    /// Records a refusal, unless there were too many in this second. The answer does not wait for it.
    pub(super) fn note_refusal(&self, scope: &Scope, operation: &'static str) -> Option<EventId> {
        if !self.counts_refusal(scope.org(), Instant::now()) {
            return None;
        }
        let (event, now) = (EventId::fresh(self.now(), self.random()), self.now());
        let author = Author { actor: Actor::Agent(scope.clone()), name: bailiwick_store::Tenant::actor(scope).into(), local: false };
        let deed = Deed::new(EventKind::Policy, operation, scope.org().as_str());
        let row = EventRow {
            tool: Some(operation.into()),
            server: Some(deed.subject.into()),
            decision: Some("refused".into()),
            ..EventRow::new(event, now, deed.kind, author.actor.clone()).failed(Code::Forbidden)
        };
        let bytes = bytes(&author, deed, &json!({"at": now.as_micros(), "status": "refused", "code": Code::Forbidden}));
        let entry = Entry { bytes, durability: Durability::Process, span: Span::Event(event), row: Some(Box::new(row)) };
        let append = self.ledger().ok()?.append(entry);
        tokio::spawn(async move {
            if let Err(cause) = append.await {
                warn!(%cause, "a refused operation is not on the ledger");
            }
        });
        Some(event)
    }
}

fn unrecorded(cause: &dyn std::fmt::Display) -> Fault {
    let fault = Fault::new(
        Code::AuditUnavailable,
        format!("{cause}; nothing was changed"),
        "look at the disk and the permissions of the state directory",
    );
    Fault { retry_after: Some(1), ..fault }
}

fn bytes(author: &Author, deed: Deed<'_>, more: &Value) -> Vec<u8> {
    let mut body = json!({
        "kind": deed.kind.as_str(), "operator": author.name, "org": author.actor.org().map(OrgId::as_str),
        "tool": deed.operation, "source": deed.subject, "reason": deed.reason,
    });
    if let Actor::Agent(scope) = &author.actor {
        let principal = scope.principal();
        body["agent"] = json!(principal.agent_id);
        body["key"] = json!(principal.key_id.map(|key| key.to_string()));
    }
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more.clone());
        body.retain(|_, value| !value.is_null());
    }
    body.to_string().into_bytes()
}
