//! What a server says besides answers, the same over every transport.

use tokio::sync::{mpsc, watch};

use super::ask::Event;
use super::compose::Parts;
use crate::encode;
use crate::error::RpcError;
use crate::json::Json;
use crate::message::{Notification, Request};

/// A notification, sorted.
#[derive(Debug)]
pub(crate) enum Notice {
    /// Progress of the request whose id is the token.
    Progress(u64, Event),
    /// The tools have changed.
    ToolsChanged,
    /// A log message; over HTTP it belongs to the request on whose stream it came.
    Log(Event),
    /// Nothing that concerns us.
    Other,
}

pub(crate) fn sort(notification: Notification) -> Notice {
    match (&*notification.method, notification.params) {
        ("notifications/progress", Some(params)) => match params.member("progressToken").and_then(|token| token.unsigned()) {
            Some(token) => Notice::Progress(token, Event::Progress(params.edit(&["progressToken"], &[]))),
            None => Notice::Other,
        },
        ("notifications/message", Some(params)) => Notice::Log(Event::Log(params)),
        ("notifications/tools/list_changed", _) => Notice::ToolsChanged,
        _ => Notice::Other,
    }
}

/// Passes an event on if there is room: whoever does not keep up misses some, and nobody waits for him.
pub(crate) fn pass_on(events: Option<&mpsc::Sender<Event>>, event: Event) {
    if let Some(events) = events {
        let _ = events.try_send(event);
    }
}

pub(crate) fn count(changes: &watch::Sender<u64>) {
    changes.send_modify(|count| *count = count.wrapping_add(1));
}

/// Our answer to a server's own request: we are here, and can do nothing else for it.
pub(crate) fn respond(request: &Request) -> Parts {
    let frame = if request.method == "ping" {
        encode::result(&request.id, &Json::from_static("{}"))
    } else {
        encode::error(Some(&request.id), &RpcError::method_not_found())
    };
    frame.to_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Id;

    fn notification(method: &'static str, params: Option<&'static str>) -> Notice {
        sort(Notification { method: method.into(), params: params.map(Json::from_static) })
    }

    #[test]
    fn progress_loses_its_token_and_nothing_else() {
        let Notice::Progress(7, Event::Progress(params)) =
            notification("notifications/progress", Some(r#"{"progressToken":7,"progress":1,"own":{"x":1.0}}"#))
        else {
            panic!("not sorted as progress")
        };
        assert_eq!(params.as_str(), r#"{"progress":1,"own":{"x":1.0}}"#);
        for odd in [r#"{"progress":1}"#, r#"{"progressToken":"7"}"#, r#"{"progressToken":-1}"#] {
            assert!(matches!(notification("notifications/progress", Some(odd)), Notice::Other), "{odd}");
        }
        assert!(matches!(notification("notifications/progress", None), Notice::Other));
    }

    #[test]
    fn only_a_ping_gets_a_result() {
        let answer = |method: &'static str| {
            let request = Request { id: Id::Text("a\"b".into()), method: method.into(), params: None };
            String::from_utf8(respond(&request).0.concat()).unwrap()
        };
        assert_eq!(answer("ping"), r#"{"jsonrpc":"2.0","id":"a\"b","result":{}}"#);
        for method in ["roots/list", "sampling/createMessage", "elicitation/create", "no/such"] {
            assert!(answer(method).contains(r#""code":-32601"#), "{method}");
        }
    }
}
