//! Requests with a name of their client's (`Idempotency-Key`): done once, answered as often as they come.

use std::time::Duration;

use bailiwick_model::Code;
use bailiwick_store::{Claim, Named, Scope, StoreError, StoreErrorKind};
use tracing::warn;

use super::Operations;
use super::fault::{Done, Fault};

/// A request that has not been answered after this time will not be: its process ended.
const RUNNING_MAX: Duration = Duration::from_secs(60);
/// When a request is said to be worth sending again while the first of its name runs.
const RETRY_SECONDS: u16 = 1;

/// What is to be done about a named request.
#[derive(Debug)]
pub enum Turn {
    /// Do it, then [`Operations::kept`].
    First,
    /// It was done: this was the answer.
    Again {
        /// The status.
        status: u16,
        /// The body.
        response: String,
    },
}

/// Too many names in a day are the caller's doing, not a fault of ours.
fn no_room(fault: StoreError) -> Fault {
    match fault.kind() {
        StoreErrorKind::Full => Fault::new(Code::RateLimited, fault.message().to_owned(), fault.remedy().to_owned()),
        _ => fault.into(),
    }
}

impl Operations {
    /// Takes a named request.
    ///
    /// # Errors
    /// `idempotency_mismatch` when the name stands for something else; `conflict` while the first of its name runs, when nobody knows how
    /// that ended, and when its answer held a secret; `rate_limited` when
    /// as many names are kept as may be.
    pub async fn named(&self, scope: &Scope, named: &Named) -> Done<Turn> {
        match self.store().idempotency().claim(scope, named).await.map_err(no_room)? {
            Claim::Fresh => Ok(Turn::First),
            Claim::Done { status, response: Some(response) } => Ok(Turn::Again { status, response }),
            Claim::Done { response: None, .. } => Err(Fault::new(
                Code::Conflict,
                "this request was done; its answer is not kept: it held a secret, which is shown only once, or was long",
                "look at what it made; if a secret was lost, revoke it and send the request under another `Idempotency-Key`",
            )),
            Claim::Other => Err(Fault::new(
                Code::IdempotencyMismatch,
                "this `Idempotency-Key` was used for another request",
                "choose a fresh key for every request, and the same only to repeat it unchanged",
            )),
            Claim::Running(since) if self.now().since(since) < RUNNING_MAX => {
                let fault =
                    Fault::new(Code::Conflict, "the first request of this `Idempotency-Key` is still running", "send it again in a moment");
                Err(Fault { retry_after: Some(RETRY_SECONDS), ..fault })
            }
            Claim::Running(_) => Err(Fault::new(
                Code::Conflict,
                "nobody knows how the first request of this `Idempotency-Key` ended",
                "look whether it had its effect; if not, send it under another key",
            )),
        }
    }

    /// Keeps the answer of a request that was done: `Some` with its status and, unless it held a secret, its body. `None` gives its name
    /// free, because it had no effect.
    pub async fn kept(&self, scope: &Scope, named: &Named, answer: Option<(u16, Option<&str>)>) {
        let kept = self.store().idempotency();
        let done = match answer {
            Some((status, response)) => kept.settle(scope, named, status, response).await,
            None => kept.release(scope, named).await,
        };
        // The deed is done; repeating the request is refused until its name is forgotten.
        if let Err(cause) = done {
            warn!(target: "ops", event = "answer_not_kept", %cause, "the answer of a named request is not kept");
        }
    }
}
