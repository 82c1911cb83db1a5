//! Stage 14: the answer in the caller's era.

use bailiwick_mcp::{Era, Frame, Id, Json, RpcError, encode, error};

enum Outcome {
    /// A result as the tool gave it.
    Result(Json),
    /// A result that already wears the era's dress.
    Rendered(Json),
    Error(RpcError),
}

/// An answer to one request.
pub(crate) struct Answer {
    id: Id,
    era: Era,
    outcome: Outcome,
}

impl Answer {
    /// A result; `resultType` is added for 2026-07-28 and taken away for older callers.
    pub(crate) fn result(id: Id, era: Era, result: Json) -> Self {
        Self { id, era, outcome: Outcome::Result(result) }
    }

    /// The same for what 2026-07-28 clients may keep for a while: without a word of the server about it, not at all.
    pub(crate) fn cacheable(id: Id, era: Era, result: Json) -> Self {
        let hints = [("ttlMs", "0"), ("cacheScope", "\"private\"")].map(|(name, text)| (name, Json::from_static(text)));
        let missing: Vec<(&str, &Json)> = hints.iter().filter(|(name, _)| !result.has(name)).map(|(name, value)| (*name, value)).collect();
        let incomplete = result.text_of("resultType").is_some_and(|kind| kind != "complete");
        let result = if era == Era::Modern && !incomplete { result.edit(&[], &missing) } else { result };
        Self::result(id, era, result)
    }

    /// A result that is already in the era's dress.
    pub(crate) fn rendered(id: Id, era: Era, result: Json) -> Self {
        Self { id, era, outcome: Outcome::Rendered(result) }
    }

    pub(crate) fn error(id: Id, era: Era, error: RpcError) -> Self {
        Self { id, era, outcome: Outcome::Error(error) }
    }

    /// The HTTP status: errors have one in the 2026-07-28 era, older clients expect 200 (protocol reference 2.9).
    pub(crate) fn status(&self) -> u16 {
        match &self.outcome {
            Outcome::Result(_) | Outcome::Rendered(_) => 200,
            Outcome::Error(fault) => error::http_status(fault.code, self.era),
        }
    }

    /// The bytes.
    pub(crate) fn into_frame(self) -> Frame {
        match &self.outcome {
            Outcome::Result(result) => encode::result_in(&self.id, result, self.era),
            Outcome::Rendered(result) => encode::result(&self.id, result),
            Outcome::Error(fault) => encode::error(Some(&self.id), fault),
        }
    }
}
