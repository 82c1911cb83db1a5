//! Tool arguments that are repeated in headers, `x-mcp-header` (reference, protocol section 2.2, "Param rules").

use http::{HeaderMap, HeaderName, HeaderValue};

use super::headers::Field;
use super::mismatch;
use super::text::{decode_text, encode_text};
use crate::error::WireError;
use crate::json::{Json, Kind};

const ANNOTATION: &str = "x-mcp-header";
const PREFIX: &str = "mcp-param-";
/// Most annotations one tool may have.
const PARAM_HEADERS_MAX: usize = 64;
/// Longest header name part.
const NAME_BYTES_MAX: usize = 128;
/// Integers that every JSON reader keeps exact: up to 2^53 - 1 either way.
const SAFE_INTEGER_MAX: i64 = (1 << 53) - 1;

/// Type of an annotated argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// `string`
    String,
    /// `integer`
    Integer,
    /// `boolean`
    Boolean,
}

/// One annotated argument of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamHeader {
    header: HeaderName,
    path: Vec<Box<str>>,
    kind: ParamKind,
}

/// A schema that is still to be looked at.
struct Open {
    schema: Json,
    path: Vec<Box<str>>,
    /// Reached through `properties` alone.
    reachable: bool,
}

impl ParamHeader {
    /// All annotations in a tool's `inputSchema`, in the order of the text. A schema that is no object has none.
    ///
    /// # Errors
    /// One sentence that names the rule and the argument. Clients over HTTP must then leave the tool out (reference, protocol section 2.11).
    pub fn read(schema: &Json) -> Result<Vec<Self>, String> {
        let mut found: Vec<Self> = Vec::new();
        if memchr::memmem::find(schema.bytes(), ANNOTATION.as_bytes()).is_none() && !schema.bytes().contains(&b'\\') {
            return Ok(found);
        }
        let mut open = vec![Open { schema: schema.clone(), path: Vec::new(), reachable: true }];
        while let Some(next) = open.pop() {
            if let Some(annotation) = next.schema.member(ANNOTATION) {
                let header = Self::annotated(&next, &annotation)?;
                if found.iter().any(|other| other.header == header.header) {
                    return Err(format!("x-mcp-header of {} is used twice, ignoring case", place(&next.path)));
                }
                if found.len() >= PARAM_HEADERS_MAX {
                    return Err(format!("more than {PARAM_HEADERS_MAX} x-mcp-header annotations"));
                }
                found.push(header);
            }
            let first = open.len();
            next.push_children(&mut open);
            // The list is worked off from its end: turn the children so that the first is next.
            open.get_mut(first..).unwrap_or_default().reverse();
        }
        Ok(found)
    }

    fn annotated(at: &Open, annotation: &Json) -> Result<Self, String> {
        let place = || place(&at.path);
        if !at.reachable || at.path.is_empty() {
            return Err(format!("x-mcp-header near {} is not on an argument reached through `properties` alone", place()));
        }
        let name = annotation.string().ok_or_else(|| format!("x-mcp-header of {} is not a string", place()))?;
        let is_token = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_tchar);
        let header = HeaderName::from_bytes(format!("{PREFIX}{name}").as_bytes()).ok().filter(|_| is_token);
        let header = header.ok_or_else(|| format!("x-mcp-header of {} is not an HTTP token of 1 to 128 characters", place()))?;
        let kind = kind_of(&at.schema).ok_or_else(|| format!("{} has x-mcp-header but is no string, integer or boolean", place()))?;
        Ok(Self { header, path: at.path.clone(), kind })
    }

    /// The header's name.
    #[must_use]
    pub const fn header(&self) -> &HeaderName {
        &self.header
    }

    /// Names of the nested properties that lead to the argument.
    #[must_use]
    pub fn path(&self) -> &[Box<str>] {
        &self.path
    }

    /// The argument's type.
    #[must_use]
    pub const fn kind(&self) -> ParamKind {
        self.kind
    }

    /// The header value that belongs to `arguments`; None when the argument is absent, null or not of a type that headers carry.
    #[must_use]
    pub fn value(&self, arguments: Option<&Json>) -> Option<HeaderValue> {
        let value = self.argument(arguments)?;
        match value.kind() {
            Kind::String => value.string().map(|text| encode_text(&text)),
            Kind::Number => Some(encode_text(&integer_text(&value)?)),
            Kind::Bool => Some(encode_text(if value.boolean()? { "true" } else { "false" })),
            _ => None,
        }
    }

    fn argument(&self, arguments: Option<&Json>) -> Option<Json> {
        let start = arguments?.clone();
        let value = self.path.iter().try_fold(start, |value, name| value.member(name))?;
        (!value.is_null()).then_some(value)
    }

    fn check(&self, headers: &HeaderMap, arguments: Option<&Json>) -> Result<(), WireError> {
        let wrong = |what: &str| Err(mismatch(self.header.as_str(), what));
        let text = match (Field::read(headers, &self.header), self.argument(arguments)) {
            (Field::Absent, None) => return Ok(()),
            (Field::Absent, Some(_)) => return wrong("is missing"),
            (_, None) => return wrong("names what the body does not"),
            (Field::Malformed, _) => return wrong("contains invalid characters"),
            (Field::Doubled, _) => return wrong("is given more than once"),
            (Field::Text(text), Some(value)) => (text, value),
        };
        let (header, value) = text;
        let Some(decoded) = decode_text(header) else { return wrong("is not valid Base64 of UTF-8 text") };
        let same = match value.kind() {
            Kind::String => value.string().is_some_and(|text| text == decoded),
            Kind::Bool => value.boolean().is_some_and(|truth| decoded == if truth { "true" } else { "false" }),
            Kind::Number => same_number(&decoded, value.number_text().unwrap_or_default()),
            _ => false,
        };
        if !same {
            return wrong("does not match the body");
        }
        let unsafe_integer = value.kind() == Kind::Number && exact_integer(&decoded).is_none_or(|n| n.abs() > SAFE_INTEGER_MAX);
        if self.kind == ParamKind::Integer && unsafe_integer { wrong("is no integer within 2^53 - 1") } else { Ok(()) }
    }
}

/// Compares the `Mcp-Param-*` headers of a `tools/call` with its arguments; `rules` come from the tool's schema. Headers that no rule
/// names are ignored.
///
/// # Errors
/// -32020, status 400, without id.
pub fn check_param_headers(headers: &HeaderMap, rules: &[ParamHeader], arguments: Option<&Json>) -> Result<(), WireError> {
    rules.iter().try_for_each(|rule| rule.check(headers, arguments))
}

fn place(path: &[Box<str>]) -> String {
    let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
    if path.is_empty() { "the schema root".to_owned() } else { format!("`{}`", path.join(".").escape_debug()) }
}

const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// The one type, or the one type besides null: a null argument is simply not repeated.
fn kind_of(schema: &Json) -> Option<ParamKind> {
    let kind = |name: &str| match name {
        "string" => Some(ParamKind::String),
        "integer" => Some(ParamKind::Integer),
        "boolean" => Some(ParamKind::Boolean),
        _ => None,
    };
    let types = schema.member("type")?;
    if let Some(name) = types.string() {
        return kind(&name);
    }
    let names: Vec<Json> = types.elements().filter(|name| name.string().as_deref() != Some("null")).collect();
    match names.as_slice() {
        [one] => kind(&one.string()?),
        _ => None,
    }
}

impl Open {
    /// Every schema directly inside this one. Keywords whose values are data are left out; unknown keywords may hold schemas.
    fn push_children(&self, open: &mut Vec<Self>) {
        for (keyword, value) in self.schema.members() {
            match &*keyword {
                "const" | "enum" | "default" | "examples" | "required" | "type" => {}
                "properties" => {
                    for (name, schema) in value.members() {
                        let mut path = self.path.clone();
                        path.push(name.into());
                        open.push(Self { schema, path, reachable: self.reachable });
                    }
                }
                "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
                    open.extend(value.members().map(|(_, schema)| self.beside(schema)));
                }
                _ if value.is_object() => open.push(self.beside(value)),
                _ => open.extend(value.elements().map(|schema| self.beside(schema))),
            }
        }
    }

    fn beside(&self, schema: Json) -> Self {
        Self { schema, path: self.path.clone(), reachable: false }
    }
}

fn same_number(header: &str, body: &str) -> bool {
    header == body || exact_integer(header).is_some_and(|number| exact_integer(body) == Some(number))
}

fn integer_text(value: &Json) -> Option<String> {
    let text = value.number_text()?;
    Some(exact_integer(text).map_or_else(|| text.to_owned(), |number| number.to_string()))
}

/// The integer that a JSON number means, whatever its spelling (`42`, `42.0`, `4.2e1`); None when it is none or beyond 18 digits.
fn exact_integer(text: &str) -> Option<i64> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    let point = i64::try_from(whole.len()).ok()?.checked_add(exponent.parse().ok()?)?;
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    // `zeros` have to be put back behind the digits; a negative number of them would be a fraction.
    let zeros = usize::try_from(point.checked_sub(i64::try_from(digits.len()).ok()?)?).ok()?;
    let significant = digits.trim_start_matches('0');
    if significant.len() + zeros > 18 {
        return None;
    }
    let number: i64 = format!("{significant}{}", "0".repeat(zeros)).parse().ok()?;
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_exactly_from_any_spelling() {
        for (text, number) in [("0", 0), ("-0", 0), ("42", 42), ("42.0", 42), ("4.2e1", 42), ("420e-1", 42), ("-7", -7), ("0.0e9", 0)] {
            assert_eq!(exact_integer(text), Some(number), "{text}");
        }
        assert_eq!(exact_integer("0.05e2"), Some(5));
        assert_eq!(exact_integer("999999999999999999"), Some(999_999_999_999_999_999));
        for none in
            ["", "-", "4.2", "042", "1.", ".5", "+1", "1e", "0x1", "1e99999999999999999999", "1e99", " 1", "1000000000000000000", "1_0"]
        {
            assert_eq!(exact_integer(none), None, "{none}");
        }
        // At the ends of what an exponent may be.
        for none in ["1.5e-9223372036854775808", "1e-9223372036854775808", "1e9223372036854775807", "15.5e9223372036854775807"] {
            assert_eq!(exact_integer(none), None, "{none}");
        }
    }
}
