//! `ntfy`: notifications to one topic of an ntfy server (reference, tool modules section 8.3).
//!
//! Title and tags travel as headers. What is not plain ASCII goes as encoded words (RFC 2047), which ntfy decodes in every header.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::arguments::decode;
use crate::config::{ConfigKey, ConfigKind, ConfigReader};
use crate::context::CallContext;
use crate::egress::{HttpClient, HttpRequest};
use crate::encoded_word;
use crate::fault::{OpenFault, ToolFault};
use crate::module::{CredentialKey, ModuleDraft, ModuleKind, ModuleSetup, Pending, ToolModule};
use crate::notifier::{self, Notifier, SendModule};
use crate::schema::property;
use crate::service::{self, ALLOW_PRIVATE, CA_FILE, NOTIFIER_LIMITS, without_credential};
use crate::spec::{Access, ToolSpec};
use crate::withheld::Withheld;

/// Most characters of a title or a list of tags; the rest is cut.
const HEADER_CHARS_MAX: usize = 250;
/// Largest message; a server would turn a longer one into an attachment.
const MESSAGE_BYTES_MAX: usize = 4_096;
/// Longest topic (ntfy's own rule).
const TOPIC_BYTES_MAX: usize = 64;
const TOPIC_DEFAULT: &str = "agents-{agent_id}";
/// The words of ntfy, lowest first: the place in the list plus one is the number.
const PRIORITIES: [&str; 5] = ["min", "low", "default", "high", "urgent"];
const URL: &str = "NTFY_URL";
const TOKEN: &str = "NTFY_TOKEN";
/// What an agent can do where the server wants a token.
const NO_TOKEN: &str = "ask the operator to give `NTFY_TOKEN` in the credential source";
const TITLE: HeaderName = HeaderName::from_static("title");
const PRIORITY: HeaderName = HeaderName::from_static("priority");
const TAGS: HeaderName = HeaderName::from_static("tags");

const KEYS: &[ConfigKey] = &[
    ConfigKey {
        name: "topic",
        required: false,
        doc: "Topic that messages go to; {agent_id} and {agent_type} are replaced. Default agents-{agent_id}.",
        kind: ConfigKind::Template,
    },
    ConfigKey {
        name: "max_priority",
        required: false,
        doc: "Highest priority: min, low, default, high or urgent. What is higher is lowered to it. Default urgent.",
        kind: ConfigKind::OneOf(&PRIORITIES),
    },
    ALLOW_PRIVATE,
    CA_FILE,
];

/// The module kind `ntfy`.
#[derive(Clone, Copy, Debug)]
pub struct Kind;

impl ModuleKind for Kind {
    fn name(&self) -> &'static str {
        "ntfy"
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        KEYS
    }

    fn credentials(&self, _: &Map<String, Value>) -> Vec<CredentialKey> {
        vec![CredentialKey::required(URL), CredentialKey::optional(TOKEN)]
    }

    fn check(&self, draft: ModuleDraft<'_>) -> Vec<OpenFault> {
        let config = ConfigReader::from(draft);
        let own = [topic(&config).err(), max_priority(&config).err()];
        own.into_iter().flatten().chain(service::range_faults(&config)).collect()
    }

    fn tools(&self) -> Vec<(&'static str, Access)> {
        notifier::TOOLS.to_vec()
    }

    fn specs(&self) -> Vec<ToolSpec> {
        vec![Ntfy::spec()]
    }

    fn open(&self, setup: ModuleSetup<'_>) -> Result<Arc<dyn ToolModule>, OpenFault> {
        use secrecy::ExposeSecret;

        let config = ConfigReader::new(setup, KEYS)?;
        let topic = topic(&config)?;
        let max_priority = max_priority(&config)?;
        let url = service::credential(&setup, URL)?.expose_secret();
        let client = service::client(URL, url, &config, setup.host, NOTIFIER_LIMITS)?;
        let token = setup.credentials.get(TOKEN);
        let withheld = Withheld::new(token.map(ExposeSecret::expose_secret).into_iter().chain([url]));
        let token = token.map(|token| service::authorization("Bearer", TOKEN, token)).transpose()?;
        Ok(Arc::new(SendModule { notifier: Ntfy { client, topic, max_priority, token, withheld }, mode: setup.access }))
    }
}

fn topic(config: &ConfigReader<'_>) -> Result<String, OpenFault> {
    let topic = config.expand("topic", config.text("topic")?.unwrap_or(TOPIC_DEFAULT))?;
    let fits = (1..=TOPIC_BYTES_MAX).contains(&topic.len());
    if fits && topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return Ok(topic);
    }
    let remedy = format!("write at most {TOPIC_BYTES_MAX} letters of a-z, A-Z, digits, `-` and `_`, the agent's id counted");
    Err(OpenFault::about("topic", "is not the name of a topic once its fields are replaced", remedy))
}

/// The place in [`PRIORITIES`].
fn max_priority(config: &ConfigReader<'_>) -> Result<usize, OpenFault> {
    let word = config.text("max_priority")?.unwrap_or("urgent");
    PRIORITIES
        .iter()
        .position(|known| *known == word)
        .ok_or_else(|| OpenFault::about("max_priority", "is not a priority", format!("use one of: {}", PRIORITIES.join(", "))))
}

struct Ntfy {
    client: HttpClient,
    topic: String,
    max_priority: usize,
    token: Option<HeaderValue>,
    withheld: Withheld,
}

struct Message {
    title: Option<HeaderValue>,
    tags: Option<HeaderValue>,
    priority: &'static str,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    title: String,
    message: String,
    #[serde(default = "default_priority")]
    priority: String,
    #[serde(default)]
    tags: String,
}

fn default_priority() -> String {
    "default".to_owned()
}

impl Notifier for Ntfy {
    type Message = Message;

    fn spec() -> ToolSpec {
        let priority = "Urgency: min, low, default, high or urgent (1 to 5, max = urgent). Lowered to the highest one you were given.";
        let words: Vec<String> =
            PRIORITIES.iter().map(|word| (*word).to_owned()).chain(["max".to_owned()]).chain((1..=5).map(|n| n.to_string())).collect();
        notifier::spec(
            "Send a notification",
            "Sends a push notification through ntfy to the topic you were given, where people read it. Messages of more than 4,096 bytes are \
             refused; title and tags are cut at 250 characters and line breaks in them become spaces.",
            &[
                ("title", property("string", "Headline of the notification, one line.", json!({}))),
                ("message", property("string", "The text, at most 4,096 bytes of UTF-8.", json!({}))),
                ("priority", property("string", priority, json!({ "default": "default", "enum": words }))),
                ("tags", property("string", "Tags or emoji names, separated by commas.", json!({ "default": "" }))),
            ],
            &["title", "message"],
        )
    }

    fn prepare(&self, arguments: &str) -> Result<Message, ToolFault> {
        let Arguments { title, message, priority, tags } = decode(arguments)?;
        if message.len() > MESSAGE_BYTES_MAX {
            let about = format!("the message is longer than {MESSAGE_BYTES_MAX} bytes");
            return Err(ToolFault::limit("message_bytes", MESSAGE_BYTES_MAX as u64, about, "shorten it or send it in parts"));
        }
        let priority = place(&priority)?.min(self.max_priority);
        Ok(Message { title: line(&title)?, tags: line(&tags)?, priority: PRIORITIES[priority], text: message })
    }

    fn deliver<'a>(&'a self, message: Message, context: CallContext<'a>) -> Pending<'a, Result<(), ToolFault>> {
        let target = self.client.base().at(&format!("/{}", self.topic));
        let mut request = HttpRequest::new(Method::POST, target)
            .with(PRIORITY, HeaderValue::from_static(message.priority))
            .with_body("text/plain; charset=utf-8", message.text);
        let more = [(TITLE, message.title), (TAGS, message.tags), (header::AUTHORIZATION, self.token.clone())];
        for (name, value) in more.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            request = request.with(name, value);
        }
        Box::pin(async move {
            let sent = notifier::confirmed(&self.client, &self.withheld, request, context).await;
            sent.map_err(|fault| if self.token.is_some() { fault } else { without_credential(fault, NO_TOKEN) })
        })
    }
}

/// The place of a word or number in [`PRIORITIES`].
fn place(priority: &str) -> Result<usize, ToolFault> {
    match priority {
        "max" | "5" => Some(4),
        "1" => Some(0),
        "2" => Some(1),
        "3" => Some(2),
        "4" => Some(3),
        word => PRIORITIES.iter().position(|known| *known == word),
    }
    .ok_or_else(|| ToolFault::invalid("`priority` is not a priority", format!("use one of: {}, max, 1 to 5", PRIORITIES.join(", "))))
}

/// One header line: line breaks become spaces, other control characters go. `None` when nothing is left.
fn line(text: &str) -> Result<Option<HeaderValue>, ToolFault> {
    let spaced = text.chars().map(|c| if c == '\n' { ' ' } else { c });
    let line: String = spaced.filter(|c| !c.is_control()).take(HEADER_CHARS_MAX).collect();
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    let ascii = if encoded_word::is_plain(line) { line.to_owned() } else { encoded_word::words(line).join(" ") };
    HeaderValue::try_from(ascii).map(Some).map_err(|cause| ToolFault::internal(format!("a header cannot be written: {cause}")))
}
