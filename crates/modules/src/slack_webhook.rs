//! `slack_webhook`: messages through a Slack incoming webhook (reference, tool modules section 8.6).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::arguments::decode;
use crate::config::ConfigKey;
use crate::context::CallContext;
use crate::fault::{OpenFault, ToolFault};
use crate::module::{CredentialKey, ModuleDraft, ModuleKind, ModuleSetup, Pending, ToolModule};
use crate::notifier::{self, Notifier, SendModule};
use crate::schema::property;
use crate::spec::{Access, ToolSpec};
use crate::webhook::{self, Webhook};

/// Longest text, as it is sent; Slack cuts a longer one.
const TEXT_CHARS_MAX: usize = 40_000;
const URL: &str = "SLACK_WEBHOOK_URL";
const HOSTS: &[&str] = &["hooks.slack.com", "hooks.slack-gov.com"];
/// What calls people or groups begins with one of these. Dates begin with the second one and call nobody.
const MENTIONS: [&str; 2] = ["<@", "<!"];
const DATE: &str = "<!date^";

/// The module kind `slack_webhook`.
#[derive(Clone, Copy, Debug)]
pub struct Kind;

impl ModuleKind for Kind {
    fn name(&self) -> &'static str {
        "slack_webhook"
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        webhook::KEYS
    }

    fn credentials(&self, _: &Map<String, Value>) -> Vec<CredentialKey> {
        vec![CredentialKey::required(URL)]
    }

    fn check(&self, draft: ModuleDraft<'_>) -> Vec<OpenFault> {
        webhook::check(draft)
    }

    fn tools(&self) -> Vec<(&'static str, Access)> {
        notifier::TOOLS.to_vec()
    }

    fn specs(&self) -> Vec<ToolSpec> {
        vec![Slack::spec()]
    }

    fn open(&self, setup: ModuleSetup<'_>) -> Result<Arc<dyn ToolModule>, OpenFault> {
        Ok(Arc::new(SendModule { notifier: Slack(webhook::open(setup, URL, HOSTS)?), mode: setup.access }))
    }
}

struct Slack(Webhook);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    text: String,
}

impl Notifier for Slack {
    type Message = Value;

    fn spec() -> ToolSpec {
        notifier::spec(
            "Send to Slack",
            "Posts a message to the Slack channel you were given, with Slack's own markup. Mentions of people and groups are written out \
             instead of calling them, unless an operator allows it. Empty texts and texts of more than 40,000 characters are refused.",
            &[("text", property("string", "The message, at most 40,000 characters.", json!({})))],
            &["text"],
        )
    }

    fn prepare(&self, arguments: &str) -> Result<Value, ToolFault> {
        let Arguments { text } = decode(arguments)?;
        webhook::not_empty("text", &text)?;
        let text = if self.0.mentions { text } else { without_mentions(&text) };
        if text.chars().count() > TEXT_CHARS_MAX {
            let about = format!("the text is longer than {TEXT_CHARS_MAX} characters");
            return Err(ToolFault::limit("text_chars", TEXT_CHARS_MAX as u64, about, "shorten it or send it in parts"));
        }
        Ok(json!({ "text": text }))
    }

    fn deliver<'a>(&'a self, message: Value, context: CallContext<'a>) -> Pending<'a, Result<(), ToolFault>> {
        Box::pin(async move { self.0.post(&message, context).await })
    }
}

/// The text with the opening bracket of every mention escaped, as Slack wants it: it shows and calls nobody.
fn without_mentions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let rest = &text[at..];
        if MENTIONS.iter().any(|start| rest.starts_with(start)) && !rest.starts_with(DATE) {
            out.push_str("&lt;");
        } else {
            out.push(c);
        }
    }
    out
}
