//! The engine's mathematical functions (<https://sqlite.org/lang_mathfunc.html>), which its build leaves out unless it is told otherwise.
//!
//! They are here instead of in a build setting, so that every build has them, whoever starts it and from where.

use rusqlite::functions::Context;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

use super::FLAGS;

type Unary = fn(f64) -> f64;
type Binary = fn(f64, f64) -> f64;

const UNARY: &[(&str, Unary)] = &[
    ("acos", f64::acos),
    ("acosh", f64::acosh),
    ("asin", f64::asin),
    ("asinh", f64::asinh),
    ("atan", f64::atan),
    ("atanh", f64::atanh),
    ("cos", f64::cos),
    ("cosh", f64::cosh),
    ("degrees", |x| x * (180.0 / std::f64::consts::PI)),
    ("exp", f64::exp),
    ("ln", |x| positive(x).ln()),
    ("log", |x| positive(x).log10()),
    ("log10", |x| positive(x).log10()),
    ("log2", |x| positive(x).log2()),
    ("radians", |x| x * (std::f64::consts::PI / 180.0)),
    ("sin", f64::sin),
    ("sinh", f64::sinh),
    ("sqrt", f64::sqrt),
    ("tan", f64::tan),
    ("tanh", f64::tanh),
];

const BINARY: &[(&str, Binary)] =
    &[("atan2", f64::atan2), ("log", logarithm), ("mod", |x, y| x % y), ("pow", f64::powf), ("power", f64::powf)];

/// These leave integers what they are.
const ROUNDING: &[(&str, Unary)] = &[("ceil", f64::ceil), ("ceiling", f64::ceil), ("floor", f64::floor), ("trunc", f64::trunc)];

/// Installs the functions on `connection`.
pub(super) fn install(connection: &Connection) -> Result<()> {
    for (name, function) in UNARY {
        connection.create_scalar_function(*name, 1, FLAGS, move |call| Ok(number(call, 0).map(function).filter(|x| !x.is_nan())))?;
    }
    for (name, function) in BINARY {
        connection.create_scalar_function(*name, 2, FLAGS, move |call| {
            Ok(number(call, 0).zip(number(call, 1)).map(|(x, y)| function(x, y)).filter(|x| !x.is_nan()))
        })?;
    }
    for (name, function) in ROUNDING {
        connection.create_scalar_function(*name, 1, FLAGS, move |call| Ok(rounded(call, *function)))?;
    }
    connection.create_scalar_function(c"pi", 0, FLAGS, |_| Ok(std::f64::consts::PI))
}

/// No logarithm of what is not above zero: null, where mathematics would have an infinity.
fn positive(x: f64) -> f64 {
    if x > 0.0 { x } else { f64::NAN }
}

/// To the base `base`.
fn logarithm(base: f64, x: f64) -> f64 {
    let divisor = positive(base).ln();
    if divisor > 0.0 { positive(x).ln() / divisor } else { f64::NAN }
}

fn rounded(call: &Context<'_>, round: Unary) -> Value {
    match call.get_raw(0) {
        ValueRef::Integer(whole) => Value::Integer(whole),
        ValueRef::Text(text) if let Some(whole) = trimmed(text).and_then(|text| text.parse().ok()) => Value::Integer(whole),
        _ => number(call, 0).map_or(Value::Null, |x| Value::Real(round(x))),
    }
}

/// The argument as a number; a text that is one counts, everything else does not.
#[allow(clippy::cast_precision_loss, reason = "the engine computes with reals too")]
fn number(call: &Context<'_>, index: usize) -> Option<f64> {
    match call.get_raw(index) {
        ValueRef::Integer(whole) => Some(whole as f64),
        ValueRef::Real(real) => Some(real),
        ValueRef::Text(text) => trimmed(text)?.parse().ok(),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

/// A text that can be a number in SQL; words like `inf` are none.
fn trimmed(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?.trim_ascii();
    text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)).then_some(text)
}
