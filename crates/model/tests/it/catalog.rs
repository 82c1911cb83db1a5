//! The module kinds of these tests, with the configuration keys of the reference.

use std::sync::LazyLock;

use bailiwick_model::manifest::{Access, ConfigKey, ConfigKind, Manifest, ModuleCatalog};
use bailiwick_model::{Mistake, Mistakes};
use jsonschema::Validator;

use crate::schema;

const fn key(name: &'static str, required: bool, kind: ConfigKind, doc: &'static str) -> ConfigKey {
    ConfigKey { name, required, doc, kind }
}

const FILESYSTEM: &[ConfigKey] = &[
    key("base_path", true, ConfigKind::Text, "directory that holds the agents' directories"),
    key("max_read_bytes", false, ConfigKind::Integer, "largest file that is read"),
    key("max_write_bytes", false, ConfigKind::Integer, "largest file that is written"),
    key("layout", false, ConfigKind::Template, "directory of the agent below `base_path`"),
    key("extended_tools", false, ConfigKind::Boolean, "whether the later tools are offered"),
];
const SQLITE: &[ConfigKey] = &[key("db_dir", true, ConfigKind::Text, "directory that holds the agents' databases")];
const NTFY: &[ConfigKey] = &[
    key("topic", false, ConfigKind::Template, "topic"),
    key("max_priority", false, ConfigKind::OneOf(&["min", "low", "default", "high", "urgent"]), "highest priority"),
];
const MATRIX: &[ConfigKey] = &[key("allowed_rooms", true, ConfigKind::TextList, "rooms")];
const SMTP: &[ConfigKey] = &[
    key("from_address", true, ConfigKind::Text, "sender"),
    key("allowed_recipients", true, ConfigKind::TextList, "who may be written to"),
    key("tls", false, ConfigKind::OneOf(&["starttls", "implicit", "none"]), "kind of TLS"),
];
const NOTE: &[ConfigKey] = &[
    key("allowed_recipients", true, ConfigKind::TextList, "who may be written to"),
    key("labels", false, ConfigKind::TextMap, "labels"),
    key("factor", false, ConfigKind::Number, "factor"),
    key("max_priority", false, ConfigKind::OneOf(&["min", "low", "default", "high", "urgent"]), "highest priority"),
    key("services", false, ConfigKind::List, "services"),
    key("extra", false, ConfigKind::Map, "anything"),
];

pub(crate) struct Kinds;

/// Manifests of these kinds, as an editor checks them.
pub(crate) static MANIFEST: LazyLock<Validator> = LazyLock::new(|| schema::validator(&bailiwick_model::schema::manifest(&Kinds)));

impl ModuleCatalog for Kinds {
    fn config_keys(&self, kind: &str) -> Option<&[ConfigKey]> {
        match kind {
            "filesystem" => Some(FILESYSTEM),
            "sqlite" => Some(SQLITE),
            "note" => Some(NOTE),
            "ntfy" => Some(NTFY),
            "slack_webhook" | "discord_webhook" => Some(&[]),
            "matrix" => Some(MATRIX),
            "smtp" => Some(SMTP),
            _ => None,
        }
    }

    fn kinds(&self) -> Vec<&str> {
        vec!["filesystem", "note", "sqlite"]
    }

    fn tools(&self, kind: &str) -> Vec<(String, Access)> {
        let list: &[(&str, Access)] = match kind {
            "filesystem" => {
                &[("read_file", Access::Read), ("list_dir", Access::Read), ("write_file", Access::Write), ("delete_file", Access::Write)]
            }
            "sqlite" => &[("query", Access::Read), ("execute", Access::Write)],
            "note" | "ntfy" | "slack_webhook" | "discord_webhook" | "matrix" | "smtp" => &[("send", Access::Write)],
            _ => &[],
        };
        list.iter().map(|(name, access)| ((*name).to_owned(), *access)).collect()
    }
}

/// The environment of these tests.
pub(crate) fn env(name: &str) -> Option<String> {
    let value = match name {
        "BASE" => "/srv/data",
        "QUEUE_TOKEN" => "hunter2-queue",
        "BYTES" => "4096",
        "RATE" => "10/minute",
        "STRUCTURE" => "x\nmode: write\n- {a: ${secret:STOLEN}}",
        "EMPTY" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

pub(crate) fn parse(text: &str) -> Result<(Manifest, Vec<Mistake>), Mistakes> {
    Manifest::parse("agent.yml", text, &env, &Kinds)
}

#[track_caller]
pub(crate) fn good(text: &str) -> (Manifest, Vec<Mistake>) {
    crate::schema::admits(&MANIFEST, text);
    parse(text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// The whole text an operator sees.
#[track_caller]
pub(crate) fn bad(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("accepted"),
        Err(mistakes) => {
            assert!(mistakes.list().iter().all(|m| m.place.line > 0 && m.place.column > 0), "{mistakes}");
            for mistake in mistakes.list() {
                let Some(key) = mistake.message.strip_prefix("unknown key `").and_then(|rest| rest.strip_suffix('`')) else { continue };
                let line = text.lines().nth(mistake.place.line as usize - 1).unwrap_or_default();
                let there: String = line.chars().skip(mistake.place.column as usize - 1).take(key.len()).collect();
                assert!(there == key || there.starts_with('"') || key.ends_with("..."), "{mistake}: there stands {there}");
            }
            mistakes.to_string()
        }
    }
}
