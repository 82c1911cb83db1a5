//! The path of a call (a tool, a prompt, a resource), top to bottom: one stage a line, one file a stage (design section 3).
//!
//! Each stage takes the value that proves the stage before and gives the next. The fields of these values are private to
//! the file that makes them, so that leaving out a stage does not compile. Stages 1 to 3 stand in [`crate::exchange`]
//! (HTTP) and [`crate::peer`] (stdio), where a message becomes a [`decode::Call`]; stage 14 gives the bytes back.

pub(crate) mod admit;
pub(crate) mod ask_back;
pub(crate) mod authenticate;
mod binary;
pub(crate) mod clear;
pub(crate) mod confine;
pub(crate) mod decode;
pub(crate) mod dispatch;
pub(crate) mod encode;
pub(crate) mod inspect;
pub(crate) mod permit;
pub(crate) mod receive;
pub(crate) mod record;
mod record_values;
pub(crate) mod refused;
pub(crate) mod resolve;
mod resume;
pub(crate) mod screen;
mod sign_in;
pub(crate) mod task;

use crate::gateway::Gateway;
use crate::house::attribute;
use encode::Answer;
use refused::Refused;

/// Takes one call from the decoded request to its answer. Never fails: a refusal is an answer too, and is recorded.
pub(crate) async fn call(gateway: &Gateway, request: decode::Call) -> Answer {
    // A stop waits for whoever is in here.
    let _running = gateway.enter_call();
    match path(gateway, request).await {
        Ok(answer) => answer,
        Err(refused) => record::refuse(gateway, refused).await,
    }
}

async fn path(gateway: &Gateway, request: decode::Call) -> Result<Answer, Refused> {
    let call = attribute(gateway, request).await?; //             the run it belongs to
    let call = resolve::resolve(call).await?; //                  name -> tool, in this agent's view
    let call = permit::permit(call)?; //                          manifest, mode, lists: the function that lists
    let call = confine::confine(call).await?; //                  arguments: schema, then the agent's resources
    let call = admit::admit(gateway, call).await?; //                  rate, concurrency
    let call = screen::screen(call).await?; //                    content rules of the manifest
    let call = clear::clear(gateway, call)?; //                   what needs a person or a flow rule
    let call = record::intend(gateway, call).await?; //           on the ledger before any effect
    let reply = dispatch::dispatch(gateway, call).await; //       the only way to a module or server
    let reply = inspect::inspect(gateway, reply).await; //        size, declared output, secrets, content rules
    record::conclude(gateway, reply).await //                     on the ledger before the answer leaves
}
