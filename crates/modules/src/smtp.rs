//! `smtp`: mail to listed recipients through one mail server (reference, tool modules section 8.4).
//!
//! The library writes the message; the dialogue is ours, because connections and TLS belong to [`crate::egress`], and because every line,
//! reply and wait of a foreign server has to be bounded.
//!
//! | File | Holds |
//! |---|---|
//! | `smtp/setup.rs` | configuration and credentials |
//! | `smtp/message.rs` | one message in its final bytes |
//! | `smtp/wire.rs` | commands and bounded replies |
//! | `smtp/dialogue.rs` | greeting, TLS, authentication, envelope, content |
//! | `smtp/fault.rs` | what a reply means for the agent |

mod dialogue;
mod fault;
mod message;
mod setup;
mod wire;

use std::sync::Arc;

use bailiwick_model::Code;
use lettre::Address;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::arguments::decode;
use crate::config::{ConfigKey, ConfigReader};
use crate::context::CallContext;
use crate::fault::{OpenFault, ToolFault};
use crate::module::{CredentialKey, ModuleDraft, ModuleKind, ModuleSetup, Pending, ToolModule};
use crate::notifier::{self, Notifier, SendModule};
use crate::schema::property;
use crate::spec::{Access, ToolSpec};
use dialogue::Server;
use setup::Settings;

/// Longest subject.
const SUBJECT_CHARS_MAX: usize = 1_000;

/// The module kind `smtp`.
#[derive(Clone, Copy, Debug)]
pub struct Kind;

impl ModuleKind for Kind {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        setup::KEYS
    }

    fn credentials(&self, config: &Map<String, Value>) -> Vec<CredentialKey> {
        setup::credentials(config)
    }

    fn check(&self, draft: ModuleDraft<'_>) -> Vec<OpenFault> {
        setup::check(&ConfigReader::from(draft))
    }

    fn tools(&self) -> Vec<(&'static str, Access)> {
        notifier::TOOLS.to_vec()
    }

    fn specs(&self) -> Vec<ToolSpec> {
        vec![Smtp::spec()]
    }

    fn open(&self, setup: ModuleSetup<'_>) -> Result<Arc<dyn ToolModule>, OpenFault> {
        let config = ConfigReader::new(setup, setup::KEYS)?;
        let settings = setup::settings(&config)?;
        let server = setup::server(&setup, &config)?;
        Ok(Arc::new(SendModule { notifier: Smtp { settings, server }, mode: setup.access }))
    }
}

struct Smtp {
    settings: Settings,
    server: Server,
}

/// One message, found in order.
struct Mail {
    to: Address,
    subject: String,
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    to: String,
    subject: String,
    body: String,
}

impl Notifier for Smtp {
    type Message = Mail;

    fn spec() -> ToolSpec {
        notifier::spec(
            "Send a mail",
            "Sends a plain text mail from the address you were given to one of your listed recipients. Several recipients, display names, \
             other addresses and line breaks in the subject are refused. True means that the mail server has taken the mail.",
            &[
                ("to", property("string", "One of your recipients, exactly as listed.", json!({}))),
                ("subject", property("string", "One line of at most 1,000 characters.", json!({}))),
                ("body", property("string", "The text, UTF-8.", json!({}))),
            ],
            &["to", "subject", "body"],
        )
    }

    fn prepare(&self, arguments: &str) -> Result<Mail, ToolFault> {
        let Arguments { to, subject, body } = decode(arguments)?;
        let Some(to) = self.settings.recipients.iter().find(|known| is_same(known, &to)).cloned() else {
            return Err(ToolFault::new(Code::ScopeViolation, "the recipient is not one of yours", "name one of your recipients exactly"));
        };
        if subject.chars().any(char::is_control) {
            return Err(ToolFault::invalid("`subject` holds a line break or another control character", "write one line of text"));
        }
        if subject.chars().count() > SUBJECT_CHARS_MAX {
            let about = format!("the subject is longer than {SUBJECT_CHARS_MAX} characters");
            return Err(ToolFault::limit("subject_chars", SUBJECT_CHARS_MAX as u64, about, "move the text to the body"));
        }
        let limit = self.settings.body_bytes_max;
        if body.len() as u64 > limit {
            let about = format!("the body is longer than {limit} bytes");
            return Err(ToolFault::limit("max_body_bytes", limit, about, "shorten it or send it in parts"));
        }
        Ok(Mail { to, subject, body })
    }

    fn deliver<'a>(&'a self, mail: Mail, context: CallContext<'a>) -> Pending<'a, Result<(), ToolFault>> {
        Box::pin(async move {
            let letter = message::write(&self.settings.from, mail, context)?;
            self.server.send(&letter, context).await
        })
    }
}

/// Whether `text` is the address itself; only its domain may be in another case.
fn is_same(address: &Address, text: &str) -> bool {
    text.rsplit_once('@').is_some_and(|(user, domain)| address.user() == user && address.domain().eq_ignore_ascii_case(domain))
}
