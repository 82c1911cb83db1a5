//! Values as Flux source text (Flux language specification, "String literals" and "Regular expression literals").
//!
//! The scanner of Flux is looser than its grammar, so no value may leave a `$` or, in a regular expression, a `\` or `/` as it is:
//! - `"${"` interpolates, and a `$` makes the scanner take the next character as it is, even a `\`: `"$\"` is a whole string;
//! - `/a\/` may end a regular expression or go on to the next `/` of the query, whichever makes the longer token.

use super::scalar::Scalar;
use super::time::Moment;
use crate::fault::ToolFault;

/// Longest text compared with, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 8 << 10;
/// Longest regular expression, in characters.
pub(super) const REGEX_CHARS_MAX: usize = 256;

/// A string literal, quotes included.
pub(super) fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' => out.push_str("\\x24"),
            c if c.is_ascii_control() => push_byte(&mut out, c),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A regular expression literal, slashes included.
///
/// # Errors
/// `invalid_argument` for an empty or overlong expression: `//` would begin a comment.
pub(super) fn regex(value: &str) -> Result<String, ToolFault> {
    if value.is_empty() || value.chars().count() > REGEX_CHARS_MAX {
        let remedy = format!("write a regular expression of 1 to {REGEX_CHARS_MAX} characters");
        return Err(ToolFault::invalid("the regular expression is empty or too long", remedy));
    }
    let mut out = String::with_capacity(value.len() + 2);
    out.push('/');
    for c in value.chars() {
        match c {
            '/' | '\\' => push_byte(&mut out, c),
            c if c.is_ascii_control() => push_byte(&mut out, c),
            c => out.push(c),
        }
    }
    out.push('/');
    Ok(out)
}

/// Any value as a literal of its type.
pub(super) fn scalar(value: &Scalar) -> Result<String, ToolFault> {
    match value {
        Scalar::Text(value) if value.len() > TEXT_BYTES_MAX => {
            Err(ToolFault::invalid(format!("a text is longer than {TEXT_BYTES_MAX} bytes"), "compare with a shorter text"))
        }
        Scalar::Text(value) => Ok(text(value)),
        Scalar::Bool(value) => Ok(value.to_string()),
        Scalar::Real(value) => {
            // Flux has no exponents; without a point it would be a whole number.
            let digits = value.to_string();
            Ok(if digits.contains('.') { digits } else { format!("{digits}.0") })
        }
        Scalar::Whole(value) => whole(*value),
    }
}

/// The literal's digits must fit 63 bits, so the ends of the two ranges are converted from text.
fn whole(value: i128) -> Result<String, ToolFault> {
    if value.unsigned_abs() <= u128::from(i64::MAX.unsigned_abs()) {
        return Ok(value.to_string());
    }
    match (i64::try_from(value), u64::try_from(value)) {
        (Ok(least), _) => Ok(format!("int(v: \"{least}\")")),
        (_, Ok(large)) => Ok(format!("uint(v: \"{large}\")")),
        _ => {
            Err(ToolFault::invalid("a whole number is beyond 64 bits", "write a number from -9223372036854775808 to 18446744073709551615"))
        }
    }
}

/// A moment as `range` takes it.
pub(super) fn moment(moment: &Moment) -> String {
    match moment {
        Moment::Now => "now()".to_owned(),
        Moment::At(at) => at.to_string(),
        Moment::Relative(span) => span.to_string(),
    }
}

fn push_byte(out: &mut String, ascii: char) {
    out.push_str(&format!("\\x{:02x}", u32::from(ascii)));
}
