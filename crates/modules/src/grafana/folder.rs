//! The folder that belongs to the agent: everything it sees and changes lies there.

use bailiwick_model::{AgentId, Code, OrgId};
use data_encoding::HEXLOWER;
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::api::{Api, text};
use crate::context::CallContext;
use crate::egress::segment;
use crate::fault::ToolFault;
use crate::service::json_body;

/// Longest uid in Grafana.
pub(super) const UID_CHARS_MAX: usize = 40;
/// Bytes of the digest in a uid that is one.
const DIGEST_BYTES: usize = 16;

/// Where the agent's folder is.
pub(super) struct Folder {
    place: Place,
    /// Its uid, once it has been seen.
    known: Mutex<Option<String>>,
}

enum Place {
    /// An operator named it.
    Pinned(String),
    /// Found by title or uid, or made. The title is looked for only when it cannot be that of an agent of another organisation.
    Derived { uid: String, title: String, by_title: bool },
}

impl Folder {
    pub(super) fn pinned(uid: &str) -> Self {
        Self { place: Place::Pinned(uid.to_owned()), known: Mutex::default() }
    }

    pub(super) fn of(agent: &AgentId, org: Option<&OrgId>) -> Self {
        let title = org.map_or_else(|| format!("agent-{agent}"), |org| format!("agent-{agent} ({org})"));
        Self { place: Place::Derived { uid: derived_uid(agent, org), title, by_title: org.is_none() }, known: Mutex::default() }
    }

    /// Its uid; `None` when there is no folder yet.
    pub(super) async fn find(&self, api: &Api, context: CallContext<'_>) -> Result<Option<String>, ToolFault> {
        let mut known = self.known.lock().await;
        if known.is_none() {
            *known = self.look(api, context).await?;
        }
        Ok(known.clone())
    }

    /// Its uid; the folder is made when there is none.
    pub(super) async fn ensure(&self, api: &Api, context: CallContext<'_>) -> Result<String, ToolFault> {
        let mut known = self.known.lock().await;
        if let Some(uid) = known.as_ref() {
            return Ok(uid.clone());
        }
        let uid = match self.look(api, context).await? {
            Some(uid) => uid,
            None => self.make(api, context).await?,
        };
        *known = Some(uid.clone());
        Ok(uid)
    }

    /// Looks again at the next call; for when Grafana refuses the folder.
    pub(super) async fn forget(&self) {
        *self.known.lock().await = None;
    }

    async fn look(&self, api: &Api, context: CallContext<'_>) -> Result<Option<String>, ToolFault> {
        let (uid, title) = match &self.place {
            Place::Derived { uid, title, by_title: true } => (uid, title),
            Place::Pinned(uid) | Place::Derived { uid, .. } => {
                return Ok(api.find(&path(uid), context).await?.map(|_| uid.clone()));
            }
        };
        let folders = api.list("/api/folders?", "folders", context).await?;
        let is_ours = |folder: &&Value| folder["title"] == title.as_str() || folder["uid"] == uid.as_str();
        let mut found = folders.iter().filter(is_ours);
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(folder), None) => text(folder, "uid").map(|uid| Some(uid.to_owned())),
            (Some(_), Some(_)) => Err(ToolFault::new(
                Code::UpstreamError,
                "several folders in Grafana could be the agent's",
                "ask the operator to name one under `folder_uid`, or to remove the others",
            )),
        }
    }

    async fn make(&self, api: &Api, context: CallContext<'_>) -> Result<String, ToolFault> {
        let Place::Derived { uid, title, .. } = &self.place else {
            return Err(ToolFault::new(Code::NotFound, "the agent's folder does not exist in Grafana", "ask the operator to create it"));
        };
        let answer = api.post_raw("/api/folders", &json!({ "uid": uid, "title": title }), context).await?;
        // Somebody was faster: another call of this agent, or of its second process.
        if matches!(answer.status, StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED)
            && let Some(folder) = api.find(&path(uid), context).await?
            && folder["title"] == title.as_str()
        {
            return Ok(uid.clone());
        }
        text(&json_body(&api.checked(answer)?)?, "uid").map(str::to_owned)
    }
}

fn path(uid: &str) -> String {
    format!("/api/folders/{}", segment(uid))
}

/// `agent-<id>` where that fits, otherwise `agent_` and a digest of organisation and id. Ids have no `_` and the digest covers the whole
/// of both, so that no two agents share a uid, also when the id of one begins with the other's.
fn derived_uid(agent: &AgentId, org: Option<&OrgId>) -> String {
    let plain = format!("agent-{agent}");
    if org.is_none() && plain.len() <= UID_CHARS_MAX {
        return plain;
    }
    let org = org.map(OrgId::as_str).unwrap_or_default();
    let digest = Sha256::new().chain_update(org).chain_update([0]).chain_update(agent.as_str()).finalize();
    format!("agent_{}", HEXLOWER.encode(&digest[..DIGEST_BYTES]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_agents_share_a_uid() {
        let long = |tail: &str| format!("{}{tail}", "a".repeat(60));
        let ids =
            ["a", "a-b", "a-b-c", "b-c", "agent-a", &"a".repeat(34), &"a".repeat(35), &long(""), &long("b"), &long("bc"), &long("b-c")];
        let orgs = [None, Some("o"), Some("o-a"), Some("o-a-b")];
        let mut seen = BTreeSet::new();
        for org in orgs {
            let org = org.map(|org| OrgId::parse(org).unwrap());
            for id in ids {
                let uid = derived_uid(&AgentId::parse(id).unwrap(), org.as_ref());
                assert!(uid.len() <= UID_CHARS_MAX && super::super::dashboard::is_uid(&uid), "{uid}");
                assert!(seen.insert(uid), "{org:?} {id}");
            }
        }
        assert_eq!(derived_uid(&AgentId::parse("research-01").unwrap(), None), "agent-research-01");
    }
}
