//! Calls that a legacy client may still cancel by their id.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bailiwick_mcp::client::Cancel;
use bailiwick_mcp::{Id, Notification, WireError, error};

use crate::gateway::Gateway;
use crate::lock::Lock;

/// The session and the request id. Session ids are secrets of their principal, so nobody reaches another's call.
type Key = (Box<str>, Id);
type Table = Arc<Lock<HashMap<Key, Cancel>>>;

/// Running calls of legacy sessions.
#[derive(Default)]
pub(crate) struct Inflight(Table);

/// One running call; leaves the table when dropped.
pub(crate) struct Running {
    table: Table,
    key: Key,
}

impl Inflight {
    /// `None` while another request of the session is running under this id: cancelling and answers could not tell the two apart.
    pub(crate) fn enter(&self, session: &str, id: &Id, cancel: &Cancel) -> Option<Running> {
        let key = (Box::from(session), id.clone());
        match self.0.lock().entry(key.clone()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(free) => {
                free.insert(cancel.clone());
                Some(Running { table: self.0.clone(), key })
            }
        }
    }

    /// Raises the flag of a running call; unknown ids are ignored, as the specification wants it.
    pub(crate) fn cancel(&self, session: &str, id: &Id) {
        if let Some(cancel) = self.0.lock().get(&(Box::from(session), id.clone())) {
            cancel.cancel();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.table.lock().remove(&self.key);
    }
}

/// The refusal of a request whose id is taken.
pub(crate) fn id_in_use(id: &Id) -> WireError {
    WireError::new(error::INVALID_REQUEST, "Invalid request: another request with this id is running; use a new id for each")
        .with_id(Some(id.clone()))
}

/// A legacy client's notification: only cancelling concerns us, the rest is acknowledged.
pub(crate) fn notified(gateway: &Gateway, session: &str, notification: &Notification) {
    if &*notification.method == "notifications/cancelled"
        && let Some(id) = cancelled_id(notification)
    {
        gateway.inflight().cancel(session, &id);
    }
}

/// `params.requestId` of a `notifications/cancelled`.
pub(crate) fn cancelled_id(notification: &Notification) -> Option<Id> {
    let id = notification.params.as_ref()?.member("requestId")?;
    Id::read(&id)
}
