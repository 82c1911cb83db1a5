//! Sections that are mostly there for compatibility.

use crate::reader::Field;
use crate::sensitive::Sensitive;
use crate::shape::{Also, Choice, Key, Need, Section, Shape, words};

const BACKENDS: [(&str, bool); 2] = [("in_process", false), ("dragonfly", true)];

pub(super) static AUDIT: Section = Section {
    path: "audit",
    doc: "What the readable call record shows. The ledger is not affected.",
    keys: &[
        Key::new("log_args", Shape::Boolean, "Whether the record shows arguments, with secrets redacted.").or("true"),
        Key::new("otel_service_name", Shape::Filled, "Service name in traces.").or("scoped-mcp"),
        Key::new("agent_bus_emit", Shape::Boolean, "Accepted for compatibility; has no effect.").or("false"),
        Key::new("agent_bus_hitl_emit", Shape::Boolean, "Accepted for compatibility; has no effect.").or("false"),
        Key::new("agent_bus_comms_dir", Shape::Text, "Accepted for compatibility; has no effect."),
    ],
    needs: &[],
    choice: Choice::Free,
};

pub(super) static COMPAT: Section = Section {
    path: "compat",
    doc: "What early versions of scoped-mcp did differently.",
    keys: &[
        Key::new("doubled_names", Shape::Boolean, "Whether a tool also answers to its name with the module key twice; never listed so.")
            .or("false"),
        Key::new("status_tool", Shape::Boolean, "Whether the agent has the tool `scoped_mcp_status`, which tells how its modules are.")
            .or("false"),
    ],
    needs: &[],
    choice: Choice::Free,
};

pub(super) static STATE_BACKEND: Section = Section {
    path: "state_backend",
    doc: "Accepted for compatibility: Bailiwick's own store keeps the state.",
    keys: &[
        Key::new("type", Shape::Word(&words(&BACKENDS), Also::Nothing), "The kind of store.").or("in_process"),
        Key::new("url", Shape::Filled, "Address of a server that speaks the Redis protocol, for `type: dragonfly`."),
    ],
    needs: &[Need { when: "type", word: "dragonfly", key: "url", hint: "`type: dragonfly` needs the address of the server" }],
    choice: Choice::Free,
};

/// A size of binary blocks; 0 is no limit.
pub(super) const BINARY_BYTES: Shape = Shape::Integer { min: 0, max: 1 << 40 };

pub(super) static CONTENT_LIMITS: Section = Section {
    path: "content_limits",
    doc: "What of a result may reach the agent.",
    keys: &[Key::new(
        "max_binary_bytes",
        BINARY_BYTES,
        "Largest binary block in bytes; larger ones are replaced by a short text. 0 = no limit.",
    )
    .or("10485760")],
    needs: &[],
    choice: Choice::Free,
};

/// The `audit` section. `agent_bus_*` keys are checked and ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// Whether the readable call record shows (redacted) arguments; default true.
    pub log_args: bool,
    /// Service name in traces; default `scoped-mcp`.
    pub otel_service_name: String,
}

/// The `compat` section (ours; absent in the original).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compat {
    /// Whether a tool also answers to its name with the module key twice, as early versions of scoped-mcp served it; never listed so.
    pub doubled_names: bool,
    /// Whether the agent has the tool [`STATUS_TOOL`], which tells how its modules are.
    pub status_tool: bool,
}

/// Key of the module behind the tool `scoped_mcp_status`.
pub const STATUS_KEY: &str = "scoped_mcp";
/// The tool of `compat.status_tool`.
pub const STATUS_TOOL: &str = "scoped_mcp_status";

/// The `state_backend` section; our own store keeps the state whatever it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StateBackend {
    /// Default.
    #[default]
    InProcess,
    /// A server that speaks the Redis protocol.
    Dragonfly {
        /// May hold a password.
        url: Sensitive,
    },
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { log_args: true, otel_service_name: "scoped-mcp".to_owned() }
    }
}

pub(super) fn audit(field: &Field<'_>) -> Option<AuditSettings> {
    let table = field.table()?;
    let default = AuditSettings::default();
    let settings = AuditSettings {
        log_args: table.read("log_args", Field::boolean).unwrap_or(default.log_args),
        otel_service_name: table.read("otel_service_name", |f| f.filled().map(str::to_owned)).unwrap_or(default.otel_service_name),
    };
    for key in ["agent_bus_emit", "agent_bus_hitl_emit"] {
        if let Some(field) = table.get(key).filter(|field| field.boolean() == Some(true)) {
            field.warning("has no effect: there is no agent bus", "remove it; every call is on the ledger");
        }
    }
    table.read("agent_bus_comms_dir", |f| f.text().map(drop));
    table.finish();
    Some(settings)
}

pub(super) fn compat(field: &Field<'_>) -> Option<Compat> {
    let table = field.table()?;
    let flag = |key| table.read(key, Field::boolean).unwrap_or(false);
    let compat = Compat { doubled_names: flag("doubled_names"), status_tool: flag("status_tool") };
    table.finish();
    Some(compat)
}

pub(super) fn state_backend(field: &Field<'_>) -> Option<StateBackend> {
    let table = field.table()?;
    let remote = table.read("type", |f| f.word(&BACKENDS)).unwrap_or(false);
    let url = table.read("url", |f| f.filled().map(Sensitive::new));
    if remote && table.get("url").is_some() {
        let message = "the server is not used: rates and approvals are kept in the gateway's own database, for all gateways on it";
        field.warning(message, "remove the section; name a PostgreSQL database as `database` when several machines serve one agent");
    }
    table.finish();
    match url {
        Some(url) if remote => Some(StateBackend::Dragonfly { url }),
        _ => Some(StateBackend::InProcess),
    }
}

/// `Some(None)` when it is switched off.
pub(super) fn content_limits(field: &Field<'_>) -> Option<Option<u64>> {
    let table = field.table()?;
    let bytes = table.read("max_binary_bytes", binary_bytes);
    table.finish();
    bytes
}

/// A size in bytes; 0 is no limit.
pub(super) fn binary_bytes(field: &Field<'_>) -> Option<Option<u64>> {
    field.integer().map(|bytes| (bytes > 0).then_some(bytes))
}
