//! Arguments of upstream tools that a manifest binds to its agent.
//!
//! What the rules promise to do is in [`crate::binding`]; here they are read, and refused where they contradict themselves.

use serde_json::Value;

use super::servers::GlobLists;
use crate::binding::{self, Limit, Pattern, Rule, Way};
use crate::document::{Entry, Place, Value as Tree};
use crate::glob::Glob;
use crate::mistake::printable;
use crate::reader::{Field, Table};
use crate::shape::{Choice, Key, Section, Shape, formats};
use crate::template;

/// The words that say what an argument may be; each excludes the others.
const WORDS: [&str; 4] = ["fixed", "hidden", "prefix", "allow"];
const ANY_WORD: &[&str] = &["fixed", "hidden", "default", "prefix", "allow"];

pub(super) static RULE: Section = Section {
    path: "servers.NAME.arguments.GLOB.ARGUMENT",
    doc: "What one argument may be; `ARGUMENT` is its name, or the names on the way to a nested one with `/` between them (`~1` stands for \
          `/` and `~0` for `~` in a name). In texts, `{agent_id}` and `{agent_type}` stand for the agent's own.",
    keys: &[
        Key::new("fixed", Shape::JsonScalar, "Always sent, and not shown to the agent; a call that brings the argument is refused."),
        Key::new("hidden", Shape::Boolean, "`true`: never sent and not shown to the agent; a call that brings the argument is refused."),
        Key::new(
            "default",
            Shape::JsonScalar,
            "Sent when a call leaves the argument out or gives null. Alone, or beside `prefix` or `allow`.",
        ),
        Key::new(
            "prefix",
            Shape::Format(&formats::TEMPLATE),
            "The text must begin so and go on below it as a path: no `.` or `..`, empty segment, backslash, percent-encoding, control or \
             look-alike character. Of a list, each element.",
        ),
        Key::new(
            "allow",
            Shape::FullList(&Shape::JsonScalar),
            "One of these. In a text, `*` and `?` stand for anything between two slashes and `**` for anything, then as strictly as with \
             `prefix`. Of a list, each element.",
        ),
    ],
    needs: &[],
    choice: Choice::AnyOf(ANY_WORD),
};

const OF_TOOL: Shape = Shape::Entries { names: &formats::ARGUMENT_WAY, value: &Shape::Section(&RULE), empty: false };

/// The key `arguments` of a server or an `mcp_proxy` module.
pub(super) const ARGUMENTS: Key = Key::new(
    "arguments",
    Shape::Entries { names: &formats::TOOL_GLOB, value: &OF_TOOL, empty: false },
    "Arguments that are bound to the agent: a glob over the server's own tool names -> argument -> its rule. A tool that lacks a bound \
     argument is not served; prompts and resources are then granted by name only.",
);

/// The rules for tools that match one glob.
#[derive(Clone, Debug)]
pub struct ToolArguments {
    /// Over the server's own tool names.
    pub tools: Glob,
    /// Each argument once, none inside another.
    pub rules: Vec<(Way, Rule)>,
    /// Where the entry stands.
    pub place: Place,
}

/// Reads [`ARGUMENTS`].
pub(super) fn read(field: &Field<'_>) -> Option<Vec<ToolArguments>> {
    let mut all: Vec<ToolArguments> = Vec::new();
    for (entry, field) in field.entries()? {
        let tools = match Glob::parse(&entry.key) {
            Ok(glob) => glob,
            Err(rule) => {
                field.report().error(entry.key_place, &field.path, rule);
                continue;
            }
        };
        let rules = rules(&field).unwrap_or_default();
        overlapping(entry, &field, &all, &tools, &rules);
        all.push(ToolArguments { tools, rules, place: entry.key_place });
    }
    Some(all)
}

/// Warns of rules for tools that the same server's lists leave out.
pub(super) fn check_lists(arguments: &[ToolArguments], path: &str, lists: &GlobLists, field: &Field<'_>) {
    for bound in arguments.iter().filter(|bound| !binding::is_pattern(bound.tools.as_str()) && !lists.admits(bound.tools.as_str())) {
        let message = format!("`{}` never matches: the server's lists leave this tool out", bound.tools);
        field.report().warning(
            bound.place,
            &format!("{path}.{}", printable(bound.tools.as_str())),
            message,
            "admit the tool, or remove its rules",
        );
    }
}

fn rules(field: &Field<'_>) -> Option<Vec<(Way, Rule)>> {
    let entries = field.entries()?;
    if entries.is_empty() {
        field.error_hint("binds nothing", "name at least one argument, or remove the entry");
    }
    let mut rules: Vec<(Way, Rule)> = Vec::new();
    for (entry, field) in entries {
        let way = Way::parse(&entry.key).map_err(|rule| field.report().error(entry.key_place, &field.path, rule)).ok();
        let rule = rule(&field);
        let (Some(way), Some(rule)) = (way, rule) else { continue };
        if let Some((other, _)) = rules.iter().find(|(other, _)| other.overlaps(&way)) {
            let message = format!("lies on the way of `{other}`, which has a rule of its own");
            field.report().error_hint(entry.key_place, &field.path, message, "bind the whole argument or parts of it, not both");
        } else {
            rules.push((way, rule));
        }
    }
    Some(rules)
}

/// Two globs for one tool may bind different arguments of it, not the same one. Known beforehand where one of them is a plain name; else the
/// tool is not served.
fn overlapping(entry: &Entry, field: &Field<'_>, all: &[ToolArguments], tools: &Glob, rules: &[(Way, Rule)]) {
    let meets = |other: &ToolArguments| {
        let (one, two) = (tools.as_str(), other.tools.as_str());
        !binding::is_pattern(one) && other.tools.matches(one) || !binding::is_pattern(two) && tools.matches(two)
    };
    for other in all.iter().filter(|other| meets(other)) {
        for (way, _) in rules.iter().filter(|(way, _)| other.rules.iter().any(|(bound, _)| bound.overlaps(way))) {
            let message = format!("`{way}` is bound twice for one tool: by `{}` and by `{}`", other.tools, tools);
            field.report().error_hint(entry.key_place, &field.path, message, "keep one of the two rules");
        }
    }
}

fn rule(field: &Field<'_>) -> Option<Rule> {
    let table = field.table()?;
    let said: Vec<&'static str> = WORDS.into_iter().filter(|word| table.get(word).is_some()).collect();
    let default = table.get("default");
    if let [first, second, ..] = said[..] {
        let message = format!("`{first}` and `{second}` exclude each other");
        table.get(second)?.error_hint(message, "keep one of the two");
    }
    if let ([word @ ("fixed" | "hidden"), ..], Some(default)) = (&said[..], &default) {
        default.error_hint(format!("`{word}` and `default` exclude each other"), "an argument that the agent cannot give needs no default");
    }
    if said.is_empty() && default.is_none() {
        table.missing("fixed", Some("say what the argument may be: `fixed`, `hidden`, `default`, `prefix` or `allow`"));
    }
    let rule = body(&table);
    table.finish();
    let rule = rule.filter(|_| said.len() < 2)?;
    if let (Some(field), Rule::Open { limit, default: Some(default) }) = (&default, &rule)
        && !limit.may_admit(default)
    {
        field.error_hint("the argument's own rule refuses it", "write a default that the rule beside it lets through");
    }
    Some(rule)
}

fn body(table: &Table<'_>) -> Option<Rule> {
    let default = table.get("default").and_then(|field| scalar(&field));
    if let Some(field) = table.get("fixed") {
        return scalar(&field).map(Rule::Fixed);
    }
    if let Some(field) = table.get("hidden") {
        if field.boolean()? {
            return Some(Rule::Hidden);
        }
        field.error_hint("`false` says nothing", "remove the key");
        return None;
    }
    let limit = match (table.get("prefix"), table.get("allow")) {
        (Some(field), _) => Limit::Prefix(prefix(&field)?),
        (None, Some(field)) => Limit::Allow(allowed(&field)?),
        (None, None) => Limit::None,
    };
    (limit != Limit::None || default.is_some()).then_some(Rule::Open { limit, default })
}

/// A text that is a template, a number or a boolean.
fn scalar(field: &Field<'_>) -> Option<Value> {
    match &field.node.value {
        Tree::Bool(value) => Some(Value::Bool(*value)),
        Tree::Number(number) => Some(Value::Number(number.clone())),
        _ => templated(field).map(Value::from),
    }
}

fn templated(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    template::check(text).map_err(|fault| field.error(fault.to_string())).ok()?;
    if text.len() > binding::TEXT_BYTES_MAX {
        field.error(format!("is longer than {} bytes", binding::TEXT_BYTES_MAX));
        return None;
    }
    Some(text.to_owned())
}

fn prefix(field: &Field<'_>) -> Option<String> {
    field.filled()?;
    let text = templated(field)?;
    apart(field, &text)?;
    if !text.ends_with(['/', ':', '#']) {
        let hint = "end it with `/`, or list the names under `allow`";
        field.warning("the prefix ends within a name: it also lets longer names through", hint);
    }
    Some(text)
}

fn allowed(field: &Field<'_>) -> Option<Vec<Pattern>> {
    let fields = field.list()?;
    if fields.is_empty() {
        field.error_hint("must not be empty", "an argument that no value fits: write `hidden: true`, or deny the tool");
        return None;
    }
    let all: Vec<Pattern> = fields.iter().filter_map(pattern).collect();
    (all.len() == fields.len()).then_some(all)
}

fn pattern(field: &Field<'_>) -> Option<Pattern> {
    let value = scalar(field)?;
    match value {
        Value::String(text) if binding::is_pattern(&text) => {
            // Names of agents have visible ASCII characters only, so that what is put in cannot spoil a glob.
            Glob::parse(&text).map_err(|rule| field.error(rule)).ok()?;
            apart(field, &text)?;
            Some(Pattern::Like(text))
        }
        value => Some(Pattern::Exactly(value)),
    }
}

/// Agents of one type share the rule: what stands for one of them must not also stand for another.
fn apart(field: &Field<'_>, text: &str) -> Option<()> {
    if binding::keeps_agents_apart(text) {
        return Some(());
    }
    let hint = "put a character that no agent id has beside it, such as `/` or `:`";
    field.error_hint("agents with similar names could reach each other's: `a` also fits what belongs to `a-b`", hint);
    None
}
