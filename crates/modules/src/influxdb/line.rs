//! Points as line protocol (InfluxDB 2.x, "Line protocol").
//!
//! Keys are identifiers and need no escape. In tag values `,`, `=` and space are escaped. A `\` there is not: influxd keeps `\\` as two. It
//! takes a separator after any `\` for an escaped one, while others read `\\` as one `\` and the separator as a separator, so a tag value with
//! `\` before a separator or at its end means different things and is refused. Lines end with `\n`, so no value may hold one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::names;
use super::scalar::Scalar;
use crate::fault::ToolFault;

/// Most points of one call.
pub(super) const POINTS_MAX: usize = 5_000;
/// Largest body of one call.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;
/// The server's own range of times, in nanoseconds.
const TIMES: std::ops::RangeInclusive<i128> = (i64::MIN as i128 + 2)..=(i64::MAX as i128 - 1);

/// One point as the agent writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Point {
    #[serde(default)]
    tags: Option<BTreeMap<String, Box<RawValue>>>,
    fields: BTreeMap<String, Box<RawValue>>,
    #[serde(default)]
    time: Option<Box<RawValue>>,
}

/// The lines of `points`, each ended by `\n`.
///
/// # Errors
/// `invalid_argument` naming the place, `limit_exceeded` for too many points or bytes.
pub(super) fn lines(measurement: &str, points: &[Point]) -> Result<String, ToolFault> {
    names::measurement(measurement)?;
    if points.is_empty() {
        return Err(ToolFault::invalid("`points` is empty", "give at least one point"));
    }
    if points.len() > POINTS_MAX {
        let message = format!("there are more than {POINTS_MAX} points");
        return Err(ToolFault::limit("points", POINTS_MAX as u64, message, "write fewer points in one call"));
    }
    let mut out = String::new();
    for (index, point) in points.iter().enumerate() {
        out.push_str(measurement);
        point.write(&mut out, index)?;
        out.push('\n');
        if out.len() > BODY_BYTES_MAX {
            let message = format!("the points are larger than {BODY_BYTES_MAX} bytes");
            return Err(ToolFault::limit("bytes", BODY_BYTES_MAX as u64, message, "write fewer points in one call"));
        }
    }
    Ok(out)
}

impl Point {
    fn write(&self, out: &mut String, index: usize) -> Result<(), ToolFault> {
        for (key, value) in self.tags.iter().flatten() {
            names::identifier(&format!("tag key in `points[{index}]`"), key)?;
            let refused = |rule: &str| wrong(format!("the tag `{key}` in `points[{index}]` {rule}"));
            let value = tag(&Scalar::read(value).map_err(refused)?).map_err(refused)?;
            // The format has no empty tag values; a missing tag means the same.
            if !value.is_empty() {
                out.push_str(&format!(",{key}={value}"));
            }
        }
        if self.fields.is_empty() {
            return Err(wrong(format!("`points[{index}]` has no fields")));
        }
        for (place, (key, value)) in self.fields.iter().enumerate() {
            names::identifier(&format!("field key in `points[{index}]`"), key)?;
            let refused = |rule: &str| wrong(format!("the field `{key}` in `points[{index}]` {rule}"));
            let value = field(&Scalar::read(value).map_err(refused)?).map_err(refused)?;
            out.push_str(&format!("{}{key}={value}", if place == 0 { ' ' } else { ',' }));
        }
        if let Some(time) = &self.time {
            match Scalar::read(time) {
                Ok(Scalar::Whole(nanos)) if TIMES.contains(&nanos) => out.push_str(&format!(" {nanos}")),
                _ => return Err(wrong(format!("the time in `points[{index}]` is not a whole number of nanoseconds within 64 bits"))),
            }
        }
        Ok(())
    }
}

fn wrong(message: String) -> ToolFault {
    ToolFault::invalid(message, "see the tool's description for what a point may hold")
}

/// What ends a part of a line.
const TAG_SPECIAL: [char; 3] = [',', '=', ' '];
const LINE_BREAK: &str = "holds a line break";

fn tag(value: &Scalar) -> Result<String, &'static str> {
    let text = match value {
        Scalar::Text(text) => text,
        Scalar::Bool(value) => return Ok(value.to_string()),
        Scalar::Whole(value) => return Ok(value.to_string()),
        Scalar::Real(value) => return Ok(value.to_string()),
    };
    if text.contains(['\n', '\r']) {
        return Err(LINE_BREAK);
    }
    if text.ends_with('\\') || TAG_SPECIAL.iter().any(|special| text.contains(&format!("\\{special}"))) {
        return Err("holds a backslash at its end or before a space, `,` or `=`, which the format cannot tell from an escape");
    }
    Ok(escaped(text, &TAG_SPECIAL))
}

fn field(value: &Scalar) -> Result<String, &'static str> {
    match value {
        Scalar::Text(text) if text.contains(['\n', '\r']) => Err(LINE_BREAK),
        Scalar::Text(text) => Ok(format!("\"{}\"", escaped(text, &['\\', '"']))),
        Scalar::Bool(value) => Ok(value.to_string()),
        Scalar::Whole(value) => i64::try_from(*value).map(|value| format!("{value}i")).map_err(|_| "is a whole number beyond 64 bits"),
        Scalar::Real(value) => Ok(format!("{value:?}")),
    }
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
