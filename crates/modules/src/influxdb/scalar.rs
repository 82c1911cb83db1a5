//! A JSON value as it was written: whole numbers stay whole and exact, which a decoder into floating point would lose.

use serde_json::value::RawValue;

/// One string, truth value or number.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Text(String),
    Bool(bool),
    /// Written without fraction and exponent.
    Whole(i128),
    /// Always finite.
    Real(f64),
}

impl Scalar {
    /// The value, or the rule it breaks.
    pub(super) fn read(raw: &RawValue) -> Result<Self, &'static str> {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str(text).map(Self::Text).map_err(|_| "is not a text of Unicode characters"),
            Some(b't') => Ok(Self::Bool(true)),
            Some(b'f') => Ok(Self::Bool(false)),
            Some(b'-' | b'0'..=b'9') => number(text),
            _ => Err("is neither text nor number nor truth value"),
        }
    }
}

fn number(text: &str) -> Result<Scalar, &'static str> {
    if text.contains(['.', 'e', 'E']) {
        return match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Scalar::Real(value)),
            _ => Err("is a number beyond the range of 64-bit floating point"),
        };
    }
    text.parse().map(Scalar::Whole).map_err(|_| "is a whole number beyond 64 bits")
}
