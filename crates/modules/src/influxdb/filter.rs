//! Comparisons that rows must pass.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::scalar::Scalar;
use super::{flux, names};
use crate::fault::ToolFault;
use crate::schema;

/// Most comparisons of one query.
const FILTERS_MAX: usize = 64;
const OPERATORS: [&str; 8] = ["==", "!=", "<", "<=", ">", ">=", "=~", "!~"];

/// One comparison as the agent writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    field: String,
    op: String,
    value: Box<RawValue>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Logic {
    #[default]
    And,
    Or,
}

pub(super) fn property() -> Value {
    let about = "Comparisons that rows must pass, at least one. `field` is a column such as `_measurement`, `_field`, `_value` or a tag; for \
                 `=~` and `!~` the value is a regular expression (RE2, at most 256 characters).";
    let item = schema::object(
        &[
            ("field", schema::property("string", "Column to compare.", json!({}))),
            ("op", schema::property("string", "Comparison.", json!({ "enum": OPERATORS }))),
            ("value", json!({ "type": ["string", "number", "boolean"], "description": "What to compare with." })),
        ],
        &["field", "op", "value"],
    );
    schema::property("array", about, json!({ "items": item, "minItems": 1, "maxItems": FILTERS_MAX }))
}

/// The predicate over the row `r`.
///
/// # Errors
/// `invalid_argument` naming the place of the first comparison that makes no sense.
pub(super) fn predicate(filters: &[Filter], logic: Logic) -> Result<String, ToolFault> {
    if filters.is_empty() || filters.len() > FILTERS_MAX {
        return Err(ToolFault::invalid("`filters` is empty or too long", format!("give 1 to {FILTERS_MAX} comparisons")));
    }
    let word = match logic {
        Logic::And => " and ",
        Logic::Or => " or ",
    };
    let parts: Result<Vec<String>, ToolFault> = filters.iter().enumerate().map(|(index, filter)| comparison(index, filter)).collect();
    Ok(parts?.join(word))
}

fn comparison(index: usize, filter: &Filter) -> Result<String, ToolFault> {
    names::identifier(&format!("column `filters[{index}].field`"), &filter.field)?;
    let Some(op) = OPERATORS.iter().find(|op| **op == filter.op) else {
        return Err(ToolFault::invalid(
            format!("`filters[{index}].op` is not a comparison"),
            format!("use one of {}", OPERATORS.join(" ")),
        ));
    };
    let value = Scalar::read(&filter.value)
        .map_err(|rule| ToolFault::invalid(format!("`filters[{index}].value` {rule}"), "write a string, a number, true or false"))?;
    let literal = match (*op, &value) {
        ("=~" | "!~", Scalar::Text(pattern)) => flux::regex(pattern)?,
        ("=~" | "!~", _) => {
            return Err(ToolFault::invalid(
                format!("`filters[{index}].value` is no regular expression"),
                "write the expression as a string",
            ));
        }
        _ => flux::scalar(&value)?,
    };
    Ok(format!("r[\"{}\"] {op} {literal}", filter.field))
}
