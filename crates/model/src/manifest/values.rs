//! Configuration values as the module kind wants them.

use serde_json::{Map, Number, Value};

use super::catalog::ConfigKind;
use crate::document::{Node, Value as Tree};
use crate::reader::Field;
use crate::shape::{Also, Shape, formats};
use crate::template;

/// Largest whole number in a configuration: beyond it JSON readers disagree.
const INTEGER_MAX: u64 = 9_007_199_254_740_991;

/// What is written for a value of this kind.
pub(crate) const fn shape(kind: ConfigKind) -> Shape {
    match kind {
        ConfigKind::Text => Shape::Text,
        ConfigKind::Template => Shape::Format(&formats::TEMPLATE),
        ConfigKind::Integer => Shape::Integer { min: 0, max: INTEGER_MAX },
        ConfigKind::Number => Shape::Number,
        ConfigKind::Boolean => Shape::Boolean,
        ConfigKind::OneOf(words) => Shape::Word(words, Also::Nothing),
        ConfigKind::TextList => Shape::List(&Shape::Scalar),
        ConfigKind::TextMap => Shape::Entries { names: &formats::ANY, value: &Shape::Scalar, empty: false },
        ConfigKind::List => Shape::AnyList,
        ConfigKind::Map => Shape::AnyMap,
    }
}

/// Reads a field of that [`shape`].
pub(super) fn read(field: &Field<'_>, kind: ConfigKind) -> Option<Value> {
    match kind {
        ConfigKind::Text => field.text().map(Value::from),
        ConfigKind::Template => {
            let text = field.text()?;
            template::check(text).map_err(|fault| field.error(fault.to_string())).ok()?;
            Some(Value::from(text))
        }
        ConfigKind::Integer => field.integer().map(Value::from),
        ConfigKind::Number => field.number().and_then(Number::from_f64).map(Value::Number),
        ConfigKind::Boolean => field.boolean().map(Value::from),
        ConfigKind::OneOf(words) => {
            let words: Vec<(&'static str, &'static str)> = words.iter().map(|word| (*word, *word)).collect();
            field.word(&words).map(Value::from)
        }
        ConfigKind::TextList => field.each(Field::scalar).map(Value::from),
        ConfigKind::TextMap => {
            let pairs = field.entries()?.into_iter().filter_map(|(entry, field)| Some((entry.key.clone(), Value::from(field.scalar()?))));
            Some(Value::Object(pairs.collect()))
        }
        ConfigKind::List => {
            field.list()?;
            json(field)
        }
        ConfigKind::Map => {
            field.entries()?;
            json(field)
        }
    }
}

/// An empty text, list or mapping.
pub(super) fn is_empty(node: &Node) -> bool {
    match &node.value {
        Tree::Null => true,
        Tree::Text(text) => text.trim().is_empty(),
        Tree::List(items) => items.is_empty(),
        Tree::Map(entries) => entries.is_empty(),
        _ => false,
    }
}

/// The tree as JSON; its depth is bounded by the document's.
fn json(field: &Field<'_>) -> Option<Value> {
    match &field.node.value {
        Tree::Null => Some(Value::Null),
        Tree::Bool(value) => Some(Value::Bool(*value)),
        Tree::Number(number) => Some(Value::Number(number.clone())),
        Tree::List(_) => Some(Value::Array(field.list()?.iter().filter_map(json).collect())),
        Tree::Map(_) => {
            let pairs = field.entries()?.into_iter().filter_map(|(entry, field)| Some((entry.key.clone(), json(&field)?)));
            Some(Value::Object(pairs.collect::<Map<_, _>>()))
        }
        Tree::Text(_) | Tree::Pieces(_) | Tree::Unknown => field.text().map(Value::from),
    }
}
