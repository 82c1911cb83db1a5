//! Answers about prompts, resources, completion, logging and subscriptions.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::offer::FakeQuestion;
use super::server::{Answer, Asked, Plan, Server};
use super::talk::{self, Step, Talk};
use super::wire;

/// The severities of log messages, least severe first.
const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

pub(super) fn severity(level: &str) -> Option<usize> {
    LEVELS.iter().position(|known| *known == level)
}

impl Server {
    pub(super) fn set_level(&self, asked: &Asked<'_>) -> Plan {
        match asked.params.level.as_deref().and_then(severity) {
            Some(level) => {
                *self.log_level.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(level);
                asked.complete(Duration::ZERO, "{}")
            }
            None => asked.refuse(-32602, "Invalid level"),
        }
    }

    /// `on`: subscribe, otherwise unsubscribe.
    pub(super) fn subscription(&self, asked: &Asked<'_>, on: bool) -> Plan {
        let uri = asked.params.uri.as_deref().unwrap_or_default();
        if on && asked.contents(uri).is_none() {
            return asked.refuse(-32002, "Resource not found");
        }
        self.subscribe(asked.session, uri, on);
        asked.complete(Duration::ZERO, "{}")
    }
}

impl Asked<'_> {
    pub(super) fn refuse(&self, code: i64, message: &str) -> Plan {
        Answer::now(StatusCode::OK, wire::error(self.id, code, message, None))
    }

    /// The members that make a result of the modern era cacheable.
    fn hints(&self) -> &'static str {
        if self.modern { r#","ttlMs":60000,"cacheScope":"public""# } else { "" }
    }

    pub(super) fn page(&self, list: usize, member: &str, delay: Duration) -> Plan {
        let Some((page, next)) = self.scene.catalog.page(list, self.params.cursor.as_deref()) else {
            return self.refuse(-32602, "Invalid cursor");
        };
        let next = next.map(|n| format!(r#","nextCursor":"page-{n}""#)).unwrap_or_default();
        self.complete(delay, &format!(r#"{{{}"{member}":{page}{next}{}}}"#, self.head(), self.hints()))
    }

    pub(super) fn prompt(&self) -> Plan {
        let name = self.params.name.as_deref().unwrap_or_default();
        let Some(prompt) = self.scene.behaviour.prompts.iter().find(|prompt| prompt.definition["name"] == name) else {
            return self.refuse(-32602, "Unknown prompt");
        };
        let result = prompt.result.clone().unwrap_or_else(|| {
            let text = self.params.arguments.map_or("{}", |arguments| arguments.get());
            json!({"messages": [{"role": "user", "content": {"type": "text", "text": text}}]})
        });
        let result = self.headed(&result);
        self.converse(&prompt.ask, move |id, _| wire::result(id, &result))
    }

    pub(super) fn resource(&self) -> Plan {
        let uri = self.params.uri.as_deref().unwrap_or_default();
        match self.contents(uri) {
            Some(contents) => self.complete(Duration::ZERO, &format!(r#"{{{}"contents":{contents}{}}}"#, self.head(), self.hints())),
            None => self.refuse(if self.modern { -32602 } else { -32002 }, "Resource not found"),
        }
    }

    /// A listed resource, or anything that begins as a template does.
    fn contents(&self, uri: &str) -> Option<Value> {
        let behaviour = &self.scene.behaviour;
        if let Some(resource) = behaviour.resources.iter().find(|resource| resource.definition["uri"] == uri) {
            return Some(resource.contents.clone());
        }
        let begins =
            |template: &Value| template["uriTemplate"].as_str().and_then(|t| t.split('{').next()).is_some_and(|t| uri.starts_with(t));
        let known = behaviour.templates.iter().any(begins);
        known.then(|| json!([{"uri": uri, "mimeType": "text/plain", "text": format!("made from a template: {uri}")}]))
    }

    pub(super) fn completion(&self) -> Plan {
        let argument: Value = self.params.argument.and_then(|text| serde_json::from_str(text.get()).ok()).unwrap_or_default();
        let (name, begin) = (argument["name"].as_str().unwrap_or_default(), argument["value"].as_str().unwrap_or_default());
        if self.params.reference.is_none() {
            return self.refuse(-32602, "Missing ref");
        }
        let all = self.scene.behaviour.completions.get(name).cloned().unwrap_or_default();
        let values: Vec<String> = all.into_iter().filter(|value| value.starts_with(begin)).collect();
        let completion = json!({"total": values.len(), "values": values, "hasMore": false});
        self.complete(Duration::ZERO, &format!(r#"{{{}"completion":{completion}}}"#, self.head()))
    }

    /// The result object with what the era puts in front.
    fn headed(&self, result: &Value) -> String {
        let text = result.to_string();
        match text.strip_prefix('{') {
            Some("}") | None => text,
            Some(members) => format!("{{{}{members}", self.head()),
        }
    }

    /// Asks all rounds in the way of the era, then finishes with what was answered.
    pub(super) fn converse(&self, rounds: &[Vec<FakeQuestion>], finish: impl FnOnce(&str, &[Value]) -> Vec<u8> + Send + 'static) -> Plan {
        if rounds.is_empty() {
            return Answer::now(StatusCode::OK, finish(self.id, &[]));
        }
        if !self.modern {
            let id = self.id.to_owned();
            return Plan::Talk(Talk { id: id.clone(), rounds: rounds.to_vec(), finish: Box::new(move |answers| finish(&id, answers)) });
        }
        let declared = self.params.meta.as_ref().and_then(|meta| meta.capabilities);
        if let Some(required) = talk::undeclared(rounds, declared.map(|text| text.get())) {
            return Answer::now(StatusCode::BAD_REQUEST, talk::missing_capability(self.id, &required));
        }
        match talk::step(rounds, self.params.request_state.as_deref(), self.params.input_responses.map(|text| text.get())) {
            Step::Ask(result) => self.complete(Duration::ZERO, &result),
            Step::Finish(answers) => Answer::now(StatusCode::OK, finish(self.id, &answers)),
            Step::Tampered => self.refuse(-32602, "Invalid requestState"),
        }
    }
}
