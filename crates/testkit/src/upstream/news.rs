//! Who hears what: the filters of `subscriptions/listen`, and the subscriptions of the `initialize` era.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;

use super::offer::News;
use super::server::Server;
use super::wire;

/// The `notifications` of a `subscriptions/listen`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Wanted {
    tools_list_changed: bool,
    prompts_list_changed: bool,
    resources_list_changed: bool,
    resource_subscriptions: HashSet<String>,
}

/// Somebody who listens.
pub(super) enum Listener {
    /// A subscription, with the id of its request.
    Modern { id: String, wanted: Wanted },
    /// The stream of a session; on stdio its name is empty.
    Session(String),
}

impl Listener {
    pub(super) fn modern(id: &str, notifications: Option<&serde_json::value::RawValue>) -> Self {
        let wanted = notifications.and_then(|text| serde_json::from_str(text.get()).ok()).unwrap_or_default();
        Self::Modern { id: id.to_owned(), wanted }
    }

    /// The first message of the stream, if there is one.
    pub(super) fn greeting(&self) -> Option<Vec<u8>> {
        let Self::Modern { id, wanted } = self else { return None };
        let mut honoured = Vec::new();
        let lists = [
            ("toolsListChanged", wanted.tools_list_changed),
            ("promptsListChanged", wanted.prompts_list_changed),
            ("resourcesListChanged", wanted.resources_list_changed),
        ];
        honoured.extend(lists.iter().filter(|(_, wanted)| *wanted).map(|(name, _)| format!(r#""{name}":true"#)));
        if !wanted.resource_subscriptions.is_empty() {
            honoured.push(format!(r#""resourceSubscriptions":{}"#, serde_json::json!(wanted.resource_subscriptions)));
        }
        let more = format!(r#","notifications":{{{}}}"#, honoured.join(","));
        Some(tagged("notifications/subscriptions/acknowledged", id, &more))
    }

    /// The message that tells the news; nothing for somebody who does not want them.
    pub(super) fn hear(&self, server: &Arc<Server>, news: &News) -> Option<Vec<u8>> {
        let wants = match (self, news) {
            (_, News::Other { .. }) => true,
            (Self::Modern { wanted, .. }, News::Tools) => wanted.tools_list_changed,
            (Self::Modern { wanted, .. }, News::Prompts) => wanted.prompts_list_changed,
            (Self::Modern { wanted, .. }, News::Resources) => wanted.resources_list_changed,
            (Self::Modern { wanted, .. }, News::Updated(uri)) => wanted.resource_subscriptions.contains(uri),
            (Self::Session(session), News::Updated(uri)) => server.is_subscribed(session, uri),
            (Self::Session(_), _) => true,
        };
        wants.then(|| self.message(news))
    }

    fn message(&self, news: &News) -> Vec<u8> {
        let (method, members) = match news {
            News::Tools => ("notifications/tools/list_changed", String::new()),
            News::Prompts => ("notifications/prompts/list_changed", String::new()),
            News::Resources => ("notifications/resources/list_changed", String::new()),
            News::Updated(uri) => ("notifications/resources/updated", format!(r#""uri":{}"#, serde_json::json!(uri))),
            News::Other { method, params } => return wire::notification(method, params),
        };
        match self {
            Self::Session(_) => wire::notification(method, &format!("{{{members}}}")),
            Self::Modern { id, .. } if members.is_empty() => tagged(method, id, ""),
            Self::Modern { id, .. } => tagged(method, id, &format!(",{members}")),
        }
    }
}

fn tagged(method: &str, id: &str, more: &str) -> Vec<u8> {
    wire::notification(method, &format!(r#"{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}{more}}}"#))
}
