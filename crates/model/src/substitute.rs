//! `${VAR}` and `${secret:NAME}` inside scalar values, after parsing: a value can never change the structure of a document.
//!
//! `$${` stands for `${` itself. Any other use of `$` stays as it is.

use crate::document::{Document, Node, Piece, Value};
use crate::mistake::{Report, printable};
use crate::reader::{element, member};

/// Longest name of a secret in bytes.
const SECRET_NAME_BYTES_MAX: usize = 128;

/// Replaces every variable in the values of `document`; keys are not touched.
pub(crate) fn substitute(document: &mut Document, env: &dyn Fn(&str) -> Option<String>, report: &Report) {
    walk(&mut document.root, "", env, report);
}

fn walk(node: &mut Node, path: &str, env: &dyn Fn(&str) -> Option<String>, report: &Report) {
    let place = node.place;
    match &mut node.value {
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &element(path, index), env, report);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                walk(&mut entry.node, &member(path, &entry.key), env, report);
            }
        }
        Value::Text(text) if text.contains("${") => {
            let mut missing = Vec::new();
            let pieces = pieces(text, env, &mut missing, || {
                let message = "`${` is not followed by a name and `}`, so the text stays as it is";
                report.warning(place, path, message, "only `${NAME}` and `${secret:NAME}` are replaced; write `$${` to say so");
            });
            for name in &missing {
                let message = format!("environment variable `{}` is not set", printable(name));
                report.error_hint(place, path, message, "set it before the start, or write `$${` for the text `${`");
            }
            node.value = match pieces.as_slice() {
                _ if !missing.is_empty() => Value::Unknown,
                [] => Value::Text(String::new()),
                [Piece::Plain(text)] => Value::Text(text.clone()),
                _ => Value::Pieces(pieces),
            };
        }
        _ => {}
    }
}

fn pieces(text: &str, env: &dyn Fn(&str) -> Option<String>, missing: &mut Vec<String>, odd: impl FnOnce()) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    let mut is_odd = false;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            plain.push_str(&rest[..at - 1]);
            plain.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        plain.push_str(&rest[..at]);
        rest = &rest[at + 2..];
        match rest.split_once('}') {
            Some((name, after)) if is_variable(name) => {
                match env(name) {
                    Some(value) => plain.push_str(&value),
                    None => missing.push(name.to_owned()),
                }
                rest = after;
            }
            Some((name, after)) if name.strip_prefix("secret:").is_some_and(is_secret) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Plain(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Secret(name["secret:".len()..].to_owned()));
                rest = after;
            }
            _ => {
                is_odd = true;
                plain.push_str("${");
            }
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Plain(plain));
    }
    if is_odd {
        odd();
    }
    pieces
}

/// The name of an environment variable as the original accepts it.
pub(crate) fn is_variable(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_secret(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !name.is_empty() && name.len() <= SECRET_NAME_BYTES_MAX && name.bytes().all(allowed)
}
