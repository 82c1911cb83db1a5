//! One request after authentication and decoding, whichever door it came through.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use bailiwick_mcp::client::{Cancel, Event};
use bailiwick_mcp::meta::LogLevel;
use bailiwick_mcp::{Era, Id, Json, RequestMeta, Revision};
use http::HeaderMap;
use tokio::sync::mpsc;

use crate::bailiwick::Lens;
use crate::call::ask_back::Askable;
use crate::call::authenticate::Caller;
use crate::peer::Peer;

/// Where a client of the older revisions keeps what it has set.
#[derive(Clone, Default)]
pub(crate) enum Conversation {
    /// It has none, or needs none.
    #[default]
    None,
    /// A session, by its id.
    Session(Box<str>),
    /// A pipe.
    Pipe(Arc<Peer>),
}

/// A request on its way to a method.
pub(crate) struct Asked {
    pub(crate) caller: Arc<Caller>,
    pub(crate) id: Id,
    pub(crate) method: Cow<'static, str>,
    pub(crate) params: Option<Json>,
    pub(crate) meta: RequestMeta,
    pub(crate) era: Era,
    /// The revision in force, where one has been agreed.
    pub(crate) revision: Option<Revision>,
    /// What the endpoint shows.
    pub(crate) lens: Lens,
    /// The older revisions' conversation that the request belongs to.
    pub(crate) conversation: Conversation,
    /// Of which severity log messages are wanted while a call runs.
    pub(crate) log: Option<LogLevel>,
    pub(crate) param_headers: Option<HeaderMap>,
    pub(crate) cancel: Cancel,
    pub(crate) events: Option<mpsc::Sender<Event>>,
    /// How an older client is asked during a call.
    pub(crate) askable: Option<Askable>,
    pub(crate) began: Instant,
}
