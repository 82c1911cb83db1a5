//! One entry under `modules`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::catalog::{Access, ConfigKey, ModuleCatalog};
use super::proxy::{self, PROXY_KIND, ProxyConfig};
use super::servers::mode;
use super::values;
use crate::document::{Entry, Node, Place, Value as Tree};
use crate::mistake::{nearest, printable};
use crate::name::is_module_key;
use crate::reader::{Field, member, unknown_key};
use crate::shape::{Choice, Key, Section, Shape, formats};

pub(crate) static MODULE: Section = Section {
    path: "modules.KEY",
    doc: "One instance of a module. The key names it and prefixes its tools (`KEY_read_file`).",
    keys: &[
        Key::new(
            "mode",
            super::servers::MODE,
            "`read` offers the tools that only look, `write` all of them. Absent: all of them, with a warning where some write.",
        ),
        Key::new("type", Shape::Filled, "The module; absent when the key itself is the module's name."),
        Key::new("config", Shape::Config, "Its configuration; the keys are the module's own."),
        Key::new("optional", Shape::Boolean, "Whether the agent starts without the module when it cannot be opened.").or("false"),
        Key::new(
            "dependency_wait_timeout_seconds",
            Shape::Seconds { zero: true },
            "How long to wait for a port on this machine before the module is loaded; 0 = not at all.",
        )
        .or("30"),
        Key::new("dependency_wait_interval_seconds", Shape::Seconds { zero: false }, "Pause between two attempts.").or("1"),
    ],
    needs: &[],
    choice: Choice::Free,
};

/// One instance of a module kind.
#[derive(Clone)]
pub struct ModuleEntry {
    /// Key in the manifest: names the instance and prefixes its tools.
    pub key: String,
    /// Module kind: `type`, or the key when `type` is absent.
    pub kind: String,
    /// `mode`; `None` = all tools of the module.
    pub access: Option<Access>,
    /// The configuration for the module kind, variables replaced, checked against its keys, `credential_map` taken out. Empty for `mcp_proxy`.
    pub config: Map<String, Value>,
    /// The configuration of an `mcp_proxy` module, `None` for every other kind.
    pub proxy: Option<ProxyConfig>,
    /// Credential name the module asks for -> name in the source.
    pub credential_map: BTreeMap<String, String>,
    /// Whether the agent starts without the module when it cannot be opened; default false.
    pub optional: bool,
    /// How long to wait for a loopback port before loading; zero = not at all. Default 30 s.
    pub dependency_wait_timeout: Duration,
    /// Pause between two attempts; default 1 s.
    pub dependency_wait_interval: Duration,
    /// Where the entry stands.
    pub place: Place,
    /// Where each key of `config` stands, for faults that a module finds when it is opened.
    pub config_places: BTreeMap<String, Place>,
}

impl fmt::Debug for ModuleEntry {
    /// Without the values of `config`: they may be substituted secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModuleEntry")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("access", &self.access)
            .field("config", &self.config.keys().collect::<Vec<_>>())
            .field("proxy", &self.proxy)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}

const WAIT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
const WAIT_INTERVAL_DEFAULT: Duration = Duration::from_secs(1);
/// Key in every configuration that a module kind describes: credential name the module asks for -> name in the source.
pub(crate) const CREDENTIAL_MAP: &str = "credential_map";
pub(crate) const CREDENTIAL_MAP_DOC: &str = "Credential name that the module asks for -> name in the source.";
pub(crate) const CREDENTIAL_MAP_SHAPE: Shape = Shape::Entries { names: &formats::ANY, value: &Shape::Filled, empty: false };

pub(super) fn read(field: &Field<'_>, kinds: &dyn ModuleCatalog) -> Option<Vec<ModuleEntry>> {
    let entries = field.entries()?;
    if entries.is_empty() {
        field.error_hint("must not be empty", "list at least one module, or leave `modules` out and list `servers`");
    }
    Some(entries.iter().filter_map(|(entry, field)| module(entry, field, kinds)).collect())
}

fn module(entry: &Entry, field: &Field<'_>, kinds: &dyn ModuleCatalog) -> Option<ModuleEntry> {
    if !is_module_key(&entry.key) {
        let rule = "a module key is a letter, then letters, digits, `_` and `-`, at most 32, without `__` and not ending in `_`";
        field.report().error_hint(entry.key_place, &field.path, rule, "the key prefixes the names of the module's tools");
    }
    // `grafana:` with nothing behind it is a module with every default.
    let empty = Node { value: Tree::Map(Vec::new()), place: entry.key_place };
    let field = if field.is_null() { field.instead(&empty) } else { field.clone() };
    let table = field.table()?;
    let mode_field = table.get("mode");
    let access = mode_field.as_ref().and_then(mode).flatten();
    let kind_field = table.get("type");
    let kind = kind_field.as_ref().map_or(Some(entry.key.as_str()), Field::filled);
    let optional = table.read("optional", Field::boolean).unwrap_or(false);
    let wait_timeout = table.read("dependency_wait_timeout_seconds", |f| f.seconds()).unwrap_or(WAIT_TIMEOUT_DEFAULT);
    let wait_interval = table.read("dependency_wait_interval_seconds", |f| f.seconds()).unwrap_or(WAIT_INTERVAL_DEFAULT);
    let no_config = Node { value: Tree::Map(Vec::new()), place: field.place() };
    let config =
        table.get("config").unwrap_or_else(|| Field::new(&no_config, member(&field.path, "config"), Shape::Config, field.report()));
    let configured = kind.and_then(|kind| match kinds.config_keys(kind) {
        _ if kind == PROXY_KIND => config
            .shaped(Shape::Section(&proxy::PROXY))
            .table()
            .and_then(proxy::read)
            .map(|proxy| Configured { proxy: Some(proxy), ..Configured::default() }),
        Some(keys) => {
            warn_of_mode(entry, &field, mode_field.as_ref(), access, &kinds.tools(kind));
            configure(&config, kind, keys)
        }
        None => {
            unknown_kind(entry, &field, kind_field.as_ref(), kind, kinds);
            None
        }
    });
    table.finish();
    let Configured { values, places, proxy, credential_map } = configured?;
    Some(ModuleEntry {
        key: entry.key.clone(),
        kind: kind?.to_owned(),
        access,
        config: values,
        proxy,
        credential_map,
        optional,
        dependency_wait_timeout: wait_timeout,
        dependency_wait_interval: wait_interval,
        place: entry.key_place,
        config_places: places,
    })
}

#[derive(Default)]
struct Configured {
    values: Map<String, Value>,
    places: BTreeMap<String, Place>,
    proxy: Option<ProxyConfig>,
    credential_map: BTreeMap<String, String>,
}

fn configure(config: &Field<'_>, kind: &str, keys: &[ConfigKey]) -> Option<Configured> {
    let mut configured = Configured::default();
    let known: Vec<&str> = keys.iter().map(|key| key.name).chain([CREDENTIAL_MAP]).collect();
    for (entry, field) in config.entries()? {
        if field.is_null() {
            continue;
        }
        if entry.key == CREDENTIAL_MAP {
            configured.credential_map = credential_map(&field.shaped(CREDENTIAL_MAP_SHAPE));
        } else if let Some(key) = keys.iter().find(|key| key.name == entry.key) {
            configured.places.insert(entry.key.clone(), field.place());
            if let Some(value) = values::read(&field.shaped(values::shape(key.kind)), key.kind) {
                configured.values.insert(entry.key.clone(), value);
            }
        } else if kind == "sqlite" && entry.key == "db_path" {
            let hint = "write `db_dir` with the directory; the file in it is `agent_<agent_id>.db`";
            field.report().error_hint(entry.key_place, &field.path, "`db_path` is no longer accepted: every agent has its own file", hint);
        } else {
            unknown_key(config, entry, &known);
        }
    }
    for key in keys.iter().filter(|key| key.required) {
        match config.member(key.name) {
            Some(field) if values::is_empty(field.node) => field.error(format!("must not be empty: module `{kind}` needs it")),
            Some(_) => {}
            None => {
                let (path, message) = (member(&config.path, key.name), format!("missing key `{}`", key.name));
                config.report().error_hint(config.place(), &path, message, format!("module `{kind}` needs it: {}", key.doc));
            }
        }
    }
    Some(configured)
}

fn credential_map(field: &Field<'_>) -> BTreeMap<String, String> {
    let read = |(entry, field): (&Entry, Field<'_>)| Some((entry.key.clone(), field.filled()?.to_owned()));
    field.entries().unwrap_or_default().into_iter().filter_map(read).collect()
}

fn warn_of_mode(entry: &Entry, field: &Field<'_>, mode: Option<&Field<'_>>, access: Option<Access>, tools: &[(String, Access)]) {
    let has = |wanted: Access| tools.iter().any(|(_, access)| *access == wanted);
    match (mode, access) {
        (_, None) if has(Access::Read) && has(Access::Write) => {
            let message = "no `mode`: every tool of the module is offered, the writing ones too";
            field.report().lenient(entry.key_place, &field.path, message, "write `mode: read` or `mode: write`");
        }
        (Some(mode), Some(Access::Read)) if !tools.is_empty() && !has(Access::Read) => {
            mode.warning("offers no tool: the module only writes", "write `mode: write`, or remove the module");
        }
        _ => {}
    }
}

fn unknown_kind(entry: &Entry, field: &Field<'_>, kind_field: Option<&Field<'_>>, kind: &str, kinds: &dyn ModuleCatalog) {
    let mut built: Vec<&str> = kinds.kinds();
    if !built.contains(&PROXY_KIND) {
        built.push(PROXY_KIND);
    }
    built.sort_unstable();
    let mut hint = nearest(kind, built.iter().copied()).map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    hint.push_str(&format!("modules of this build: {}", built.join(", ")));
    let message = format!("this build has no module `{}`", printable(kind));
    match kind_field {
        Some(field) => field.error_hint(message, hint),
        None => field.report().error_hint(
            entry.key_place,
            &field.path,
            message,
            format!("{hint}; `type` names the module when the key does not"),
        ),
    }
}
