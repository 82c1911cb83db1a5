//! Every data source that panels, queries, variables, annotations or the data of an alert rule refer to.
//!
//! Grafana runs what is stored with the rights of the viewer or of the organisation, so a reference that is stored is as good as a query.
//! References are looked for at every depth, under every spelling that Grafana's readers take for the key (Go's JSON reader minds no
//! case), and where leaving one out means the default.

use std::collections::BTreeSet;

use bailiwick_model::Code;
use serde_json::{Map, Value};

use crate::fault::ToolFault;

/// One data source that something refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reference {
    /// The organisation's default.
    Default,
    /// By uid, name or number.
    Named(String),
}

/// References that are no data source of the organisation, and why they pass:
/// expressions compute on other queries of the same rule or panel; `Mixed` makes every target name its own; `Dashboard` shows another
/// panel of the same dashboard; `Grafana` is the built-in source of annotations, which holds no data of another source.
const BUILT_IN: [&str; 6] = ["__expr__", "-100", "-- Mixed --", "-- Dashboard --", "-- Grafana --", "grafana"];
const MIXED: &str = "-- Mixed --";

impl Reference {
    pub(super) fn is_built_in(&self) -> bool {
        matches!(self, Self::Named(name) if BUILT_IN.contains(&name.as_str()))
    }
}

/// Everything that `value` (a dashboard, or its panels) refers to.
///
/// # Errors
/// `scope_violation` for what cannot be judged: variables in place of a data source, and library panels, whose content lies elsewhere.
pub(super) fn of_dashboard(value: &Value) -> Result<BTreeSet<Reference>, ToolFault> {
    let mut found = BTreeSet::new();
    walk(value, &mut found)?;
    Ok(found)
}

/// Everything that the `data` of an alert rule refers to.
///
/// # Errors
/// As [`of_dashboard`].
pub(super) fn of_alert(data: &[Value]) -> Result<BTreeSet<Reference>, ToolFault> {
    let mut found = BTreeSet::new();
    for query in data {
        let Value::Object(query) = query else {
            return Err(ToolFault::invalid("an entry of `data` is not an object", "write every query as an object"));
        };
        if !names_source(query) {
            found.insert(Reference::Default);
        }
        walk_object(query, &mut found)?;
    }
    Ok(found)
}

fn walk(value: &Value, found: &mut BTreeSet<Reference>) -> Result<(), ToolFault> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| walk(item, found)),
        Value::Object(map) => walk_object(map, found),
        _ => Ok(()),
    }
}

fn walk_object(map: &Map<String, Value>, found: &mut BTreeSet<Reference>) -> Result<(), ToolFault> {
    for (key, value) in map {
        match plain(key).as_str() {
            "datasource" | "datasourceuid" | "datasourceid" | "datasourcename" => read(value, found)?,
            "librarypanel" if !value.is_null() => return Err(unjudged("a library panel, whose content lies outside the dashboard")),
            "targets" if !has_source(map) => implied(value, found, |_| true),
            "templating" => implied(&value["list"], found, |entry| matches!(entry["type"].as_str(), Some("query" | "adhoc" | "groupby"))),
            "annotations" => implied(&value["list"], found, |entry| entry["builtIn"] != 1),
            _ => {}
        }
        walk(value, found)?;
    }
    Ok(())
}

/// Notes the default for entries that name no data source of their own.
fn implied(list: &Value, found: &mut BTreeSet<Reference>, asks: fn(&Value) -> bool) {
    let entries = list.as_array().map_or(&[][..], Vec::as_slice);
    if entries.iter().any(|entry| asks(entry) && !entry.as_object().is_some_and(names_source)) {
        found.insert(Reference::Default);
    }
}

/// Whether the object itself says which data source it asks.
fn names_source(map: &Map<String, Value>) -> bool {
    map.iter().any(|(key, value)| plain(key).starts_with("datasource") && !value.is_null())
}

/// Whether a panel's data source counts for targets without one.
fn has_source(panel: &Map<String, Value>) -> bool {
    let is_mixed = |value: &Value| value == MIXED || value["uid"] == MIXED;
    panel.iter().any(|(key, value)| plain(key).starts_with("datasource") && !value.is_null() && !is_mixed(value))
}

/// Reads one reference: null, a name or uid, a number, or an object with a uid.
fn read(value: &Value, found: &mut BTreeSet<Reference>) -> Result<(), ToolFault> {
    match value {
        Value::Null => drop(found.insert(Reference::Default)),
        Value::String(text) => drop(found.insert(named(text)?)),
        Value::Number(number) => drop(found.insert(named(&number.to_string())?)),
        Value::Object(map) => {
            let ids: Vec<&Value> =
                map.iter().filter(|(key, _)| matches!(plain(key).as_str(), "uid" | "name" | "id")).map(|(_, id)| id).collect();
            if ids.iter().any(|id| id.is_object()) {
                return Err(unfit());
            }
            if ids.is_empty() {
                found.insert(Reference::Default);
            }
            ids.into_iter().try_for_each(|id| read(id, found))?;
        }
        Value::Bool(_) | Value::Array(_) => return Err(unfit()),
    }
    Ok(())
}

fn named(text: &str) -> Result<Reference, ToolFault> {
    if text.contains('$') || text.contains("[[") {
        return Err(unjudged("a variable in place of a data source"));
    }
    Ok(if text.is_empty() || text == "default" { Reference::Default } else { Reference::Named(text.to_owned()) })
}

/// The key as a reader takes it that minds neither case nor the two other characters that fold to ASCII letters, without `_` and `-`.
fn plain(key: &str) -> String {
    let folded = key.chars().flat_map(char::to_lowercase).map(|c| if c == '\u{17f}' { 's' } else { c });
    folded.filter(|c| !matches!(c, '_' | '-')).collect()
}

fn unfit() -> ToolFault {
    ToolFault::invalid("a `datasource` is neither a text nor an object with a uid", "write `{\"type\": …, \"uid\": …}`")
}

fn unjudged(what: &str) -> ToolFault {
    ToolFault::new(Code::ScopeViolation, format!("there is {what}"), "write the uid of a data source you may use at every place")
}
