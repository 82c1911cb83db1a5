//! `discord_webhook`: messages through a Discord webhook (reference, tool modules section 8.6).

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

/// Longest message that Discord takes.
const CONTENT_CHARS_MAX: usize = 2_000;
/// Stands at the end of a message that was cut.
const CUT: &str = "...";
const URL: &str = "DISCORD_WEBHOOK_URL";
const HOSTS: &[&str] = &["discord.com", "discordapp.com", "canary.discord.com", "ptb.discord.com"];

/// The module kind `discord_webhook`.
#[derive(Clone, Copy, Debug)]
pub struct Kind;

impl ModuleKind for Kind {
    fn name(&self) -> &'static str {
        "discord_webhook"
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
        vec![Discord::spec()]
    }

    fn open(&self, setup: ModuleSetup<'_>) -> Result<Arc<dyn ToolModule>, OpenFault> {
        Ok(Arc::new(SendModule { notifier: Discord(webhook::open(setup, URL, HOSTS)?), mode: setup.access }))
    }
}

struct Discord(Webhook);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    content: String,
}

impl Notifier for Discord {
    type Message = Value;

    fn spec() -> ToolSpec {
        notifier::spec(
            "Send to Discord",
            "Posts a message to the Discord channel you were given. Mentions show but call nobody, unless an operator allows it. Texts of \
             more than 2,000 characters are cut to 1,997 and `...`; empty ones are refused.",
            &[("content", property("string", "The message; what is beyond 2,000 characters is cut.", json!({})))],
            &["content"],
        )
    }

    fn prepare(&self, arguments: &str) -> Result<Value, ToolFault> {
        let Arguments { content } = decode(arguments)?;
        webhook::not_empty("content", &content)?;
        let mut body = json!({ "content": cut(content) });
        if !self.0.mentions {
            body["allowed_mentions"] = json!({ "parse": [] });
        }
        Ok(body)
    }

    fn deliver<'a>(&'a self, message: Value, context: CallContext<'a>) -> Pending<'a, Result<(), ToolFault>> {
        Box::pin(async move { self.0.post(&message, context).await })
    }
}

fn cut(content: String) -> String {
    if content.chars().count() <= CONTENT_CHARS_MAX {
        return content;
    }
    content.chars().take(CONTENT_CHARS_MAX - CUT.len()).chain(CUT.chars()).collect()
}
