//! The manifest's filters over arguments and results (reference, tool modules section 10; limits: security section 14).
//!
//! A rule that blocks comes before one that warns. Who is refused never learns which rule it was: trying out would tell him how the rules
//! read. Names of rules go to the ledger and the call log; values go nowhere.

mod arguments;
mod budget;
mod forms;
mod results;
mod rewrite;
mod treatment;

use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::Code;
use bailiwick_model::config::Limits;
use bailiwick_model::manifest::Manifest;

pub(crate) use budget::Crossed;
pub(crate) use forms::MatchedOn;
pub(crate) use results::Rules as ResultRules;
pub(crate) use treatment::Layout;

use crate::refusal::Refusal;

/// Larger values are looked at on a thread that may block.
const INLINE_BYTES_MAX: usize = 64 << 10;
/// Longest name of a field that is recorded.
const FIELD_BYTES_MAX: usize = 64;

/// What a rule found; the value itself is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// The event's name in the call log, such as `argument_filter_blocked`.
    pub(crate) event: &'static str,
    /// The name of the rule.
    pub(crate) filter: Arc<str>,
    /// The argument, `*` when its own name matched; `None` for results.
    pub(crate) field: Option<Box<str>>,
    /// In which form; `None` for results.
    pub(crate) matched_on: Option<MatchedOn>,
}

/// Why something is not passed on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A rule blocks it.
    Blocked(Hit),
    /// Looking at it would cost too much.
    Crossed(Crossed),
}

impl From<Crossed> for Stop {
    fn from(crossed: Crossed) -> Self {
        Self::Crossed(crossed)
    }
}

/// What one look may cost.
#[derive(Clone, Copy)]
struct Cost {
    decoded_bytes_max: usize,
    time: Duration,
}

impl Cost {
    fn new(milliseconds: u64, bytes: u64) -> Self {
        Self { decoded_bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX), time: Duration::from_millis(milliseconds) }
    }

    fn budget(self) -> budget::Budget {
        budget::Budget::new(self.decoded_bytes_max, self.time, budget::processor_time)
    }
}

/// The rules of one manifest.
pub(crate) struct Filters {
    arguments: arguments::Rules,
    results: results::Rules,
}

impl Filters {
    pub(crate) fn of(manifest: &Manifest, limits: &Limits) -> Arc<Self> {
        let for_arguments = Cost::new(limits.argument_filter_milliseconds, limits.argument_filter_decoded_bytes_max);
        let for_results = Cost::new(limits.response_filter_milliseconds, limits.response_filter_decoded_bytes_max);
        Arc::new(Self {
            arguments: arguments::Rules::of(&manifest.argument_filters, for_arguments),
            results: results::Rules::of(&manifest.response_filters, for_results),
        })
    }

    pub(crate) fn arguments(&self) -> &arguments::Rules {
        &self.arguments
    }

    pub(crate) fn results(&self) -> &results::Rules {
        &self.results
    }
}

/// Runs a look at `bytes` of text where it disturbs nobody.
async fn look<T: Send + 'static>(bytes: usize, look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if bytes <= INLINE_BYTES_MAX {
        return Some(look());
    }
    tokio::task::spawn_blocking(look).await.ok()
}

/// What the agent is told when arguments are stopped.
pub(crate) fn arguments_refused(stop: &Stop) -> Refusal {
    match stop {
        Stop::Blocked(hit) => {
            let refusal = Refusal::new(
                Code::PolicyBlocked,
                "a content rule of the operator stops this call",
                "do not send this content in any form; ask the operator if you believe that it must be sent",
            );
            let (field, on) = (hit.field.as_deref().unwrap_or("*"), hit.matched_on.map_or("raw", MatchedOn::as_str));
            refusal.because(format!("argument filter `{}` matched in `{field}` ({on})", hit.filter))
        }
        Stop::Crossed(crossed) => Refusal::new(
            Code::LimitExceeded,
            "the arguments cannot be checked against the content rules within the limits",
            "send less at once, or not encoded",
        )
        .because(match crossed {
            Crossed::Bytes => "decoded forms are larger than `limits.argument_filter_decoded_bytes_max`",
            Crossed::Time => "the filters took longer than `limits.argument_filter_milliseconds`",
        }),
    }
}

/// What the agent is told when a result is held back. The deed is done.
pub(crate) fn result_refused(stop: &Stop) -> Refusal {
    match stop {
        Stop::Blocked(hit) => Refusal::new(
            Code::PolicyBlocked,
            "the call was made, but a content rule of the operator holds its result back",
            "do not repeat a call that changes something; ask for other data",
        )
        .because(format!("response filter `{}` matched", hit.filter)),
        Stop::Crossed(crossed) => Refusal::new(
            Code::LimitExceeded,
            "the call was made, but its result cannot be checked against the content rules within the limits",
            "do not repeat a call that changes something; ask for a smaller part of the data",
        )
        .because(match crossed {
            Crossed::Bytes => "decoded forms are larger than `limits.response_filter_decoded_bytes_max`",
            Crossed::Time => "the filters took longer than `limits.response_filter_milliseconds`",
        }),
    }
}
