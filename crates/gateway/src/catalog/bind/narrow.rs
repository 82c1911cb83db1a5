//! A tool's input schema as an agent with rules sees it, and why some schemas cannot be narrowed.
//!
//! A rule holds for an argument that the schema lists under `properties`, reached through `properties` alone. What else a schema may say
//! about members of the same object would leave a way around the rule, or a description that is wrong: such a tool is not served.

use bailiwick_mcp::Json;
use bailiwick_model::binding::{Limit, Pattern, Rule};
use serde_json::Value;

use super::level::{Leaf, Level, Node, told};

/// Keywords that speak about members without listing them, or list them elsewhere.
const ELSEWHERE: [&str; 16] = [
    "$ref",
    "$dynamicRef",
    "$recursiveRef",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependentRequired",
    "dependencies",
    "patternProperties",
    "propertyNames",
    "unevaluatedProperties",
];

/// A narrowed schema.
pub(super) struct Narrowed {
    pub(super) schema: Json,
    pub(super) level: Level,
    /// Whether something in it has to be given.
    demands: bool,
}

type Rules<'r> = [(&'r [Box<str>], &'r Rule)];

/// Narrows `schema` by the rules; each begins with a name at this level.
///
/// # Errors
/// Why not, for operators.
pub(super) fn narrow(schema: &Json, rules: &Rules<'_>) -> Result<Narrowed, String> {
    object(schema, schema, rules)
}

fn object(root: &Json, schema: &Json, rules: &Rules<'_>) -> Result<Narrowed, String> {
    if let Some(keyword) = ELSEWHERE.into_iter().find(|keyword| schema.has(keyword)) {
        return Err(format!("its schema has `{keyword}` where an argument is bound, and cannot be narrowed"));
    }
    if !takes(schema, "object") {
        return Err("its schema has no object where a member is bound".into());
    }
    let properties = schema.member("properties").filter(Json::is_object).unwrap_or_else(|| Json::from_static("{}"));
    let mut declared: Vec<Box<str>> = properties.members().map(|(name, _)| name.into()).collect();
    declared.sort_unstable();
    let names = first_names(rules);
    only_spelling(&declared, &names)?;
    let mut required: Vec<String> = schema.member("required").and_then(|list| list.decode().ok()).unwrap_or_default();
    let (mut bound, mut shown, mut gone, mut demands) = (Vec::new(), Vec::new(), Vec::new(), false);
    for name in names {
        let property = properties.member(name).ok_or_else(|| format!("it has no argument `{}`", name.escape_debug()))?;
        let property = resolved(root, &property)?;
        let own: Vec<(&[Box<str>], &Rule)> = rules
            .iter()
            .filter(|(way, _)| way.first().is_some_and(|first| &**first == name))
            .map(|(way, rule)| (&way[1..], *rule))
            .collect();
        let made = member(root, name, &property, &own, required.iter().any(|other| other == name))?;
        match made.shown {
            Some(schema) => shown.push((name, schema)),
            None => gone.push(name),
        }
        match made.required {
            Some(true) if !required.iter().any(|other| other == name) => required.push(name.to_owned()),
            Some(false) => required.retain(|other| other != name),
            _ => {}
        }
        demands |= made.required == Some(true);
        bound.push((name.into(), made.node));
    }
    let shown: Vec<(&str, &Json)> = shown.iter().map(|(name, schema)| (*name, schema)).collect();
    let properties = properties.edit(&gone, &shown);
    Ok(Narrowed { schema: edited(schema, &properties, &required), level: Level { bound, declared }, demands })
}

/// One bound member.
struct Made {
    node: Node,
    /// `None` when it is not shown.
    shown: Option<Json>,
    /// `None`: as it was.
    required: Option<bool>,
}

fn member(root: &Json, name: &str, property: &Json, rules: &Rules<'_>, was_required: bool) -> Result<Made, String> {
    let of = |why: String| format!("`{}`: {why}", name.escape_debug());
    match rules {
        [([], rule)] => leaf(property, rule, was_required).map_err(of),
        _ if rules.iter().any(|(rest, _)| rest.is_empty()) => Err(of("two rules bind it".into())),
        _ => {
            let inner = object(root, property, rules).map_err(of)?;
            Ok(Made { node: Node::Inner(inner.level), shown: Some(inner.schema), required: inner.demands.then_some(true) })
        }
    }
}

fn leaf(property: &Json, rule: &Rule, was_required: bool) -> Result<Made, String> {
    let node = Node::Leaf(Leaf::of(rule));
    match rule {
        Rule::Fixed(value) => {
            fits(property, value)?;
            Ok(Made { node, shown: None, required: Some(false) })
        }
        Rule::Hidden if was_required => Err("the tool requires it, and it is hidden".into()),
        Rule::Hidden => Ok(Made { node, shown: None, required: Some(false) }),
        Rule::Open { limit, default } => {
            let mut shown = limited(property, limit)?;
            if let Some(default) = default {
                fits(property, default)?;
                shown = shown.edit(&[], &[("default", &json(default))]);
            }
            Ok(Made { node, shown: Some(shown), required: Some(default.is_none()) })
        }
    }
}

/// What is shown of an argument with a limit: an enumeration where the limit is one, else a sentence.
fn limited(property: &Json, limit: &Limit) -> Result<Json, String> {
    let described = |property: &Json| {
        let before = property.text_of("description").map(|text| format!("{} ", text.trim_end())).unwrap_or_default();
        let text = format!("{before}Give {}.", told(limit));
        property.edit(&[], &[("description", &Json::from_text(&text))])
    };
    match limit {
        Limit::None => Ok(property.clone()),
        Limit::Prefix(_) if !takes(property, "string") && !takes(property, "array") => {
            Err("its schema takes no text to begin with a prefix".into())
        }
        Limit::Prefix(_) => Ok(described(property)),
        Limit::Allow(patterns) => match exact(patterns) {
            None => Ok(described(property)),
            Some(values) if only(property, "array") => match property.member("items").filter(Json::is_object) {
                Some(items) => Ok(property.edit(&[], &[("items", &chosen(&items, &values)?)])),
                None => Ok(described(property)),
            },
            // With a list as well, an enumeration of the elements would be wrong.
            Some(_) if takes(property, "array") => Ok(described(property)),
            Some(values) => chosen(property, &values),
        },
    }
}

/// The values of an allow list without globs.
fn exact(patterns: &[Pattern]) -> Option<Vec<&Value>> {
    patterns
        .iter()
        .map(|pattern| match pattern {
            Pattern::Exactly(value) => Some(value),
            Pattern::Like(_) => None,
        })
        .collect()
}

fn chosen(property: &Json, values: &[&Value]) -> Result<Json, String> {
    let own: Option<Vec<Value>> = property.member("enum").and_then(|list| list.decode().ok());
    let both: Vec<&&Value> = values.iter().filter(|value| own.as_ref().is_none_or(|own| own.contains(value))).collect();
    if both.is_empty() {
        return Err("its own `enum` has nothing of the allow list".into());
    }
    Ok(property.edit(&[], &[("enum", &json(&both))]))
}

fn json<T: serde::Serialize>(value: &T) -> Json {
    Json::from_serialize(value).unwrap_or_else(|_| Json::from_static("null"))
}

fn edited(schema: &Json, properties: &Json, required: &[String]) -> Json {
    let closed = Json::from_static("false");
    let required_json = json(&required);
    let mut set = vec![("properties", properties)];
    let mut remove = Vec::new();
    let before: Option<Vec<String>> = schema.member("required").and_then(|list| list.decode().ok());
    if required.is_empty() {
        remove.push("required");
    } else if before.as_deref() != Some(required) {
        set.push(("required", &required_json));
    }
    if schema.member("additionalProperties").and_then(|open| open.boolean()) != Some(false) {
        set.push(("additionalProperties", &closed));
    }
    schema.edit(&remove, &set)
}

fn first_names<'r>(rules: &Rules<'r>) -> Vec<&'r str> {
    let mut names: Vec<&str> = Vec::new();
    for name in rules.iter().filter_map(|(way, _)| way.first()) {
        if !names.contains(&&**name) {
            names.push(name);
        }
    }
    names
}

/// Many servers take `projectId` for `project_id`, or do not look at letter case: a second spelling beside a bound one is a way around.
fn only_spelling(declared: &[Box<str>], bound: &[&str]) -> Result<(), String> {
    for other in declared.iter().filter(|name| !bound.contains(&&***name)) {
        if let Some(name) = bound.iter().find(|name| folded(name) == folded(other)) {
            return Err(format!("it also takes `{}`, which is too close to `{}`: bind both", other.escape_debug(), name.escape_debug()));
        }
    }
    Ok(())
}

fn folded(name: &str) -> String {
    name.chars().filter(|c| !"-_. ".contains(*c)).flat_map(char::to_lowercase).collect()
}

/// The schema behind a reference into the same schema, with what stands beside the reference.
fn resolved(root: &Json, property: &Json) -> Result<Json, String> {
    let Some(reference) = property.text_of("$ref") else { return Ok(property.clone()) };
    let lost = || "its schema refers to a place that cannot be followed".to_owned();
    let pointer = reference.strip_prefix("#/").ok_or_else(lost)?;
    let mut at = root.clone();
    for step in pointer.split('/') {
        at = at.member(&step.replace("~1", "/").replace("~0", "~")).ok_or_else(lost)?;
    }
    let beside: Vec<(String, Json)> =
        property.members().filter(|(name, _)| name != "$ref").map(|(name, json)| (name.into_owned(), json)).collect();
    let beside: Vec<(&str, &Json)> = beside.iter().map(|(name, json)| (name.as_str(), json)).collect();
    if at.is_object() { Ok(at.edit(&[], &beside)) } else { Err(lost()) }
}

fn types(schema: &Json) -> Option<Vec<String>> {
    let said = schema.member("type")?;
    said.decode::<Vec<String>>().ok().or_else(|| Some(vec![said.string()?.into_owned()]))
}

/// Whether the schema's `type` lets `kind` through; one that says nothing does.
fn takes(schema: &Json, kind: &str) -> bool {
    types(schema).is_none_or(|types| types.iter().any(|own| own == kind))
}

fn only(schema: &Json, kind: &str) -> bool {
    types(schema).is_some_and(|types| types.iter().all(|own| own == kind))
}

/// A value of a rule that the schema would never take makes every call fail; better the tool is not there, and the reason is told. The whole
/// schema is held against each call all the same.
fn fits(property: &Json, value: &Value) -> Result<(), String> {
    let kinds: &[&str] = match value {
        Value::String(_) => &["string"],
        Value::Bool(_) => &["boolean"],
        Value::Number(number) if number.is_f64() => &["number"],
        _ => &["integer", "number"],
    };
    if !kinds.iter().any(|kind| takes(property, kind)) {
        return Err("the value that is sent is not of the argument's type".into());
    }
    let choices: Option<Vec<Value>> = property.member("enum").and_then(|list| list.decode().ok());
    if choices.is_some_and(|choices| !choices.contains(value)) {
        return Err("the value that is sent is not one of the argument's `enum`".into());
    }
    Ok(())
}
