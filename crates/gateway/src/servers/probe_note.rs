//! What a server said when it was last opened, kept across restarts so that the era need not be asked for again
//! (protocol reference 4.2).

use bailiwick_mcp::client::Probe;
use bailiwick_model::ServerName;
use bailiwick_model::upstream::Transport;
use bailiwick_store::{OrgScope, Store};
use tracing::warn;

/// Where the probe of one server is kept.
pub(crate) struct ProbeNote {
    store: Store,
    scope: OrgScope,
    server: ServerName,
    endpoint: String,
}

impl ProbeNote {
    /// The place for `server` as long as it is reached in this way.
    pub(crate) fn new(store: &Store, scope: OrgScope, server: &ServerName, transport: &Transport) -> Self {
        let endpoint = match transport {
            Transport::Http { url, .. } => url.clone(),
            Transport::Stdio { command, args, .. } => format!("{command} {}", args.join(" ")),
        };
        // A longer one only has to stay the same; what is cut off is no secret, those stand in headers and environment.
        let endpoint = endpoint.chars().take(1_000).collect();
        Self { store: store.clone(), scope, server: server.clone(), endpoint }
    }

    /// What is known from earlier; nothing, when it cannot be read.
    pub(crate) async fn read(&self) -> Option<Probe> {
        let stored = self.store.server_probes().get(&self.scope, &self.server, &self.endpoint).await.ok().flatten()?;
        serde_json::from_str(&stored.probe).ok()
    }

    /// Keeps a probe. Not being able to costs a question at the next start, nothing else.
    pub(crate) async fn write(&self, probe: &Probe) {
        let Ok(text) = serde_json::to_string(probe) else { return };
        if let Err(cause) = self.store.server_probes().put(&self.scope, &self.server, &self.endpoint, &text).await {
            warn!(server = %self.server, %cause, "what the server said of itself is not kept");
        }
    }
}
