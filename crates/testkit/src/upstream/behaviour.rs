//! What a fake server does. Serialisable, so that a test can hand it to the stdio program.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::offer::{FakePrompt, FakeQuestion, FakeResource, News, Polling};

/// Everything a fake server can be told. The default: both eras, no sessions, JSON answers, the [`FakeTool::standard`] tools.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Tools in the order of the list.
    pub tools: Vec<FakeTool>,
    /// So many more read-only tools of about 800 bytes each, `filler_00000` and on.
    pub fillers: usize,
    /// Prompts in the order of the list. The capability is announced when there are any; so it is with what follows.
    pub prompts: Vec<FakePrompt>,
    /// Resources in the order of the list; they can be subscribed to.
    pub resources: Vec<FakeResource>,
    /// Template objects in the order of the list. Every URI that begins as one of them, up to its first `{`, can be read.
    pub templates: Vec<Value>,
    /// The values offered for an argument of this name, those that begin as the one given.
    pub completions: BTreeMap<String, Vec<String>>,
    /// Announces `logging` and takes `logging/setLevel`.
    pub logging: bool,
    /// Items on one page of a list; 0 puts all on one page.
    pub page: usize,
    /// Which revisions are understood.
    pub eras: Eras,
    /// The `initialize` era over HTTP hands out and requires `Mcp-Session-Id`.
    pub sessions: bool,
    /// The `initialize` era is answered with this revision whatever was asked for.
    pub legacy_revision: Option<String>,
    /// HTTP, `initialize` era: answers that are no stream come as a JSON array, with the notifications in front (2025-03-26).
    pub batch: bool,
    /// HTTP, `initialize` era: the stream of a call ends before the answer, which then comes by GET with `Last-Event-ID`.
    pub polling: Option<Polling>,
    /// HTTP answers come as an event stream even when there is only one message.
    pub sse: bool,
    /// Milliseconds before a `tools/call` is answered.
    pub delay_ms: u64,
    /// Milliseconds before `tools/list`, `initialize` and `server/discover` are answered.
    pub opening_delay_ms: u64,
    /// Progress notifications sent before the answer to a call that brought a progress token.
    pub progress: u32,
    /// What they say, in place of `step N`.
    pub progress_message: Option<String>,
    /// The server dies when this many calls have arrived; the last of them is not answered.
    pub crash_after: Option<u64>,
    /// A key is a method (`tools/list`) or a tool (`tool:echo`); such a request is answered by the fault.
    pub faults: BTreeMap<String, Fault>,
    /// Requests must carry `Authorization: Bearer` with this value; others get 401.
    pub bearer: Option<String>,
    /// Where the stdio program writes what arrived, one JSON object a line.
    pub record_to: Option<PathBuf>,
    /// Arrivals are kept in memory (or written to `record_to`). Off for benchmarks.
    pub record: bool,
    /// stdio only: how the process behaves towards its starter.
    pub process: ProcessHabits,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            tools: FakeTool::standard(),
            fillers: 0,
            prompts: Vec::new(),
            resources: Vec::new(),
            templates: Vec::new(),
            completions: BTreeMap::new(),
            logging: false,
            page: 0,
            eras: Eras::Both,
            sessions: false,
            legacy_revision: None,
            batch: false,
            polling: None,
            sse: false,
            delay_ms: 0,
            opening_delay_ms: 0,
            progress: 0,
            progress_message: None,
            crash_after: None,
            faults: BTreeMap::new(),
            bearer: None,
            record_to: None,
            record: true,
            process: ProcessHabits::default(),
        }
    }
}

impl Behaviour {
    /// A server with a little of everything: the standard tools, prompts `greet` and `review`, resources `note://one` and `note://two`, the
    /// template `file:///{path}`, completion of `name`, logging.
    #[must_use]
    pub fn rich() -> Self {
        Self {
            prompts: vec![FakePrompt::new("greet"), FakePrompt::new("review")],
            resources: vec![FakeResource::text("note://one", "first"), FakeResource::text("note://two", "second")],
            templates: vec![json!({"uriTemplate": "file:///{path}", "name": "files"})],
            completions: [("name".to_owned(), ["alice", "albert", "bob"].map(String::from).to_vec())].into(),
            logging: true,
            ..Self::default()
        }
    }

    /// What the server says that it can do.
    pub(super) fn capabilities(&self) -> Value {
        let mut capabilities = json!({"tools": {"listChanged": true}});
        if !self.prompts.is_empty() {
            capabilities["prompts"] = json!({"listChanged": true});
        }
        if !(self.resources.is_empty() && self.templates.is_empty()) {
            capabilities["resources"] = json!({"listChanged": true, "subscribe": true});
        }
        if !self.completions.is_empty() {
            capabilities["completions"] = json!({});
        }
        if self.logging {
            capabilities["logging"] = json!({});
        }
        capabilities
    }
}

/// Which revisions a fake server understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Eras {
    /// 2026-07-28 and the `initialize` revisions on one endpoint.
    #[default]
    Both,
    /// Only 2026-07-28: `initialize` is an unknown method.
    Modern,
    /// Only `initialize`; a modern probe is refused as an old SDK does it (400, code -32000, id null).
    Legacy,
}

/// How a stdio process treats whoever started it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessHabits {
    /// Lives on when its input ends.
    pub ignores_eof: bool,
    /// Lives on when it gets SIGTERM.
    pub ignores_sigterm: bool,
    /// Starts a child of its own, whose process id it writes into this file; the child sleeps for an hour.
    pub grandchild: Option<PathBuf>,
    /// Bytes of text written to standard error at start, in lines.
    pub stderr_bytes: usize,
    /// Ends at once with this exit code.
    pub exit_at_start: Option<u8>,
    /// Writes this line to standard output before anything else: what a server does that greets its users.
    pub greeting: Option<String>,
}

/// How a request goes wrong in place of its proper answer. What makes no sense over stdio closes the pipe there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The text of a web page with status 200 and content type JSON.
    Garbage,
    /// A proper answer under another id.
    WrongId,
    /// A result in which one member occurs twice.
    DuplicateMember,
    /// Arrays nested so deep.
    Deep(u32),
    /// A proper result with a text of so many bytes.
    Oversize(usize),
    /// An event (HTTP) or a line (stdio) that never ends, up to [`ENDLESS_BYTES_MAX`].
    Endless,
    /// Half of the answer, then the connection closes.
    Truncated,
    /// The connection closes without a byte.
    HangUp,
    /// No answer; the connection stays open.
    Silence,
    /// This HTTP status with a line of text.
    Status(u16),
    /// Status 307 to this address.
    Redirect(String),
    /// A JSON-RPC error.
    Rpc {
        /// The code.
        code: i64,
        /// The message.
        message: String,
        /// The data.
        #[serde(default)]
        data: Option<Value>,
    },
}

/// Bound of [`Fault::Endless`].
pub const ENDLESS_BYTES_MAX: usize = 256 << 20;

/// One tool: its definition as listed, and what a call of it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FakeTool {
    /// The whole tool object of `tools/list`; `name` must be in it.
    pub definition: Value,
    /// What a call does.
    pub act: Act,
}

/// What a call of a fake tool does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Act {
    /// Answers with the argument `payload` as text, byte for byte as it was escaped.
    Echo,
    /// Waits `ms` milliseconds, then echoes.
    Sleep,
    /// Answers with a text of `bytes` bytes, at most [`BIG_BYTES_MAX`].
    Big,
    /// Answers with `isError: true` and this text.
    Fail(String),
    /// Answers with exactly this result.
    Result(Value),
    /// The same with the text of a result, for spellings that a value does not keep.
    ResultText(String),
    /// Replaces the server's tools, tells everybody who listens, and answers with an empty text.
    ChangeTools(Vec<FakeTool>),
    /// Asks one question in the way of the era, and answers with the answer as JSON text (an error as `{"error":…}`). In the modern era a
    /// caller who did not declare the capability gets -32021.
    Ask {
        /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
        method: String,
        /// Its parameters.
        params: Value,
    },
    /// The same in several rounds of one or more questions at once; answers with the JSON array of all answers.
    AskRounds(Vec<Vec<FakeQuestion>>),
    /// Sends so many log messages before the answer, if the level is wanted: by the request in the modern era, otherwise by the last
    /// `logging/setLevel` (all of them before the first).
    Log {
        /// Their severity.
        level: String,
        /// How many.
        count: u32,
    },
    /// Sends these notifications (objects with `method` and `params`) before the answer.
    Notify(Vec<Value>),
    /// Tells the news to everybody who listens, and answers with an empty text.
    Announce(Vec<News>),
}

/// The largest text of [`Act::Big`].
pub const BIG_BYTES_MAX: usize = 32 << 20;

impl FakeTool {
    /// A tool with the given name, description and annotations, that takes `payload`, `ms` and `bytes`, all optional.
    #[must_use]
    pub fn new(name: &str, act: Act) -> Self {
        let schema = json!({
            "type": "object",
            "properties": {
                "payload": {"type": "string"},
                "ms": {"type": "integer", "minimum": 0},
                "bytes": {"type": "integer", "minimum": 0},
            },
        });
        Self { definition: json!({"name": name, "description": format!("Fake tool {name}."), "inputSchema": schema}), act }
    }

    /// Puts a member into the definition.
    #[must_use]
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.definition[member] = value;
        self
    }

    /// Declares the tool read-only.
    #[must_use]
    pub fn read_only(self) -> Self {
        self.with("annotations", json!({"readOnlyHint": true, "idempotentHint": true, "openWorldHint": false}))
    }

    /// `echo`, `sleep`, `big` (read-only), `write_note` (echoes, declares nothing), `fail`.
    #[must_use]
    pub fn standard() -> Vec<Self> {
        vec![
            Self::new("echo", Act::Echo).read_only(),
            Self::new("sleep", Act::Sleep).read_only(),
            Self::new("big", Act::Big).read_only(),
            Self::new("write_note", Act::Echo),
            Self::new("fail", Act::Fail("the fake tool was told to fail".into())),
        ]
    }

    pub(super) fn name(&self) -> &str {
        self.definition["name"].as_str().unwrap_or_default()
    }
}
