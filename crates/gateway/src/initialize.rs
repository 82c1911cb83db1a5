//! `initialize` of the older revisions (protocol reference 3.1).

use bailiwick_mcp::{Era, Json, Revision, RpcError, error};
use serde_json::{Value, json};

use crate::asked::Asked;
use crate::call::encode::Answer;
use crate::discover::capabilities;
use crate::gateway::Gateway;
use crate::house::server_instructions;
use crate::product::SERVER_INFO;

/// The revision agreed on: the requested one if it is served, else our newest older one.
pub(crate) fn negotiate(params: Option<&Json>) -> Option<Revision> {
    let requested = params?.member("protocolVersion")?;
    let requested = requested.string()?;
    Some(Revision::parse(&requested).filter(|r| Revision::LEGACY.contains(r)).unwrap_or(Revision::LEGACY[0]))
}

/// The result. What the client says of itself is not looked at.
pub(crate) async fn answer(gateway: &Gateway, asked: &Asked) -> Answer {
    let Some(revision) = asked.revision else {
        let fault = RpcError::new(error::INVALID_PARAMS, "`params.protocolVersion` must be a string");
        return Answer::error(asked.id.clone(), Era::Legacy, fault);
    };
    let view = asked.caller.bailiwick().view(&asked.lens).await;
    let info: Value = serde_json::from_str(SERVER_INFO).unwrap_or_default();
    let mut result = json!({
        "protocolVersion": revision.as_str(),
        "capabilities": capabilities(&view),
        "serverInfo": info,
    });
    if asked.lens.is_none()
        && let Some(text) = server_instructions(gateway.house(), &view)
    {
        result["instructions"] = json!(text);
    }
    Answer::rendered(asked.id.clone(), Era::Legacy, Json::from_serialize(&result).unwrap_or_else(|_| Json::from_static("{}")))
}
