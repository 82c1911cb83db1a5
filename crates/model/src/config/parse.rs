//! From text and environment to a [`Config`]: every section in its own file, all mistakes in one pass.

use super::{AuditConfig, AuthMode, Config, DatabaseUrl, Limits, Listen, LogConfig, NamesConfig, ShutdownConfig};
use super::{auth, connections, house, limits, listen, overlay, sections, server};
use crate::document::Document;
use crate::id::OrgId;
use crate::mistake::{Mistake, Mistakes, Reading, Report};
use crate::reader::{Field, Table};
use crate::shape::{Choice, Key, Section, Shape, formats};
use crate::substitute::substitute;

pub(crate) static CONFIG: Section = Section {
    path: "",
    doc: "The gateway: where it listens, what it keeps, the servers behind it, its limits. Every key is optional.",
    keys: &[
        Key::new("listen", Shape::Format(&formats::LISTEN), "Where to listen; port 0 takes a free one.").or("127.0.0.1:8700"),
        Key::new("public_url", Shape::Format(&formats::PUBLIC_URL), "Address that clients use. Absent: made from `listen`."),
        Key::new("path", Shape::Format(&formats::ENDPOINT_PATH), "Path of the MCP endpoint.").or("/mcp"),
        Key::new(
            "auth",
            Shape::WordOr(&listen::AUTH_WORDS, &auth::AUTH),
            "Who may call: whoever has an API key, or on a loopback address anybody. A mapping says more.",
        )
        .or("key"),
        Key::new("allowed_hosts", Shape::List(&Shape::Format(&formats::HOST)), "Further values of `Host` that are served.").or("[]"),
        Key::new("allowed_origins", Shape::List(&Shape::Format(&formats::ORIGIN)), "Origins that browsers may come from.").or("[]"),
        Key::new("state_dir", Shape::Filled, "Directory for the ledger and, by default, the database. Absent: the user's state directory."),
        Key::new(
            "database",
            Shape::Format(&formats::DATABASE),
            "`sqlite:PATH` or `postgres://...`. Absent: `bailiwick.db` in the state directory.",
        ),
        Key::new(
            "root_key_file",
            Shape::Filled,
            "File that holds the root key. Absent: `bailiwick/root.key` in the user's configuration directory.",
        ),
        Key::new("org", Shape::Format(&formats::ORG), "Organisation of agents that name none.").or("default"),
        Key::new("manifests", Shape::List(&Shape::Filled), "Manifest files, or globs over file names, relative to this file.").or("[]"),
        Key::new(
            "servers",
            Shape::Entries { names: &formats::SERVER_NAME, value: &Shape::Section(&server::SERVER), empty: false },
            "External MCP servers.",
        ),
        Key::new(
            "connections",
            Shape::Section(&connections::CONNECTIONS),
            "Servers that administrators register, and how people connect with them.",
        ),
        Key::new("names", Shape::Section(&sections::NAMES), "The names of tools as agents see them."),
        Key::new("limits", Shape::Section(&limits::SECTION), "Everything that is bounded."),
        Key::new("audit", Shape::Section(&sections::AUDIT), "The ledger."),
        Key::new("instructions", Shape::Section(&house::INSTRUCTIONS), "Versioned texts for agents. Absent: agents have no instructions."),
        Key::new("runs", Shape::Section(&house::RUNS), "Named stretches of work. Absent: agents have no runs."),
        Key::new("feedback", Shape::Boolean, "Whether agents have `feedback` and administrators `list_feedback`.").or("false"),
        Key::new("log", Shape::Section(&sections::LOG), "The operational log."),
        Key::new("shutdown", Shape::Section(&sections::SHUTDOWN), "How the process stops."),
    ],
    needs: &[],
    choice: Choice::Free,
};

/// Path of the MCP endpoint when nothing else is written.
const PATH_DEFAULT: &str = "/mcp";
/// Longest path of the endpoint in bytes.
const PATH_BYTES_MAX: usize = 128;
/// Paths that the gateway serves itself.
const PATHS_TAKEN: [&str; 10] = ["/", "/v1", "/connect", "/oauth", "/.well-known", "/livez", "/readyz", "/health", "/docs", "/metrics"];

impl Config {
    /// Reads a configuration; an empty `text` gives the defaults. `file` is its name in messages.
    ///
    /// `env` answers `${VAR}` in values and the variables of [`super::VARIABLES`], which stand over the file. For those that are secret the
    /// caller lets `NAME_FILE` stand for `NAME`.
    ///
    /// Gives the configuration and its warnings.
    ///
    /// # Errors
    /// Every mistake, with place and hint. No value of the text or of a variable is in them.
    pub fn parse(file: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<(Self, Vec<Mistake>), Mistakes> {
        Self::examine(file, text, env).finish()
    }

    /// Reads a configuration as far as it goes, with errors and warnings together.
    pub fn examine(file: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Reading<Self> {
        let report = Report::new(file);
        let Some(mut document) = Document::read(text, &report) else { return report.finish(None, None) };
        substitute(&mut document, env, &report);
        if document.root.value == crate::document::Value::Null {
            document.root.value = crate::document::Value::Map(Vec::new());
        }
        overlay::overlay(&mut document, env);
        let config = Field::root(&document.root, &CONFIG, &report).table().map(|root| {
            let config = Self { origins: overlay::origins(&document), ..read(&root) };
            check(&root, &config);
            root.finish();
            config
        });
        report.finish(config, Some(document))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            public_url: None,
            path: PATH_DEFAULT.to_owned(),
            auth: AuthMode::default(),
            issuers: Vec::new(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            state_dir: None,
            database: None,
            root_key_file: None,
            org: super::default_org(),
            manifests: Vec::new(),
            servers: Vec::new(),
            connections: None,
            names: NamesConfig::default(),
            limits: Limits::default(),
            audit: AuditConfig::default(),
            instructions: None,
            runs: None,
            feedback: false,
            log: LogConfig::default(),
            shutdown: ShutdownConfig::default(),
            origins: std::collections::BTreeMap::new(),
        }
    }
}

fn read(root: &Table<'_>) -> Config {
    let default = Config::default();
    let file_name = |f: &Field<'_>| f.filled().map(str::to_owned);
    let (auth, issuers) = root.read("auth", auth::auth).unwrap_or_default();
    Config {
        listen: root.read("listen", listen::listen).unwrap_or(default.listen),
        public_url: root.read("public_url", listen::public_url),
        path: root.read("path", path).unwrap_or(default.path),
        auth,
        issuers,
        allowed_hosts: root.read("allowed_hosts", |f| f.each(listen::host)).unwrap_or_default(),
        allowed_origins: root.read("allowed_origins", |f| f.each(listen::origin)).unwrap_or_default(),
        state_dir: root.read("state_dir", file_name),
        database: root.read("database", database),
        root_key_file: root.read("root_key_file", file_name),
        org: root.read("org", org).unwrap_or(default.org),
        manifests: root.read("manifests", |f| f.each(file_name)).unwrap_or_default(),
        servers: root.read("servers", server::servers).unwrap_or_default(),
        connections: root.read("connections", connections::connections),
        names: root.read("names", sections::names).unwrap_or_default(),
        limits: root.read("limits", limits::read).unwrap_or_default(),
        audit: root.read("audit", sections::audit).unwrap_or_default(),
        instructions: root.read("instructions", house::instructions),
        runs: root.read("runs", house::runs),
        feedback: root.read("feedback", Field::boolean).unwrap_or_default(),
        log: root.read("log", sections::log).unwrap_or_default(),
        shutdown: root.read("shutdown", sections::shutdown).unwrap_or_default(),
        origins: default.origins,
    }
}

/// What concerns several keys at once.
fn check(root: &Table<'_>, config: &Config) {
    if config.auth == AuthMode::None && !config.listen.is_loopback() {
        let field = root.get("auth").or_else(|| root.get("listen"));
        let message = "without authentication the gateway listens on a loopback address only";
        let hint = "write `auth: key`, or `listen: 127.0.0.1:8700`";
        match field {
            Some(field) => field.error_hint(message, hint),
            None => root.field.error_hint(message, hint),
        }
    }
    auth::check(root, config);
    let cap = config.limits.call_deadline_cap_seconds;
    for server in &config.servers {
        if server.timeout.is_some_and(|timeout| timeout.as_secs_f64() > seconds(cap)) {
            let message = format!("is longer than `limits.call_deadline_cap_seconds`, which is {cap}");
            root.field.report().error(server.place, &format!("servers.{}.timeout_seconds", server.name), message);
        }
    }
}

fn seconds(whole: u64) -> f64 {
    u32::try_from(whole).map_or(f64::MAX, f64::from)
}

fn path(field: &Field<'_>) -> Option<String> {
    let told = |rule: &'static str| if rule == PATH_TAKEN { field.error_hint(rule, "the default is `/mcp`") } else { field.error(rule) };
    endpoint_path(field.filled()?).map_err(told).ok()
}

const PATH_TAKEN: &str = "this path serves something else";

/// The path of the endpoint as it is served, from the way it is written.
///
/// # Errors
/// The rule that is broken.
pub fn endpoint_path(text: &str) -> Result<String, &'static str> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'.');
    if !text.starts_with('/') || text.len() > PATH_BYTES_MAX || !text.bytes().all(allowed) || text.contains("//") || text.contains("..") {
        return Err("must be a path such as `/mcp`: letters, digits, `/`, `_`, `-` and `.`, at most 128 characters");
    }
    let path = text.trim_end_matches('/');
    if path.is_empty() || PATHS_TAKEN.contains(&path) || path.starts_with("/v1/") || path.starts_with("/.well-known/") {
        return Err(PATH_TAKEN);
    }
    Ok(path.to_owned())
}

fn database(field: &Field<'_>) -> Option<DatabaseUrl> {
    DatabaseUrl::parse(field.filled()?).map_err(|rule| field.error(rule)).ok()
}

pub(super) fn org(field: &Field<'_>) -> Option<OrgId> {
    OrgId::parse(field.filled()?).map_err(|fault| field.error(fault.to_string())).ok()
}
