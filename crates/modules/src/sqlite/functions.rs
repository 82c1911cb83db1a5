//! Functions of the engine that one call could keep busy for minutes, replaced by ones that can be stopped.
//!
//! The engine looks at the clock between instructions, and a function call is one instruction. Its own `instr`, `replace`,
//! `trim`, `unhex`, `LIKE` and `GLOB` compare every position with every position, so that 4 MB of text against 2 MB is
//! minutes of work; its JSON aggregates grow to 2 GB before their size is looked at. Those here do the same in linear
//! time, or look at the clock themselves, or stop at the size limit.

mod json;
mod math;
mod pattern;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Result, ffi};

use super::session::VALUE_BYTES_MAX;
use super::watch::Watch;
use pattern::{Glob, Like};

const FLAGS: FunctionFlags = FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC).union(FunctionFlags::SQLITE_INNOCUOUS);

/// Installs the replacements on `connection`.
pub(super) fn install(connection: &Connection, watch: &Arc<Watch>) -> Result<()> {
    connection.create_scalar_function(c"instr", 2, FLAGS, instr)?;
    connection.create_scalar_function(c"replace", 3, FLAGS, replace)?;
    connection.create_scalar_function(c"unhex", 2, FLAGS, unhex)?;
    for (name, ends) in [(c"trim", (true, true)), (c"ltrim", (true, false)), (c"rtrim", (false, true))] {
        connection.create_scalar_function(name, 2, FLAGS, move |call| trim(call, ends))?;
    }
    for arguments in [2, 3] {
        let watch = Arc::clone(watch);
        connection.create_scalar_function(c"like", arguments, FLAGS, move |call| like(call, &watch))?;
    }
    let watch = Arc::clone(watch);
    connection.create_scalar_function(c"glob", 2, FLAGS, move |call| glob(call, &watch))?;
    for (name, arguments) in [(c"json_patch", 2), (c"jsonb_patch", 2), (c"json_pretty", 1), (c"json_pretty", 2)] {
        connection.create_scalar_function(name, arguments, FLAGS, refuse)?;
    }
    math::install(connection)?;
    json::install(connection)
}

/// The gate denies these functions, but is not asked about a DEFAULT when a row is inserted.
fn refuse(_: &Context<'_>) -> Result<Option<bool>> {
    Err(Error::UserFunctionError("this function is not allowed".into()))
}

/// The answer of a function whose result would be too long.
fn too_big() -> Error {
    Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_TOOBIG), None)
}

fn check_size(bytes: usize) -> Result<()> {
    if bytes > usize::try_from(VALUE_BYTES_MAX).unwrap_or(usize::MAX) { Err(too_big()) } else { Ok(()) }
}

/// The bytes of a value seen as text; `None` for null. Numbers are written out (a real of more than 15 digits with a plain
/// exponent, where the engine writes `e+`).
fn bytes<'a>(call: &'a Context<'_>, index: usize) -> Option<Cow<'a, [u8]>> {
    match call.get_raw(index) {
        ValueRef::Null => None,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(Cow::Borrowed(bytes)),
        ValueRef::Integer(number) => Some(Cow::Owned(number.to_string().into_bytes())),
        ValueRef::Real(number) => Some(Cow::Owned(format!("{number:?}").into_bytes())),
    }
}

/// A value seen as text; `None` for null.
fn text<'a>(call: &'a Context<'_>, index: usize) -> Option<Cow<'a, str>> {
    match bytes(call, index)? {
        Cow::Borrowed(bytes) => Some(String::from_utf8_lossy(bytes)),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// Where the second value first stands in the first, from 1; 0 when it does not. In bytes for two blobs, else in characters.
fn instr(call: &Context<'_>) -> Result<Option<i64>> {
    let (Some(hay), Some(needle)) = (bytes(call, 0), bytes(call, 1)) else { return Ok(None) };
    let blobs = matches!((call.get_raw(0), call.get_raw(1)), (ValueRef::Blob(_), ValueRef::Blob(_)));
    let place = memchr::memmem::find(&hay, &needle).map(|at| {
        let before = &hay[..at];
        1 + if blobs { before.len() } else { before.iter().filter(|b| **b & 0b1100_0000 != 0b1000_0000).count() }
    });
    Ok(Some(i64::try_from(place.unwrap_or(0)).unwrap_or(i64::MAX)))
}

/// The first value with every occurrence of the second replaced by the third.
fn replace(call: &Context<'_>) -> Result<Option<String>> {
    let (Some(hay), Some(old)) = (text(call, 0), text(call, 1)) else { return Ok(None) };
    if old.is_empty() {
        return Ok(Some(hay.into_owned()));
    }
    let Some(new) = text(call, 2) else { return Ok(None) };
    let mut out = String::with_capacity(hay.len());
    let mut after = 0;
    for at in memchr::memmem::find_iter(hay.as_bytes(), old.as_bytes()) {
        out.push_str(&hay[after..at]);
        out.push_str(&new);
        check_size(out.len())?;
        after = at + old.len();
    }
    out.push_str(&hay[after..]);
    check_size(out.len())?;
    Ok(Some(out))
}

/// The first value without the characters of the second at its ends.
fn trim(call: &Context<'_>, (left, right): (bool, bool)) -> Result<Option<String>> {
    let (Some(text), Some(set)) = (text(call, 0), text(call, 1)) else { return Ok(None) };
    let set: HashSet<char> = set.chars().collect();
    let mut rest: &str = &text;
    if left {
        rest = rest.trim_start_matches(|c| set.contains(&c));
    }
    if right {
        rest = rest.trim_end_matches(|c| set.contains(&c));
    }
    Ok(Some(rest.to_owned()))
}

/// The bytes that the hexadecimal digits of the first value stand for, skipping between pairs the characters of the second
/// that are no digits; null when anything else occurs.
fn unhex(call: &Context<'_>) -> Result<Value> {
    let (Some(text), Some(skip)) = (text(call, 0), text(call, 1)) else { return Ok(Value::Null) };
    let skip: HashSet<char> = skip.chars().filter(|c| !c.is_ascii_hexdigit()).collect();
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if skip.contains(&c) {
            continue;
        }
        let pair = (c.to_digit(16), rest.next().and_then(|c| c.to_digit(16)));
        let (Some(high), Some(low)) = pair else { return Ok(Value::Null) };
        out.push(u8::try_from(high << 4 | low).unwrap_or_default());
    }
    Ok(Value::Blob(out))
}

/// `text LIKE pattern [ESCAPE character]`: the engine calls it with the pattern first.
fn like(call: &Context<'_>, watch: &Watch) -> Result<Option<bool>> {
    let escape = match call.len() {
        3 => match text(call, 2) {
            None => return Ok(None),
            Some(escape) => Some(single(&escape)?),
        },
        _ => None,
    };
    let (Some(wanted), Some(given)) = (text(call, 0), text(call, 1)) else { return Ok(None) };
    Like::new(&wanted, escape)?.matches(&given, watch).map(Some)
}

fn single(escape: &str) -> Result<char> {
    let mut chars = escape.chars();
    match (chars.next(), chars.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(Error::UserFunctionError("ESCAPE expression must be a single character".into())),
    }
}

/// `text GLOB pattern`: the engine calls it with the pattern first.
fn glob(call: &Context<'_>, watch: &Watch) -> Result<Option<bool>> {
    let (Some(wanted), Some(given)) = (text(call, 0), text(call, 1)) else { return Ok(None) };
    Glob::new(&wanted)?.matches(&given, watch).map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::types::Value;

    use super::*;

    /// The same expression as the engine and as the replacements compute it.
    fn both(sql: &str, values: &[Value]) -> (Result<Value, String>, Result<Value, String>) {
        let plain = Connection::open_in_memory().unwrap();
        let replaced = Connection::open_in_memory().unwrap();
        install(&replaced, &Arc::default()).unwrap();
        let run = |connection: &Connection| {
            connection.query_row(sql, rusqlite::params_from_iter(values), |row| row.get(0)).map_err(|e| e.to_string())
        };
        (run(&plain), run(&replaced))
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            1 => Just(Value::Null),
            1 => (-200_i64..200).prop_map(Value::Integer),
            1 => proptest::sample::select(&[0.5, -1.0, 100.25, 1e9, 0.001][..]).prop_map(Value::Real),
            8 => "[abA1%_*?é\\[\\]^\\- .]{0,8}".prop_map(Value::Text),
            4 => "[ab]{0,6}".prop_map(Value::Text),
            1 => "[ab]{0,4}".prop_map(|text| Value::Blob(text.into_bytes())),
        ]
    }

    const EXPRESSIONS: &[&str] = &[
        "SELECT instr(?1, ?2)",
        "SELECT replace(?1, ?2, ?3)",
        "SELECT trim(?1, ?2)",
        "SELECT ltrim(?1, ?2)",
        "SELECT rtrim(?1, ?2)",
        "SELECT unhex(?1, ?2)",
        "SELECT ?1 LIKE ?2",
        "SELECT ?1 LIKE ?2 ESCAPE 'a'",
        "SELECT ?1 LIKE ?2 ESCAPE ?3",
        "SELECT ?1 NOT LIKE ?2",
        "SELECT ?1 GLOB ?2",
        "SELECT json_group_array(column1) FROM (VALUES(?1), (?2), (json_array(?3)))",
        "SELECT json_group_object(column1, column2) FROM (VALUES(?1, ?2), ('x', json('[1]')), (?2, ?3))",
        "SELECT json_group_array(1) FROM (SELECT 1) WHERE 0",
        "SELECT json(json_object('a', (SELECT json_group_array(?1))))",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn replacements_mean_what_the_engine_means(a in value(), b in value(), c in value()) {
            let values = [a, b, c];
            for sql in EXPRESSIONS {
                let used = (1..=3).filter(|n| sql.contains(&format!("?{n}"))).count();
                let (plain, replaced) = both(sql, &values[..used]);
                match (&plain, &replaced) {
                    (Ok(a), Ok(b)) => prop_assert_eq!(a, b, "{} {:?}", sql, values),
                    (Err(_), Err(_)) => {}
                    _ => prop_assert!(false, "{sql} {values:?}: {plain:?} {replaced:?}"),
                }
            }
        }
    }

    #[test]
    fn hexadecimal_digits_are_read_like_the_engine_reads_them() {
        for (text, skip) in
            [("41 42", " "), ("4 1", " "), ("41-42-", "-"), ("abCD", "x"), ("4142", "4"), ("414", ""), ("é41", "é"), ("", "")]
        {
            let (plain, replaced) = both("SELECT unhex(?1, ?2)", &[Value::Text(text.into()), Value::Text(skip.into())]);
            assert_eq!(plain, replaced, "{text} {skip}");
        }
    }
}
