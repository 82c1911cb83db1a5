//! What a server asks while it works on a call: a form or an address for the user, a word of the model, the client's folders.
//!
//! A client is asked only what it has declared that it can answer (protocol reference 2.8). Servers of 2026-07-28 ask in a result, older
//! ones with a request of their own ([`Question`]); clients of 2026-07-28 are told in a result, older ones get a request on the call's
//! stream. One direction is missing: a client of 2026-07-28 before an older server, which would have to wait; that server hears that
//! nobody can be asked.

use std::time::Duration;

use bailiwick_mcp::client::Question;
use bailiwick_mcp::{Json, RpcError, encode, error, method};
use bailiwick_model::Code;
use tokio::sync::mpsc;

use super::decode::Story;
use crate::mask::Mask;
use crate::refusal::Refusal;

/// Times that a server may ask during one call before it has to give a result.
pub(super) const ROUNDS_MAX: usize = 10;
/// Questions in one result.
const QUESTIONS_MAX: usize = 16;

/// Where the questions of one call to an older client go, and what it can be asked.
#[derive(Clone)]
pub(crate) struct Askable {
    pub(crate) questions: mpsc::Sender<Question>,
    pub(crate) capabilities: Json,
}

/// Whether the result is not one yet: the server wants input first.
pub(super) fn wants_input(result: &Json) -> bool {
    result.text_of("resultType").as_deref() == Some("input_required")
}

/// What the client did not declare of that which `result` asks for, as a capabilities object; `None` when it can be asked everything.
///
/// # Errors
/// When the server asks for something that does not exist.
pub(super) fn missing(capabilities: &Json, result: &Json) -> Result<Option<Json>, &'static str> {
    let Some(requests) = result.member("inputRequests") else { return Ok(None) };
    for (at, (_, request)) in requests.members().enumerate() {
        if at >= QUESTIONS_MAX {
            return Err("the server asks too much at once");
        }
        let method = request.text_of("method").ok_or("a question of the server has no method")?;
        if let Err(needed) = can_answer(capabilities, &method, request.member("params").as_ref()) {
            return needed.map(|needed| Some(Json::from_static(needed))).ok_or("the server asks for something that no client can be asked");
        }
    }
    Ok(None)
}

/// Whether a client with these capabilities may be asked; else the capability that it would need, if there is one.
pub(crate) fn can_answer(capabilities: &Json, method: &str, params: Option<&Json>) -> Result<(), Option<&'static str>> {
    let has = |name: &str| capabilities.member(name).is_some_and(|one| one.is_object());
    let (declared, needed) = match method {
        method::ELICITATION => {
            let elicitation = capabilities.member("elicitation").filter(Json::is_object);
            let url = params.and_then(|params| params.text_of("mode").map(|mode| mode == "url")).unwrap_or_default();
            // An empty object means forms only.
            let declared = elicitation.is_some_and(|modes| if url { modes.has("url") } else { modes.has("form") || !modes.has("url") });
            (declared, if url { r#"{"elicitation":{"url":{}}}"# } else { r#"{"elicitation":{}}"# })
        }
        method::SAMPLING => (has("sampling"), r#"{"sampling":{}}"#),
        method::ROOTS_LIST => (has("roots"), r#"{"roots":{}}"#),
        _ => return Err(None),
    };
    if declared { Ok(()) } else { Err(Some(needed)) }
}

/// `-32021` for what the client did not declare.
pub(super) fn not_declared(needed: &Json) -> RpcError {
    let data = encode::object(&[("requiredCapabilities", needed)]);
    RpcError::new(error::MISSING_CAPABILITY, "the tool needs input that this client did not declare it can give").with_data(data)
}

/// Asks an older client everything that a server of 2026-07-28 wants to know, and gives the members of the next request.
///
/// # Errors
/// When the client cannot be asked, did not answer within `limit`, or no longer wants the call.
pub(super) async fn gather(story: &Story, mask: &Mask, result: &Json, limit: Duration) -> Result<Vec<(&'static str, Json)>, Refusal> {
    tokio::select! {
        answers = answers(story, mask, result) => answers,
        () = story.cancel.cancelled() => Err(Refusal::new(Code::Cancelled, "the call was cancelled", "")),
        () = tokio::time::sleep(limit) => Err(cannot_be_asked().because("nobody answered in time")),
    }
}

async fn answers(story: &Story, mask: &Mask, result: &Json) -> Result<Vec<(&'static str, Json)>, Refusal> {
    let Some(askable) = &story.askable else { return Err(cannot_be_asked()) };
    if missing(&askable.capabilities, result).map_err(|rule| cannot_be_asked().because(rule))?.is_some() {
        return Err(cannot_be_asked());
    }
    let mut waiting = Vec::new();
    for (key, request) in result.member("inputRequests").iter().flat_map(Json::members) {
        let method = request.text_of("method").unwrap_or_default();
        let params = request.member("params").map(|params| mask.clean(params)).transpose()?;
        let (question, answer) = Question::new(&method, params);
        askable.questions.send(question).await.map_err(|_| cannot_be_asked())?;
        waiting.push((key.into_owned(), answer));
    }
    let mut answers = Vec::new();
    for (key, answer) in waiting {
        let answer = answer.await.ok().and_then(Result::ok).ok_or_else(cannot_be_asked)?;
        answers.push((key, answer));
    }
    let members: Vec<(&str, &Json)> = answers.iter().map(|(key, answer)| (key.as_str(), answer)).collect();
    let mut params = vec![("inputResponses", encode::object(&members))];
    params.extend(result.member("requestState").filter(|state| !state.is_null()).map(|state| ("requestState", state)));
    Ok(params)
}

/// The clear word across what cannot be bridged.
pub(super) fn cannot_be_asked() -> Refusal {
    Refusal::new(
        Code::InputRequired,
        "the server needs an answer of the user or the model, and this client cannot be asked for it",
        "use a client that declares the capability (elicitation, sampling, roots), or a tool that needs no input",
    )
}
