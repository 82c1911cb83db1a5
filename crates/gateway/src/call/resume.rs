//! State of a call that waits for input: the server's own, sealed inside ours, which only the same caller can bring back, for the same
//! call, for some minutes (protocol reference 2.8 and 5.4).

use bailiwick_mcp::{Json, WireError, error};
use bailiwick_model::Timestamp;
use bailiwick_model::time::Random;
use serde::{Deserialize, Serialize};

use super::decode::Story;
use super::sign_in;
use crate::catalog::Tool;

/// How long a person may take.
const LIFE_MICROS: i64 = 10 * 60 * 1_000_000;
const STATE: &str = "requestState";
const RESPONSES: &str = "inputResponses";

#[derive(Serialize, Deserialize)]
struct Sealed {
    /// The server's state.
    inner: Json,
    expires: i64,
    /// The question was ours: whether somebody signs in. The server knows nothing of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sign_in: bool,
}

/// Puts the server's state in place of ours. Answers without a state of ours pass as they are: there is nothing in them to believe.
///
/// # Errors
/// `-32602` for a state that was not given out for this caller and this call, or is too old.
pub(super) fn open(story: &mut Story, tool: &Tool) -> Result<(), WireError> {
    let Some(at) = story.params.iter().position(|(name, _)| *name == STATE) else { return Ok(()) };
    let refused =
        || WireError::new(error::INVALID_PARAMS, "Invalid params: `requestState` is not valid for this call; call again without it");
    let key = story.caller.bailiwick().audit_key();
    let state = story.params.get(at).and_then(|(_, state)| state.string());
    let content = state.and_then(|state| key.open_handle(&purpose(story, tool), &state)).ok_or_else(refused)?;
    let sealed: Sealed = serde_json::from_slice(&content).map_err(|_| refused())?;
    if sealed.expires < story.at.as_micros() {
        return Err(refused());
    }
    if sealed.sign_in {
        story.declined = !accepted(story);
        story.params.retain(|(name, _)| *name != STATE && *name != RESPONSES);
    } else {
        story.params[at].1 = sealed.inner;
    }
    Ok(())
}

/// The result with the server's state sealed; `None` when the state is too large to be given to anybody.
pub(super) fn seal(story: &Story, tool: &Tool, result: &Json, now: Timestamp, random: &dyn Random) -> Option<Json> {
    let Some(inner) = result.member(STATE).filter(|state| !state.is_null()) else { return Some(result.clone()) };
    let sealed = Sealed { inner, expires: now.as_micros() + LIFE_MICROS, sign_in: false };
    let handle = story.caller.bailiwick().audit_key().seal_handle(&purpose(story, tool), &serde_json::to_vec(&sealed).ok()?, random)?;
    Some(result.edit(&[], &[(STATE, &Json::from_text(&handle))]))
}

/// The state of our own question whether somebody signs in.
pub(super) fn seal_sign_in(story: &Story, tool: &Tool, now: Timestamp, random: &dyn Random) -> Json {
    let sealed = Sealed { inner: Json::from_static("null"), expires: now.as_micros() + LIFE_MICROS, sign_in: true };
    let sealed = serde_json::to_vec(&sealed).unwrap_or_default();
    let handle = story.caller.bailiwick().audit_key().seal_handle(&purpose(story, tool), &sealed, random);
    // So little always fits.
    Json::from_text(&handle.unwrap_or_default())
}

/// Whether the person behind the client went where the question sent him.
fn accepted(story: &Story) -> bool {
    let responses = story.params.iter().find(|(name, _)| *name == RESPONSES);
    let answer = responses.and_then(|(_, responses)| responses.member(sign_in::QUESTION));
    answer.is_some_and(|answer| answer.text_of("action").as_deref() == Some("accept"))
}

/// What the state is bound to: caller, method, name and arguments, and the server that gave it.
fn purpose(story: &Story, tool: &Tool) -> Vec<u8> {
    let scope = story.caller.scope();
    let key = story.caller.bailiwick().audit_key();
    let (org, agent, kind) = (scope.org().as_str(), scope.agent_id().as_str(), scope.agent_type().as_str());
    let server = story.lens.as_ref().map_or("", |server| server.as_str());
    let (source, own) = (tool.source(), tool.original());
    let mut purpose =
        format!("state\0{org}\0{kind}\0{agent}\0{}\0{server}\0{source}\0{own}\0{}\0", story.subject.method(), story.name).into_bytes();
    purpose.extend_from_slice(&key.digest(story.arguments.bytes()));
    purpose
}
