//! Dashboards in the agent's folder.

use bailiwick_model::Code;
use serde_json::{Value, json};

use super::Grafana;
use super::folder::UID_CHARS_MAX;
use crate::context::CallContext;
use crate::fault::ToolFault;
use crate::schema;

/// Longest title.
const TITLE_CHARS_MAX: usize = 200;
/// Most panels of one dashboard.
const PANELS_MAX: usize = 500;
/// Largest list of panels, as text.
const PANELS_BYTES_MAX: usize = 1 << 20;

/// Whether the whole of `text` is a uid.
pub(super) fn is_uid(text: &str) -> bool {
    (1..=UID_CHARS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Refuses what is no uid.
pub(super) fn check_uid(uid: &str) -> Result<(), ToolFault> {
    if is_uid(uid) {
        return Ok(());
    }
    let message = format!("a uid is 1 to {UID_CHARS_MAX} letters, digits, `-` and `_`");
    Err(ToolFault::invalid(message, "take the uid from the list of dashboards"))
}

/// Refuses what is no title of a dashboard or rule.
pub(super) fn check_title(title: &str) -> Result<(), ToolFault> {
    let is_fit = !title.trim().is_empty() && title.chars().count() <= TITLE_CHARS_MAX && !title.chars().any(char::is_control);
    let fault = || ToolFault::invalid(format!("a title is 1 to {TITLE_CHARS_MAX} visible characters"), "use another title");
    is_fit.then_some(()).ok_or_else(fault)
}

/// Refuses what are no panels.
pub(super) fn check_panels(panels: &[Value]) -> Result<(), ToolFault> {
    if panels.iter().any(|panel| !panel.is_object()) {
        return Err(ToolFault::invalid("a panel is not an object", "write every panel as an object"));
    }
    if panels.len() > PANELS_MAX {
        let message = format!("there are more than {PANELS_MAX} panels");
        return Err(ToolFault::limit("panels", PANELS_MAX as u64, message, "split them over several dashboards"));
    }
    if panels.iter().map(|panel| panel.to_string().len()).sum::<usize>() > PANELS_BYTES_MAX {
        let message = format!("the panels are larger than {PANELS_BYTES_MAX} bytes");
        return Err(ToolFault::limit("panels_bytes", PANELS_BYTES_MAX as u64, message, "split them over several dashboards"));
    }
    Ok(())
}

impl Grafana {
    /// The dashboard `uid` with its `meta`, when it lies in the agent's folder, and that folder's uid.
    ///
    /// # Errors
    /// `scope_violation` for a dashboard that lies elsewhere and for one that does not exist alike: uids are those of all agents, and two
    /// answers would tell one agent which of them are another's. The ledger is told which it was.
    pub(super) async fn own_dashboard(&self, uid: &str, context: CallContext<'_>) -> Result<(Value, String), ToolFault> {
        let folder = self.folder.find(&self.api, context).await?.ok_or_else(|| not_own("the agent has no folder yet"))?;
        let found = self.api.find(&path(uid), context).await?.ok_or_else(|| not_own("there is no such dashboard"))?;
        if found["meta"]["folderUid"] != folder.as_str() || found["dashboard"]["uid"] != uid {
            return Err(not_own("the dashboard lies elsewhere"));
        }
        Ok((found, folder))
    }
}

fn not_own(cause: &str) -> ToolFault {
    let message = "there is no dashboard of this uid in the agent's folder";
    ToolFault::new(Code::ScopeViolation, message, "use one from the list of dashboards").because(cause)
}

/// Path of the dashboard `uid`, which has been checked.
pub(super) fn path(uid: &str) -> String {
    format!("/api/dashboards/uid/{uid}")
}

/// What is sent to save `dashboard`. Never overwrites: a version that is not the newest is refused by Grafana.
pub(super) fn save_body(dashboard: &Value, folder: &str) -> Value {
    json!({ "dashboard": dashboard, "folderUid": folder, "overwrite": false })
}

/// The schema of an argument that is a uid.
pub(super) fn uid_property() -> Value {
    let pattern = format!("^[A-Za-z0-9_-]{{1,{UID_CHARS_MAX}}}$");
    schema::property("string", "Uid of a dashboard in your folder, as listed.", json!({ "pattern": pattern }))
}

/// The schema of the argument `panels`.
pub(super) fn panels_property() -> Value {
    let text = "Panels in Grafana's model. Every data source in them has to be one you may use; a target without one uses the default.";
    schema::property("array", text, json!({ "items": { "type": "object" }, "maxItems": PANELS_MAX }))
}
