//! What an operator changes from the command line, recorded like a call: an intent before the effect, the outcome after it.
//! Without a record nothing is changed (reference, security section 5).

use std::future::Future;
use std::sync::Arc;

use bailiwick_model::time::{Clock, Random};
use bailiwick_model::{EventId, OrgId};
use bailiwick_store::event::{Actor, EventKind, EventRow};
use bailiwick_store::ledger::{Durability, Entry, Ledger, Span};
use bailiwick_store::{PlatformScope, Store, StoreError};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};

/// The store in an operator's hands, with the ledger beside it.
pub(crate) struct Operator {
    pub(crate) store: Store,
    pub(crate) scope: PlatformScope,
    pub(crate) ledger: Ledger,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

/// One change.
#[derive(Clone, Copy)]
pub(crate) struct Deed<'a> {
    pub(crate) kind: EventKind,
    /// The operation as written, e.g. `key revoke`.
    pub(crate) operation: &'static str,
    /// The organisation it concerns; `None` for the platform.
    pub(crate) org: Option<&'a OrgId>,
    /// What it is done to: a name or an id, never a value.
    pub(crate) subject: &'a str,
}

impl Operator {
    /// Does `effect` between its two records and gives its result.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] when the intent cannot be recorded (nothing was done then), or what `effect` gives. Both name the event.
    pub(crate) async fn record<T>(&self, deed: Deed<'_>, effect: impl Future<Output = Result<T, StoreError>>) -> Result<T, Failure> {
        let event = EventId::random(self.random.as_ref());
        let began = self.clock.now();
        let intent = Entry {
            bytes: self.bytes(deed, &json!({"at": began.as_micros()})),
            durability: Durability::Power,
            span: Span::Intent(event),
            row: None,
        };
        self.ledger.append(intent).await.map_err(|fault| {
            let failure = Failure::new(Exit::Unavailable, format!("{fault}; nothing was changed"));
            failure.hint("look at the disk and the permissions of the state directory").event(event)
        })?;
        let done = effect.await;
        let code = done.as_ref().err().map(|fault| format!("{:?}", fault.kind()).to_lowercase());
        let status = if code.is_none() { "ok" } else { "failed" };
        let took = self.clock.now().since(began);
        let row = EventRow {
            tool: Some(deed.operation.into()),
            server: Some(deed.subject.into()),
            decision: Some(status.into()),
            code: code.clone().map(Into::into),
            ok: code.is_none(),
            duration_ms: u32::try_from(took.as_millis()).ok(),
            ..EventRow::new(event, began, deed.kind, self.actor(deed.org))
        };
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bytes = self.bytes(deed, &json!({"status": status, "code": code, "us": us}));
        let outcome = Entry { bytes, durability: Durability::Power, span: Span::Outcome(event), row: Some(Box::new(row)) };
        // The deed is done: what is missing now is found at the next start and closed as indeterminate.
        if let Err(fault) = self.ledger.append(outcome).await {
            eprintln!("warning: it is done, but its outcome is not recorded: {fault}");
        }
        done.map_err(|fault| Failure::from(fault).event(event))
    }

    fn actor(&self, org: Option<&OrgId>) -> Actor {
        Actor::Operator { org: org.cloned(), name: self.scope.actor().into() }
    }

    fn bytes(&self, deed: Deed<'_>, more: &Value) -> Vec<u8> {
        let mut body = json!({
            "kind": deed.kind.as_str(), "operator": self.scope.actor(), "org": deed.org.map(OrgId::as_str),
            "tool": deed.operation, "source": deed.subject,
        });
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more.clone());
            body.retain(|_, value| !value.is_null());
        }
        body.to_string().into_bytes()
    }

    /// Writes what is recorded and closes both.
    ///
    /// # Errors
    /// When the ledger cannot be made durable.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        let closed = self.ledger.close().await;
        self.store.close().await;
        closed.map_err(|fault| Failure::new(Exit::Unavailable, fault.to_string()))
    }
}
