//! A call that needs a person to sign in at the server first: the link goes to the agent in the form that its client can handle, and the
//! same call succeeds once the person has connected (protocol reference 2.8 and 3.1; governance reference 5.5).
//!
//! | Client | Form |
//! |---|---|
//! | 2026-07-28 that can show addresses | a result that asks: elicitation of mode `url` |
//! | 2025-11-25 that can show addresses | the error `-32042` with the same |
//! | any other | a tool error with the link in its text and details |

use bailiwick_mcp::{Json, RpcError, encode, error, method};
use bailiwick_model::Code;
use serde_json::json;

use super::ask_back::can_answer;
use super::decode::Story;
use super::inspect::Ending;
use super::resume;
use crate::catalog::Tool;
use crate::connections::Need;
use crate::gateway::Gateway;
use crate::refusal::Refusal;

/// The name of our question among a result's `inputRequests`.
pub(super) const QUESTION: &str = "sign_in";

/// How the call ends.
pub(super) fn ending(gateway: &Gateway, story: &Story, tool: &Tool, need: &Need) -> Ending {
    let Some(link) = need.link.as_deref().filter(|_| !story.declined) else { return Ending::Refused(refusal(story, need)) };
    let message = format!("Sign in at `{}` so that this call can be made for you.", need.server);
    let asked = json!({"mode": "url", "url": link, "message": message, "elicitationId": need.id});
    let Ok(asked) = Json::from_serialize(&asked) else { return Ending::Refused(refusal(story, need)) };
    let shows = |capabilities: &Json| can_answer(capabilities, method::ELICITATION, Some(&asked)).is_ok();
    if story.capabilities.as_ref().is_some_and(shows) {
        let question = encode::object(&[("method", &Json::from_static(r#""elicitation/create""#)), ("params", &asked)]);
        let requests = encode::object(&[(QUESTION, &question)]);
        let state = resume::seal_sign_in(story, tool, gateway.now(), gateway.random());
        let members = [("resultType", &Json::from_static(r#""input_required""#)), ("inputRequests", &requests), ("requestState", &state)];
        return Ending::Input(encode::object(&members));
    }
    if story.askable.as_ref().is_some_and(|askable| shows(&askable.capabilities)) {
        let data = format!(r#"{{"elicitations":[{}]}}"#, asked.as_str());
        let data = Json::check(data.into(), &bailiwick_mcp::Limits::RESULT).unwrap_or_else(|_| Json::from_static("{}"));
        return Ending::Error(RpcError::new(error::URL_ELICITATION_REQUIRED, message).with_data(data));
    }
    Ending::Refused(refusal(story, need))
}

/// The same for clients that can show no address, and where no link may be given.
fn refusal(story: &Story, need: &Need) -> Refusal {
    let server = &need.server;
    let (message, remedy) = match &need.link {
        _ if story.declined => {
            (format!("nobody signed in at server `{server}`"), "use another tool, or call again to be asked again".into())
        }
        Some(link) => (
            format!("server `{server}` wants a person to sign in first"),
            format!("show this link to the person you work for, and call again afterwards: {link}"),
        ),
        None => (
            format!("the organisation has no connection to server `{server}`"),
            format!("ask an administrator: `bailiwick server connect {server}`"),
        ),
    };
    let details = json!({"server": server.as_str(), "url": need.link, "elicitation_id": need.id, "may_have_run": false});
    Refusal::new(Code::NeedsAuthorization, message, remedy).with_details(details).because(need.why)
}
