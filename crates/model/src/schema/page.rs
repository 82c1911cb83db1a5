//! The reference pages, for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::shapes::{default_of, name_of};
use crate::config::{CONFIG, VARIABLES};
use crate::manifest::{CREDENTIAL_MAP, CREDENTIAL_MAP_DOC, ConfigKey, MANIFEST, MODULE, PROXY, config_shape};
use crate::shape::{Also, Choice, Key, Section, Shape};

/// `docs/reference/manifest.md`.
#[must_use]
pub fn manifest_page() -> String {
    let mut page = opening("Manifest", &MANIFEST, "schema manifest");
    page.push_str(
        "YAML or JSON. Duplicate and unknown keys are refused. In values, `${NAME}` stands for an environment variable and `$${` for the text\n\
         `${`; in templates, `{agent_id}` and `{agent_type}` stand for the agent's own, and `{{`, `}}` for braces. An absent key may be\n\
         written as null. `bailiwick validate FILE` says what is wrong and where.\n",
    );
    for (_, section) in reached(&MANIFEST) {
        write_section(&mut page, section, &|_| None);
        if section.path == MODULE.path {
            page.push_str("\nThe keys of `config` are in [modules.md](modules.md); every module but `mcp_proxy` also takes ");
            page.push_str(&format!("`{CREDENTIAL_MAP}`: {}\n", lower_first(CREDENTIAL_MAP_DOC)));
        }
    }
    page
}

/// `docs/reference/configuration.md`.
#[must_use]
pub fn configuration_page() -> String {
    let mut page = opening("Configuration", &CONFIG, "schema config");
    page.push_str(
        "`bailiwick.yml` in the working directory, else `bailiwick/bailiwick.yml` in the user's configuration directory, or the file that\n\
         `--config` names. Environment variables stand over the file; lists in them are written with commas. A variable marked with * can\n\
         also be given as `NAME_FILE`, the path of a file that holds the value. In values, `${NAME}` stands for an environment variable and\n\
         `$${` for the text `${`; relative paths begin at the file. `bailiwick validate FILE` says what is wrong and where.\n",
    );
    for (path, section) in reached(&CONFIG) {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        let variable = |key: &Key| {
            let variable = VARIABLES.iter().find(|variable| variable.path == format!("{prefix}{}", key.name))?;
            Some(format!("`{}`{}", variable.name, if variable.secret { " *" } else { "" }))
        };
        write_section(&mut page, section, &variable);
    }
    page
}

/// One key of a module's configuration, in words.
#[derive(Debug)]
pub struct ConfigLine {
    /// The key.
    pub key: &'static str,
    /// What is written.
    pub value: String,
    /// Whether it must be there.
    pub required: bool,
    /// What it is for.
    pub doc: &'static str,
}

/// The keys of a module kind as the pages show keys.
#[must_use]
pub fn config_lines(keys: &[ConfigKey]) -> Vec<ConfigLine> {
    keys.iter()
        .map(|key| ConfigLine { key: key.name, value: value(config_shape(key.kind)), required: key.required, doc: key.doc })
        .collect()
}

fn opening(title: &str, root: &Section, command: &str) -> String {
    let made = format!("<!-- Made by `bailiwick {command} --markdown`; change the descriptions in the source instead. -->");
    format!("{made}\n\n# {title}\n\n{}\n\n", root.doc)
}

/// The root and every section beneath it, each once, in the order in which keys name them.
fn reached(root: &'static Section) -> Vec<(&'static str, &'static Section)> {
    let mut found = vec![("", root)];
    reach(root, &mut found);
    found
}

fn reach(section: &'static Section, found: &mut Vec<(&'static str, &'static Section)>) {
    for key in section.keys {
        let Some(inner) = section_of(key.shape) else { continue };
        if found.iter().any(|(_, known)| known.path == inner.path) {
            continue;
        }
        found.push((inner.path, inner));
        reach(inner, found);
        if inner.path == MODULE.path {
            found.push((PROXY.path, &PROXY));
        }
    }
}

fn section_of(shape: Shape) -> Option<&'static Section> {
    match shape {
        Shape::Section(section) | Shape::WordOr(_, section) => Some(section),
        Shape::List(of) | Shape::FullList(of) => section_of(*of),
        Shape::Entries { value, .. } => section_of(*value),
        Shape::Modules => Some(&MODULE),
        _ => None,
    }
}

fn write_section(page: &mut String, section: &Section, variable: &dyn Fn(&Key) -> Option<String>) {
    if !section.path.is_empty() {
        page.push_str(&format!("\n## `{}`\n\n{}\n", section.path, section.doc));
    }
    let variables = section.keys.iter().any(|key| variable(key).is_some());
    let (title, rule) = if variables { ("Variable | ", "---|") } else { ("", "") };
    page.push_str(&format!("\n| Key | Value | Default | {title}Meaning |\n|---|---|---|{rule}---|\n"));
    for key in section.keys {
        let default = match (key.required, default_of(key)) {
            (true, _) => "required".to_owned(),
            (_, Some(Value::String(text))) if text.is_empty() => String::new(),
            (_, Some(Value::String(text))) => format!("`{text}`"),
            (_, Some(value)) => format!("`{value}`"),
            (_, None) => String::new(),
        };
        let from = if variables { format!("{} | ", variable(key).unwrap_or_default()) } else { String::new() };
        // Writing to a text cannot fail.
        let _ = writeln!(page, "| `{}` | {} | {default} | {from}{} |", key.name, cell(&value(key.shape)), cell(key.doc));
    }
    match section.choice {
        Choice::Free => {}
        Choice::OneOf(keys) => page.push_str(&format!("\nExactly one of {} must be there.\n", quoted(keys))),
        Choice::AnyOf(keys) => page.push_str(&format!("\nAt least one of {} must be there.\n", quoted(keys))),
    }
    for need in section.needs {
        page.push_str(&format!("\n`{}: {}` needs `{}`.\n", need.when, need.word, need.key));
    }
}

/// What is written, in words.
fn value(shape: Shape) -> String {
    match shape {
        Shape::Text | Shape::Filled => "text".to_owned(),
        Shape::Format(format) => format!("{}, such as `{}`", format.name, format.example),
        Shape::Scalar => "text, whole number or boolean".to_owned(),
        Shape::JsonScalar => "text, number or boolean".to_owned(),
        Shape::SecretText => "text with `${secret:NAME}`".to_owned(),
        Shape::Boolean => "`true`, `false`".to_owned(),
        Shape::Integer { min: 0, max } if max >= (1 << 53) - 1 => "whole number".to_owned(),
        Shape::Integer { min, max } => format!("{min} to {max}"),
        Shape::Number => "number".to_owned(),
        Shape::Seconds { zero: true } => "seconds, from 0 to a day".to_owned(),
        Shape::Seconds { zero: false } => "seconds, above 0 to a day".to_owned(),
        Shape::Word(words, also) => {
            let more = if also == Also::Empty { ", or an empty text for none" } else { "" };
            format!("{}{more}", quoted(words))
        }
        Shape::WordOr(words, section) => format!("{}, or [mapping](#{})", quoted(words), anchor(section)),
        Shape::List(of) | Shape::FullList(of) => match section_of(*of) {
            Some(section) => format!("list of [{0}](#{1})", section.path, anchor(section)),
            None => format!("list: {}", value(*of)),
        },
        Shape::Entries { names, value: of, .. } => match section_of(*of) {
            Some(section) => format!("{} -> [{}](#{})", names.name, section.path, anchor(section)),
            None => format!("{} -> {}", names.name, value(*of)),
        },
        Shape::Section(section) => format!("[mapping](#{})", anchor(section)),
        Shape::Modules => format!("module key -> [module](#{})", anchor(&MODULE)),
        Shape::Config => "mapping, see [modules.md](modules.md)".to_owned(),
        Shape::AnyList => "list".to_owned(),
        Shape::AnyMap => "mapping".to_owned(),
        Shape::Any => "anything".to_owned(),
    }
}

/// As a heading's anchor is made: lower case, blanks as dashes, no other signs.
fn anchor(section: &Section) -> String {
    let kept = section.path.chars().filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' '));
    name_of(&kept.collect::<String>()).to_lowercase()
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}
