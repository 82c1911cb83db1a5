//! JSON Schemas of tools: bounded, compiled once at first use, never with network or file references
//! (protocol reference 2.11, security reference section 11).

mod plain;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bailiwick_mcp::Json;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use plain::Plain;

/// Largest schema that is looked at.
pub(crate) const SCHEMA_BYTES_MAX: usize = 256 << 10;
/// Deepest nesting of a schema; deeper ones could exhaust a compiler's stack.
const SCHEMA_DEPTH_MAX: usize = 64;
/// Subschemas and other values in one schema.
const SCHEMA_VALUES_MAX: usize = 20_000;
/// Schemas up to this size compile within a fraction of a millisecond and are compiled in place.
const INLINE_BYTES_MAX: usize = 16 << 10;
/// Values of a schema with its references followed.
const EXPANDED_VALUES_MAX: usize = 20_000;
/// Distinct references of one schema.
const REFERENCES_MAX: usize = 200;
/// Time for one check against a schema that refers to itself.
const CHECK_MAX: Duration = Duration::from_millis(250);
/// The choices of an enumeration are named in a message when they are no longer than this together.
const CHOICES_BYTES_MAX: usize = 1 << 10;
/// Memory of one compiled pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Why an instance was not accepted.
#[derive(Debug)]
pub(crate) enum Misfit {
    /// The instance breaks a rule at a place; values are never quoted.
    Instance { path: String, rule: String },
    /// The schema itself cannot be used.
    Schema(String),
}

/// One schema, compiled when it is first needed.
#[derive(Clone)]
pub(crate) struct Schema(Arc<Inner>);

struct Inner {
    text: Json,
    compiled: OnceLock<Result<Compiled, String>>,
    /// A check ran out of time; the schema is not used again.
    spent: AtomicBool,
}

struct Compiled {
    validator: Validator,
    /// The whole schema once more, when it is of the usual kind.
    plain: Option<Plain>,
    /// Refers to itself, so that a check may cost more than its size says.
    recursive: bool,
}

impl Schema {
    pub(crate) fn new(text: Json) -> Self {
        Self(Arc::new(Inner { text, compiled: OnceLock::new(), spent: AtomicBool::new(false) }))
    }

    /// Checks one instance.
    pub(crate) async fn check(&self, instance: &Json) -> Result<(), Misfit> {
        let compiled = self.prepared().await.map_err(Misfit::Schema)?;
        if compiled.plain.as_ref().is_some_and(|plain| plain.accepts(instance)) {
            return Ok(());
        }
        let value: Value = instance.decode().map_err(|fault| Misfit::Instance { path: "/".into(), rule: fault.to_string() })?;
        if compiled.recursive { self.check_apart(value).await } else { compiled.check(&value) }
    }

    /// A recursive schema can be made so that one check takes years. It runs on a thread of its own, for a short time; one that does
    /// not come back spoils the schema, so that each costs one thread at most.
    async fn check_apart(&self, value: Value) -> Result<(), Misfit> {
        let spent = || Misfit::Schema(format!("a check took longer than {} ms", CHECK_MAX.as_millis()));
        if self.0.spent.load(Ordering::Relaxed) {
            return Err(spent());
        }
        let schema = self.clone();
        let (done, checked) = tokio::sync::oneshot::channel();
        // Not the runtime's pool: at the end of the process it would be waited for.
        let thread = std::thread::Builder::new().name("schema-check".into()).spawn(move || {
            let _ = done.send(schema.compiled().map_err(Misfit::Schema).and_then(|compiled| compiled.check(&value)));
        });
        if let Err(cause) = thread {
            return Err(Misfit::Schema(format!("no thread for the check: {cause}")));
        }
        match tokio::time::timeout(CHECK_MAX, checked).await {
            Ok(Ok(checked)) => checked,
            Ok(Err(_)) => Err(Misfit::Schema("the check broke off".into())),
            Err(_) => {
                self.0.spent.store(true, Ordering::Relaxed);
                Err(spent())
            }
        }
    }

    async fn prepared(&self) -> Result<&Compiled, String> {
        if self.0.compiled.get().is_none() && self.0.text.bytes().len() > INLINE_BYTES_MAX {
            let schema = self.clone();
            // The result stays in the cell; a lost race only compiles twice.
            let _ = tokio::task::spawn_blocking(move || schema.compiled().is_ok()).await;
        }
        self.compiled()
    }

    fn compiled(&self) -> Result<&Compiled, String> {
        self.0.compiled.get_or_init(|| compile(&self.0.text)).as_ref().map_err(Clone::clone)
    }
}

impl Compiled {
    fn check(&self, value: &Value) -> Result<(), Misfit> {
        match self.validator.validate(value) {
            Ok(()) => Ok(()),
            Err(error) => Err(Misfit::Instance { path: place(error.instance_path().as_str()), rule: rule(&error) }),
        }
    }
}

/// The rule that was broken. The library names a few choices of an enumeration and counts the others, which helps nobody to choose.
fn rule(error: &ValidationError<'_>) -> String {
    if let ValidationErrorKind::Enum { options } = error.kind()
        && let Some(options) = options.as_array()
    {
        let all = options.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        if all.len() <= CHOICES_BYTES_MAX {
            return format!("value is not one of {all}");
        }
    }
    error.masked().to_string()
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { "/".into() } else { pointer.into() }
}

fn compile(text: &Json) -> Result<Compiled, String> {
    let value: Value = text.decode().map_err(|fault| fault.to_string())?;
    bounded(&value)?;
    let recursive = expansion(&value)? == Expansion::Recursive;
    let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX);
    let validator = jsonschema::options().with_pattern_options(patterns).build(&value).map_err(|error| error.masked().to_string())?;
    Ok(Compiled { validator, plain: Plain::of(&value), recursive })
}

/// What becomes of a schema when its references are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expansion {
    Finite,
    Recursive,
}

/// Counts the values of the schema with every local reference replaced by what it names. A few kilobytes of references to references
/// can stand for more values than any machine can visit; such a schema is refused.
fn expansion(schema: &Value) -> Result<Expansion, String> {
    let mut seen = HashMap::new();
    let weight = weigh(schema, schema, &mut seen);
    if weight.values > EXPANDED_VALUES_MAX {
        return Err(format!("more than {EXPANDED_VALUES_MAX} values when its references are followed"));
    }
    Ok(if weight.recursive { Expansion::Recursive } else { Expansion::Finite })
}

#[derive(Clone, Copy, Default)]
struct Weight {
    values: usize,
    recursive: bool,
}

/// Depth is bounded: by [`bounded`] inside one value, and by the number of distinct references, each of which is entered once.
fn weigh<'s>(root: &'s Value, value: &'s Value, seen: &mut HashMap<&'s str, Option<Weight>>) -> Weight {
    let mut total = Weight { values: 1, recursive: false };
    let mut add = |part: Weight| {
        total.values = total.values.saturating_add(part.values);
        total.recursive |= part.recursive;
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) => add(follow(root, target, seen)),
                    // Definitions weigh where they are used.
                    ("$defs" | "definitions", _) => {}
                    _ => add(weigh(root, member, seen)),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| add(weigh(root, element, seen))),
        _ => {}
    }
    total
}

fn follow<'s>(root: &'s Value, target: &'s str, seen: &mut HashMap<&'s str, Option<Weight>>) -> Weight {
    match seen.get(target) {
        Some(Some(known)) => return *known,
        // On the way to itself.
        Some(None) => return Weight { values: 1, recursive: true },
        None => {}
    }
    if seen.len() >= REFERENCES_MAX {
        return Weight { values: usize::MAX, recursive: true };
    }
    seen.insert(target, None);
    // A name that is no pointer may lead anywhere inside the schema: it is treated as leading back.
    let weight = match target.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) {
        Some(found) => weigh(root, found, seen),
        None => Weight { values: 1, recursive: true },
    };
    seen.insert(target, Some(weight));
    weight
}

/// Refuses a schema that is too deep or too large for the compiler; iterative, so that the check itself is safe.
pub(crate) fn bounded(schema: &Value) -> Result<(), String> {
    let mut open = vec![(schema, 0)];
    let mut seen = 0;
    while let Some((value, depth)) = open.pop() {
        seen += 1;
        if depth > SCHEMA_DEPTH_MAX || seen > SCHEMA_VALUES_MAX {
            return Err(format!("deeper than {SCHEMA_DEPTH_MAX} levels or more than {SCHEMA_VALUES_MAX} values"));
        }
        match value {
            Value::Object(members) => open.extend(members.values().map(|v| (v, depth + 1))),
            Value::Array(elements) => open.extend(elements.iter().map(|v| (v, depth + 1))),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &'static str) -> Json {
        Json::from_static(text)
    }

    #[tokio::test]
    async fn names_the_place_and_the_rule_but_never_the_value() {
        let schema = Schema::new(json(r#"{"type":"object","properties":{"pin":{"type":"integer"}},"required":["pin"]}"#));
        assert!(schema.check(&json(r#"{"pin":1}"#)).await.is_ok());
        let Err(Misfit::Instance { path, rule }) = schema.check(&json(r#"{"pin":"s3cret"}"#)).await else { panic!("accepted") };
        assert_eq!(path, "/pin");
        assert!(rule.contains("integer") && !rule.contains("s3cret"), "{rule}");
        assert!(matches!(schema.check(&json("{}")).await, Err(Misfit::Instance { .. })));
    }

    #[tokio::test]
    async fn every_choice_is_named_unless_they_are_too_many() {
        let rule = async |choices: Vec<String>| {
            let schema = Json::from_serialize(&serde_json::json!({"properties": {"word": {"enum": choices}}})).unwrap();
            let Err(Misfit::Instance { rule, .. }) = Schema::new(schema).check(&json(r#"{"word":"s3cret"}"#)).await else {
                panic!("accepted")
            };
            assert!(!rule.contains("s3cret"), "{rule}");
            rule
        };
        let eleven: Vec<String> = (0..11).map(|n| format!("w{n}")).collect();
        let all = eleven.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        assert_eq!(rule(eleven).await, format!("value is not one of {all}"));
        assert!(rule((0..1_000).map(|n| format!("w{n}")).collect()).await.contains("other candidates"));
    }

    #[tokio::test]
    async fn refuses_references_to_elsewhere_and_bottomless_schemas() {
        for text in [r#"{"$ref":"http://schemas.invalid/x.json"}"#, r#"{"$ref":"file:///etc/passwd"}"#] {
            assert!(matches!(Schema::new(json(text)).check(&json("{}")).await, Err(Misfit::Schema(_))), "{text}");
        }
        let deep = format!("{}{}", r#"{"not":"#.repeat(65), "{}".to_owned() + &"}".repeat(65));
        assert!(bounded(&serde_json::from_str(&deep).unwrap()).is_err());
    }

    #[tokio::test]
    async fn references_to_references_are_counted_out() {
        let doubling = |levels: usize| {
            let defs: Vec<String> = (0..levels)
                .map(|n| format!(r##""l{n}":{{"allOf":[{{"$ref":"#/$defs/l{m}"}},{{"$ref":"#/$defs/l{m}"}}]}}"##, m = n + 1))
                .collect();
            format!(r##"{{"$defs":{{{},"l{levels}":{{}}}},"$ref":"#/$defs/l0"}}"##, defs.join(","))
        };
        let schema = |text: String| Schema::new(Json::check(text.into(), &bailiwick_mcp::Limits::REQUEST).unwrap());
        assert!(matches!(schema(doubling(60)).check(&json("{}")).await, Err(Misfit::Schema(_))));
        assert!(schema(doubling(5)).check(&json("{}")).await.is_ok());
    }

    #[tokio::test]
    async fn a_tree_is_checked_and_a_bottomless_check_is_given_up() {
        let tree =
            Schema::new(json(r##"{"type":"object","properties":{"left":{"$ref":"#"},"right":{"$ref":"#"},"value":{"type":"integer"}}}"##));
        assert!(tree.check(&json(r#"{"left":{"value":1},"right":{"left":{"value":2}}}"#)).await.is_ok());
        assert!(matches!(tree.check(&json(r#"{"left":{"left":{"value":"x"}}}"#)).await, Err(Misfit::Instance { .. })));
        let bomb = Schema::new(json(r##"{"properties":{"a":{"allOf":[{"$ref":"#"},{"$ref":"#"},{"$ref":"#"}]}}}"##));
        let deep = format!("{}{}", r#"{"a":"#.repeat(30), "1".to_owned() + &"}".repeat(30));
        let deep = Json::check(deep.into(), &bailiwick_mcp::Limits::REQUEST).unwrap();
        assert!(matches!(bomb.check(&deep).await, Err(Misfit::Schema(_))));
        assert!(matches!(bomb.check(&json("{}")).await, Err(Misfit::Schema(_))), "it is not tried again");
    }

    #[tokio::test]
    async fn patterns_are_linear() {
        let schema = Schema::new(json(r#"{"properties":{"a":{"pattern":"^(a+)+$"}}}"#));
        let hostile = format!(r#"{{"a":"{}!"}}"#, "a".repeat(50_000));
        let hostile = Json::check(hostile.into(), &bailiwick_mcp::Limits::REQUEST).unwrap();
        assert!(schema.check(&hostile).await.is_err());
    }
}
