//! What a server says besides answers, the same over every transport.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};

use super::ask::Event;
use crate::json::Json;
use crate::message::Notification;

/// Notices that a slow receiver may lag behind before he misses some.
const NOTICES_QUEUED_MAX: usize = 256;
/// Longest URI of a notice; longer ones are nothing that anybody subscribed to.
pub(crate) const URI_BYTES_MAX: usize = 8 << 10;
const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// What changed at a server. Notices are hints, not a log: the same one may come twice, and a receiver that is told of a lag
/// ([`broadcast::error::RecvError::Lagged`]) has to look at everything again.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Another list of tools.
    ToolsChanged,
    /// Another list of prompts.
    PromptsChanged,
    /// Another list of resources or templates.
    ResourcesChanged,
    /// A resource that somebody subscribed to.
    ResourceUpdated {
        /// Which one.
        uri: Arc<str>,
        /// All parameters of the notification, without what belongs to this hop.
        params: Json,
    },
    /// Params of `notifications/elicitation/complete`: what the user was sent to a web page for is done (2025-11-25).
    ElicitationComplete(Json),
    /// The server was opened again, or could not be heard for a while: anything may have changed.
    Reopened,
}

/// Tells everybody who listens. Clones tell the same.
#[derive(Clone, Debug)]
pub(crate) struct Notices(broadcast::Sender<Notice>);

impl Notices {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(NOTICES_QUEUED_MAX))
    }

    /// An error would only say that nobody listens.
    pub(crate) fn tell(&self, notice: Notice) {
        let _ = self.0.send(notice);
    }

    pub(crate) fn receiver(&self) -> broadcast::Receiver<Notice> {
        self.0.subscribe()
    }
}

/// A notification, sorted.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Progress of the request whose id is the token.
    Progress(u64, Event),
    /// A log message; over HTTP it belongs to the request on whose stream it came.
    Log(Event),
    /// For everybody.
    Notice(Notice),
    /// The subscription with this id stands; without an id it is the one on whose stream this came.
    Acknowledged(Option<u64>),
    /// Nothing that concerns us.
    Other,
}

pub(crate) fn sort(notification: Notification) -> Heard {
    match (&*notification.method, notification.params) {
        ("notifications/progress", Some(params)) => match params.member("progressToken").and_then(|token| token.unsigned()) {
            Some(token) => Heard::Progress(token, Event::Progress(params.edit(&["progressToken"], &[]))),
            None => Heard::Other,
        },
        ("notifications/message", Some(params)) => Heard::Log(Event::Log(params)),
        ("notifications/tools/list_changed", _) => Heard::Notice(Notice::ToolsChanged),
        ("notifications/prompts/list_changed", _) => Heard::Notice(Notice::PromptsChanged),
        ("notifications/resources/list_changed", _) => Heard::Notice(Notice::ResourcesChanged),
        ("notifications/resources/updated", Some(params)) => updated(&params),
        ("notifications/elicitation/complete", Some(params)) => Heard::Notice(Notice::ElicitationComplete(params)),
        ("notifications/subscriptions/acknowledged", params) => {
            let meta = params.and_then(|params| params.member("_meta"));
            Heard::Acknowledged(meta.and_then(|meta| meta.member(SUBSCRIPTION_ID)).and_then(|id| id.unsigned()))
        }
        _ => Heard::Other,
    }
}

fn updated(params: &Json) -> Heard {
    match params.text_of("uri").filter(|uri| uri.len() <= URI_BYTES_MAX) {
        Some(uri) => Heard::Notice(Notice::ResourceUpdated { uri: uri.as_ref().into(), params: without_hop(params) }),
        None => Heard::Other,
    }
}

/// The subscription's id is ours and the server's; nobody else knows it.
fn without_hop(params: &Json) -> Json {
    let Some(meta) = params.member("_meta").filter(|meta| meta.has(SUBSCRIPTION_ID)) else { return params.clone() };
    let meta = meta.edit(&[SUBSCRIPTION_ID], &[]);
    if meta.members().next().is_none() { params.edit(&["_meta"], &[]) } else { params.edit(&[], &[("_meta", &meta)]) }
}

/// Passes an event on if there is room: whoever does not keep up misses some, and nobody waits for him.
pub(crate) fn pass_on(events: Option<&mpsc::Sender<Event>>, event: Event) {
    if let Some(events) = events {
        let _ = events.try_send(event);
    }
}

/// What a caller hears of a notice that came on the stream of his own call.
pub(crate) fn as_event(notice: &Notice) -> Option<Event> {
    match notice {
        Notice::ToolsChanged => Some(Event::ToolsChanged),
        Notice::ElicitationComplete(params) => Some(Event::ElicitationComplete(params.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(method: &'static str, params: Option<&'static str>) -> Heard {
        sort(Notification { method: method.into(), params: params.map(Json::from_static) })
    }

    #[test]
    fn progress_loses_its_token_and_nothing_else() {
        let Heard::Progress(7, Event::Progress(params)) =
            notification("notifications/progress", Some(r#"{"progressToken":7,"progress":1,"own":{"x":1.0}}"#))
        else {
            panic!("not sorted as progress")
        };
        assert_eq!(params.as_str(), r#"{"progress":1,"own":{"x":1.0}}"#);
        for odd in [r#"{"progress":1}"#, r#"{"progressToken":"7"}"#, r#"{"progressToken":-1}"#] {
            assert!(matches!(notification("notifications/progress", Some(odd)), Heard::Other), "{odd}");
        }
        assert!(matches!(notification("notifications/progress", None), Heard::Other));
    }

    #[test]
    fn an_update_loses_the_id_of_the_subscription_and_nothing_else() {
        let table = [
            (r#"{"uri":"a:b","x":1.0}"#, r#"{"uri":"a:b","x":1.0}"#),
            (r#"{"uri":"a:b","_meta":{"io.modelcontextprotocol/subscriptionId":3}}"#, r#"{"uri":"a:b"}"#),
            (r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":3,"o/p":1},"uri":"a:b"}"#, r#"{"_meta":{"o/p":1},"uri":"a:b"}"#),
        ];
        for (came, goes) in table {
            let Heard::Notice(Notice::ResourceUpdated { uri, params }) = notification("notifications/resources/updated", Some(came)) else {
                panic!("not sorted as update")
            };
            assert_eq!((&*uri, params.as_str()), ("a:b", goes));
        }
        assert!(matches!(notification("notifications/resources/updated", Some("{}")), Heard::Other));
    }
}
