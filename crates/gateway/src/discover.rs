//! `server/discover` (protocol reference 2.5): what this endpoint speaks and offers.

use bailiwick_mcp::{Era, Json, Revision};
use serde_json::{Value, json};

use crate::asked::Asked;
use crate::call::encode::Answer;
use crate::call::task::EXTENSION;
use crate::catalog::View;
use crate::gateway::Gateway;
use crate::house::server_instructions;
use crate::product::SERVER_INFO_META;

/// How long a client may keep the answer. What is offered follows policy and servers, which may change at any time.
const DISCOVER_TTL_MS: u32 = 0;

/// The result, in the dress of 2026-07-28.
pub(crate) async fn answer(gateway: &Gateway, asked: Asked) -> Answer {
    let view = asked.caller.bailiwick().view(&asked.lens).await;
    let versions: Vec<&str> = Revision::SERVED.iter().map(|r| r.as_str()).collect();
    let meta: Value = serde_json::from_str(SERVER_INFO_META).unwrap_or_default();
    let mut result = json!({
        "resultType": "complete",
        "supportedVersions": versions,
        "capabilities": modern_capabilities(&view),
        "ttlMs": DISCOVER_TTL_MS,
        "cacheScope": "private",
        "_meta": meta,
    });
    if asked.lens.is_none()
        && let Some(text) = server_instructions(gateway.house(), &view)
    {
        result["instructions"] = json!(text);
    }
    Answer::rendered(asked.id, Era::Modern, Json::from_serialize(&result).unwrap_or_else(|_| Json::from_static("{}")))
}

fn modern_capabilities(view: &View) -> Value {
    let mut capabilities = capabilities(view);
    if view.extends(EXTENSION) {
        capabilities["extensions"] = json!({EXTENSION: {}});
    }
    capabilities
}

/// What the endpoint can do for this agent: tools always, the rest when one of its servers can.
pub(crate) fn capabilities(view: &View) -> Value {
    let mut capabilities = json!({"tools": {"listChanged": true}});
    if view.announces("prompts") {
        capabilities["prompts"] = json!({"listChanged": true});
    }
    if view.announces("resources") {
        capabilities["resources"] = json!({"listChanged": true, "subscribe": true});
    }
    if view.announces("completions") {
        capabilities["completions"] = json!({});
    }
    if view.announces("logging") {
        capabilities["logging"] = json!({});
    }
    capabilities
}
