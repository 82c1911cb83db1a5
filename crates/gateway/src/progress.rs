//! Progress on its way back: the token is the caller's again.

use bailiwick_mcp::client::Event;
use bailiwick_mcp::{Frame, Json, encode};

/// The notification for a caller who gave `token`; `None` for events that are not for callers.
pub(crate) fn notification(event: Event, token: Option<&Json>) -> Option<Frame> {
    match (event, token) {
        (Event::Progress(params), Some(token)) => {
            let params = params.edit(&[], &[("progressToken", token)]);
            Some(encode::notification("notifications/progress", Some(&params)))
        }
        _ => None,
    }
}
