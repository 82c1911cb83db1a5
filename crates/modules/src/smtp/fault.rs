//! What a reply that refuses means for the agent.

use bailiwick_model::Code;
use serde_json::json;

use super::wire::Reply;
use crate::fault::ToolFault;
use crate::service::shown;
use crate::withheld::Withheld;

/// Authentication needed, too weak, or only over TLS (RFC 4954, section 6).
const AUTH_CODES: [u16; 3] = [530, 534, 538];

/// The reply to an authentication. Its words are not shown: they may repeat what was sent.
pub(super) fn login(reply: &Reply) -> ToolFault {
    let mut fault = if reply.code < 500 {
        ToolFault::new(Code::UpstreamError, said("the mail server cannot check the gateway's login now", reply), "try again later")
    } else {
        ToolFault::new(Code::UpstreamAuth, said("the mail server refused the gateway's login", reply), "ask the operator to renew it")
    };
    fault.details = Some(json!({ "status": reply.code }));
    fault
}

/// The reply to anything else; `what` was refused.
pub(super) fn refused(what: &str, reply: &Reply, withheld: &Withheld) -> ToolFault {
    let mut fault = if AUTH_CODES.contains(&reply.code) {
        ToolFault::new(Code::UpstreamAuth, said("the mail server wants another login", reply), "ask the operator to look at the login")
    } else if reply.code < 500 {
        ToolFault::new(Code::UpstreamError, said(&format!("the mail server did not take {what} now"), reply), "try again later")
    } else {
        ToolFault::new(
            Code::UpstreamError,
            said(&format!("the mail server refused {what}"), reply),
            "read `details.body`, then change the mail or ask the operator",
        )
    };
    fault.details = Some(json!({ "status": reply.code, "body": shown(&withheld.clean(&reply.lines.join(" "))) }));
    fault
}

/// The server offers no TLS although it must.
pub(super) fn no_tls() -> ToolFault {
    ToolFault::new(
        Code::UpstreamAuth,
        "the mail server offers no TLS, so nothing was sent to it",
        "ask the operator to look at the mail server",
    )
}

/// The server knows no way of authentication that we know.
pub(super) fn no_mechanism() -> ToolFault {
    ToolFault::new(
        Code::UpstreamAuth,
        "the mail server offers neither PLAIN nor LOGIN, so nothing was sent to it",
        "ask the operator to look at the mail server",
    )
}

fn said(what: &str, reply: &Reply) -> String {
    format!("{what} (status {})", reply.code)
}
