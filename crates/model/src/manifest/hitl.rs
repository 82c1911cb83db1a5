//! Approvals by a person (`hitl`).

use std::time::Duration;

use crate::glob::Glob;
use crate::reader::Field;
use crate::shape::{Also, Choice, Key, Need, Section, Shape, formats, words};
use crate::upstream::address;

/// Longest life of a request for approval in seconds: 30 days.
const TIMEOUT_SECONDS_MAX: u64 = 2_592_000;
/// Life of a request for approval when the manifest says nothing.
const TIMEOUT_SECONDS_DEFAULT: u64 = 300;

/// How a held call is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HitlMode {
    /// Out of band, by an operator.
    #[default]
    Enforce,
    /// The original let the requesting agent confirm its own call; accepted, treated as `Enforce`, with a warning.
    Interactive,
}

/// The `hitl` section.
#[derive(Clone, Debug)]
pub struct Hitl {
    /// How a held call is decided.
    pub mode: HitlMode,
    /// Tools that wait for a person.
    pub approval_required: Vec<Glob>,
    /// Tools that are recorded but not executed; wins over `approval_required`.
    pub shadow: Vec<Glob>,
    /// How long a request stays open; default 300 s.
    pub timeout: Duration,
    /// Whom to tell.
    pub notify: Notify,
    /// Signed decisions of the command line.
    pub signing: Signing,
}

/// Where a request for approval is announced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    /// The operational log.
    #[default]
    Log,
    /// An ntfy topic.
    Ntfy {
        /// Server; `None` = the module's credential.
        url: Option<String>,
        /// Topic.
        topic: String,
    },
    /// A Matrix room.
    Matrix {
        /// Room id or alias.
        room: String,
    },
    /// A POST to this address.
    Webhook {
        /// Address.
        url: String,
    },
}

/// Whether decisions from the command line must be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SigningMode {
    /// Not looked at.
    #[default]
    Off,
    /// Checked and recorded.
    Observe,
    /// Unsigned decisions are refused.
    Enforce,
}

/// The `hitl.signing` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// Whether decisions must be signed.
    pub mode: SigningMode,
    /// Ed25519 public key.
    pub public_key_path: Option<String>,
    /// Command shown to the operator; default `scoped-mcp-approve`.
    pub approve_command: String,
}

impl Default for Signing {
    fn default() -> Self {
        Self { mode: SigningMode::Off, public_key_path: None, approve_command: "scoped-mcp-approve".to_owned() }
    }
}

impl Default for Hitl {
    fn default() -> Self {
        Self {
            mode: HitlMode::Enforce,
            approval_required: Vec::new(),
            shadow: Vec::new(),
            timeout: Duration::from_secs(TIMEOUT_SECONDS_DEFAULT),
            notify: Notify::Log,
            signing: Signing::default(),
        }
    }
}

const MODES: [(&str, HitlMode); 2] = [("enforce", HitlMode::Enforce), ("interactive", HitlMode::Interactive)];
const NOTIFIERS: [(&str, Notifier); 4] =
    [("log", Notifier::Log), ("ntfy", Notifier::Ntfy), ("matrix", Notifier::Matrix), ("webhook", Notifier::Webhook)];
const SIGNINGS: [(&str, SigningMode); 3] =
    [("off", SigningMode::Off), ("observe", SigningMode::Observe), ("enforce", SigningMode::Enforce)];
const GLOBS: Shape = Shape::List(&Shape::Format(&formats::TOOL_GLOB));

pub(super) static HITL: Section = Section {
    path: "hitl",
    doc: "Approvals by a person.",
    keys: &[
        Key::new("mode", Shape::Word(&words(&MODES), Also::Nothing), "How a held call is decided. `interactive` is taken for `enforce`.")
            .or("enforce"),
        Key::new("approval_required", GLOBS, "Globs over served tool names: these calls wait for a person.").or("[]"),
        Key::new(
            "shadow",
            GLOBS,
            "Globs over served tool names: these calls are recorded and not executed. Wins over `approval_required`.",
        )
        .or("[]"),
        Key::new("timeout_seconds", Shape::Integer { min: 1, max: TIMEOUT_SECONDS_MAX }, "How long a request for approval stays open.")
            .or("300"),
        Key::new("notify", Shape::Section(&NOTIFY), "Where a request for approval is announced."),
        Key::new("signing", Shape::Section(&SIGNING), "Signed decisions of the command line."),
    ],
    needs: &[],
    choice: Choice::Free,
};

static NOTIFY: Section = Section {
    path: "hitl.notify",
    doc: "Where a request for approval is announced.",
    keys: &[
        Key::new("type", Shape::Word(&words(&NOTIFIERS), Also::Nothing), "The operational log, an ntfy topic, a Matrix room, or a POST.")
            .or("log"),
        Key::new("url", Shape::Format(&formats::ADDRESS), "Address: for `webhook` where to post, for `ntfy` the server."),
        Key::new("topic", Shape::Format(&formats::TOPIC), "Topic, for `ntfy`."),
        Key::new("room", Shape::Format(&formats::ROOM), "Room, for `matrix`."),
    ],
    needs: &[
        Need { when: "type", word: "ntfy", key: "topic", hint: NEEDED },
        Need { when: "type", word: "matrix", key: "room", hint: NEEDED },
        Need { when: "type", word: "webhook", key: "url", hint: NEEDED },
    ],
    choice: Choice::Free,
};
const NEEDED: &str = "the chosen `type` needs it";

static SIGNING: Section = Section {
    path: "hitl.signing",
    doc: "Whether decisions from the command line must be signed.",
    keys: &[
        Key::new("mode", Shape::Word(&words(&SIGNINGS), Also::False), "Not looked at, checked and recorded, or refused when unsigned.")
            .or("off"),
        Key::new("public_key_path", Shape::Filled, "File with the Ed25519 public key that decisions are checked against."),
        Key::new("approve_command", Shape::Filled, "Command that is shown to the operator.").or("scoped-mcp-approve"),
    ],
    needs: &[
        Need { when: "mode", word: "observe", key: "public_key_path", hint: CHECKED },
        Need { when: "mode", word: "enforce", key: "public_key_path", hint: CHECKED },
    ],
    choice: Choice::Free,
};
const CHECKED: &str = "decisions are checked against this key";

#[derive(Clone, Copy)]
enum Notifier {
    Log,
    Ntfy,
    Matrix,
    Webhook,
}

pub(super) fn read(field: &Field<'_>) -> Option<Hitl> {
    let table = field.table()?;
    let mode_field = table.get("mode");
    let mode = mode_field.as_ref().and_then(|f| f.word(&MODES)).unwrap_or_default();
    let globs = |key| table.read(key, |f| f.each(Field::glob)).unwrap_or_default();
    let hitl = Hitl {
        mode,
        approval_required: globs("approval_required"),
        shadow: globs("shadow"),
        timeout: Duration::from_secs(table.read("timeout_seconds", |f| f.integer()).unwrap_or(TIMEOUT_SECONDS_DEFAULT)),
        notify: table.read("notify", notify).unwrap_or_default(),
        signing: table.read("signing", signing).unwrap_or_default(),
    };
    if let Some(field) = mode_field.filter(|_| mode == HitlMode::Interactive) {
        if hitl.signing.mode == SigningMode::Enforce {
            field.error_hint("`interactive` excludes `signing.mode: enforce`", "use `mode: enforce`");
        } else {
            field.warning(
                "`interactive` would let the agent confirm its own call; calls wait for an operator as with `enforce`",
                "write `mode: enforce`",
            );
        }
    }
    table.finish();
    Some(hitl)
}

fn notify(field: &Field<'_>) -> Option<Notify> {
    let table = field.table()?;
    let kind = table.read("type", |f| f.word(&NOTIFIERS)).unwrap_or(Notifier::Log);
    let url = table.read("url", address);
    let topic = table.read("topic", |f| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        matching(f, |text| !text.is_empty() && text.len() <= 64 && text.bytes().all(allowed), "letters, digits, `_` and `-`, at most 64")
    });
    let room = table.read("room", |f| matching(f, is_room, "a Matrix room, `!id:server` or `#alias:server`"));
    let notify = match kind {
        Notifier::Ntfy => topic.map(|topic| Notify::Ntfy { url, topic }),
        Notifier::Matrix => room.map(|room| Notify::Matrix { room }),
        Notifier::Webhook => url.map(|url| Notify::Webhook { url }),
        Notifier::Log => Some(Notify::Log),
    };
    table.finish();
    notify
}

fn matching(field: &Field<'_>, good: impl Fn(&str) -> bool, rule: &str) -> Option<String> {
    let text = field.text()?;
    if !good(text) {
        field.error(format!("must be {rule}"));
        return None;
    }
    Some(text.to_owned())
}

fn is_room(text: &str) -> bool {
    let Some((local, server)) = text.strip_prefix(['!', '#']).and_then(|rest| rest.split_once(':')) else { return false };
    let within = |part: &str, extra: &[u8]| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b));
    text.len() <= 255 && within(local, b"._=/+-") && within(server, b".-:")
}

fn signing(field: &Field<'_>) -> Option<Signing> {
    let table = field.table()?;
    // Unquoted `off` is a boolean to the older YAML that the original reads.
    let mode = table.read("mode", |f| if f.is_false() { Some(SigningMode::Off) } else { f.word(&SIGNINGS) }).unwrap_or_default();
    let public_key_path = table.read("public_key_path", |f| f.filled().map(str::to_owned));
    let approve_command = table.read("approve_command", |f| f.filled().map(str::to_owned));
    table.finish();
    Some(Signing { mode, public_key_path, approve_command: approve_command.unwrap_or_else(|| Signing::default().approve_command) })
}
