//! One stream of notices.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::client::ask::Ask;
use crate::client::cancel::Cancel;
use crate::client::compose::{Draft, Parts};
use crate::client::fault::UpstreamFault;
use crate::client::handshake::{Session, Wire};
use crate::client::subscriptions::Wanted;

/// A stream that has not failed by then stands, even if the server has not confirmed it.
const STANDS_AFTER: Duration = Duration::from_millis(500);
/// A stream is opened anew at least so often.
const STREAM_MAX: Duration = Duration::from_secs(24 * 3600);
/// What the capabilities of a server announce, and how a subscription asks for it.
const LISTS: [(&str, &str); 3] = [("tools", "toolsListChanged"), ("prompts", "promptsListChanged"), ("resources", "resourcesListChanged")];

/// What a stream shall bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// Legacy: whatever belongs to no request.
    Get,
    /// Modern: the `notifications` member of `subscriptions/listen`, as JSON text.
    Listen(String),
}

impl Filter {
    /// Nothing when the server has no stream for us. `asked`: we have said that we can be asked.
    pub(super) fn of(session: &Session, wanted: &Wanted, asked: bool) -> Option<Self> {
        let probe = &session.probe;
        let watched = !wanted.is_empty() && probe.offers_also("resources", "subscribe");
        let mut members: Vec<String> = LISTS
            .iter()
            .filter(|(capability, _)| probe.offers_also(capability, "listChanged"))
            .map(|(_, member)| format!(r#""{member}":true"#))
            .collect();
        if session.dialect.is_modern() {
            if watched {
                let uris: Vec<&str> = wanted.keys().map(|uri| &**uri).collect();
                members.push(format!(r#""resourceSubscriptions":{}"#, serde_json::json!(uris)));
            }
            return (!members.is_empty()).then(|| Self::Listen(format!("{{{}}}", members.join(","))));
        }
        // A server without sessions is not asked for streams (reference, protocol section 4.2). With one, it may ask back there even if it
        // announces nothing.
        let stream = session.dialect.session && matches!(session.wire, Wire::Http(_));
        (stream && (asked || watched || !members.is_empty())).then_some(Self::Get)
    }
}

type Work = Pin<Box<dyn Future<Output = Option<UpstreamFault>> + Send>>;

/// Is read whenever somebody waits for its end.
pub(super) struct Stream {
    work: Work,
    confirmed: Arc<Notify>,
}

impl Stream {
    pub(super) fn open(session: Arc<Session>, id: u64, filter: &Filter) -> Self {
        let confirmed = Arc::new(Notify::new());
        let work: Work = match filter {
            Filter::Get => Box::pin(get(session)),
            Filter::Listen(notifications) => Box::pin(listen(session, id, notifications.clone(), Arc::clone(&confirmed))),
        };
        Self { work, confirmed }
    }

    /// Waits until the stream stands. The error is its end, with the fault if there was one.
    pub(super) async fn stands(&mut self) -> Result<(), Option<UpstreamFault>> {
        tokio::select! {
            fault = &mut self.work => Err(fault),
            () = self.confirmed.notified() => Ok(()),
            () = sleep(STANDS_AFTER) => Ok(()),
        }
    }

    /// Reads to the end. Without a fault: the server ended it in good order.
    pub(super) async fn ended(&mut self) -> Option<UpstreamFault> {
        (&mut self.work).await
    }
}

async fn get(session: Arc<Session>) -> Option<UpstreamFault> {
    let Wire::Http(wire) = &session.wire else { return None };
    let (cancel, deadline) = (Cancel::new(), Instant::now() + STREAM_MAX);
    let ask = Ask { standing: true, ..Ask::plain(0, "", Parts::default(), &session.dialect, deadline, &cancel) };
    Some(wire.listen(&ask).await)
}

async fn listen(session: Arc<Session>, id: u64, notifications: String, confirmed: Arc<Notify>) -> Option<UpstreamFault> {
    let (cancel, deadline) = (Cancel::new(), Instant::now() + STREAM_MAX);
    let draft = Draft::request(id, "subscriptions/listen").raw("notifications", notifications.as_bytes());
    let body = draft.meta(&session.dialect, None, &[]).end();
    let ask = Ask::plain(id, "subscriptions/listen", body, &session.dialect, deadline, &cancel);
    let ask = Ask { standing: true, acknowledged: Some(confirmed), ..ask };
    session.wire.ask(&ask).await.err()
}
