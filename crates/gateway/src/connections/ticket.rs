//! The link that a person gets to connect: sealed, for ten minutes, for one holder and one server. Whoever opens it sees for whom it is
//! before anything happens; the authorization begins when he agrees, in the browser that agreed.

use bailiwick_model::registered::Holder;
use bailiwick_model::{OrgId, ServerId, ServerName};
use bailiwick_store::{OrgScope, RegisteredServer};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{ConnectFault, Connections};

/// How long a link can be opened.
const LIFE_MICROS: i64 = 10 * 60 * 1_000_000;
/// Longest link that is looked at.
const HANDLE_CHARS_MAX: usize = 8 << 10;
/// What the seal is for.
const PURPOSE: &[u8] = b"connect";

/// What an opened link says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ticket {
    /// The server to connect with.
    server: String,
    /// Its name.
    pub name: ServerName,
    /// The host it is on.
    pub host: String,
    /// Whose connection it will be: a subject, or nobody for the organisation itself.
    holder: String,
    /// Scopes to ask for beyond those that are configured; empty for none.
    pub(crate) scopes: Vec<String>,
    /// Who asks for it, for the person's eyes.
    pub asked_by: String,
    expires: i64,
}

impl Ticket {
    /// The server to connect with.
    pub(crate) fn server(&self) -> Option<ServerId> {
        ServerId::parse(&self.server).ok()
    }

    /// Whose connection it will be.
    pub(crate) fn holder(&self) -> Option<Holder> {
        Holder::parse(&self.holder).ok()
    }

    /// Whose connection it will be, in words.
    #[must_use]
    pub fn holder_in_words(&self) -> &str {
        if self.holder.is_empty() { "the organisation" } else { &self.holder }
    }
}

impl Connections {
    /// A link for `holder`, as an address of this gateway.
    ///
    /// # Errors
    /// When the organisation's key cannot be opened.
    pub(crate) async fn link(
        &self,
        scope: &OrgScope,
        org: &OrgId,
        record: &RegisteredServer,
        holder: &Holder,
        (scopes, asked_by): (&[String], &str),
    ) -> Result<String, ConnectFault> {
        self.check_reachable()?;
        let ticket = Ticket {
            server: record.id.to_string(),
            name: record.display_name.clone(),
            host: Url::parse(record.server_url.as_str()).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default(),
            holder: holder.as_str().to_owned(),
            scopes: scopes.to_vec(),
            asked_by: asked_by.to_owned(),
            expires: self.now().as_micros() + LIFE_MICROS,
        };
        let key = self.store().audit_key(scope).await?;
        let content = serde_json::to_vec(&ticket).unwrap_or_default();
        let handle = key.seal_handle(PURPOSE, &content, self.0.random.as_ref()).ok_or_else(ConnectFault::too_large)?;
        Ok(format!("{}/connect/{org}/{handle}", self.oauth().public()))
    }

    /// What a link says; `None` for one that is too old, of another organisation, or not ours.
    ///
    /// # Errors
    /// When the organisation's key cannot be opened.
    pub async fn open_link(&self, org: &OrgId, handle: &str) -> Result<Option<Ticket>, ConnectFault> {
        if handle.len() > HANDLE_CHARS_MAX {
            return Ok(None);
        }
        let scope = self.within(org)?;
        if self.store().orgs().get(&scope).await.is_err() {
            return Ok(None);
        }
        let key = self.store().audit_key(&scope).await?;
        let ticket: Option<Ticket> = key.open_handle(PURPOSE, handle).and_then(|content| serde_json::from_slice(&content).ok());
        Ok(ticket.filter(|ticket| ticket.expires >= self.now().as_micros()))
    }
}
