//! Putting messages together around shared bytes (reference, performance section 3: id and name are spliced, results stay bytes).

mod frame;
mod legacy;

use crate::error::{RpcError, WireError};
use crate::json::{Json, Piece, push_string};
use crate::message::{Id, push_display};
use crate::revision::Era;

pub use frame::{Frame, SSE_KEEP_ALIVE, priming_event};
pub use legacy::legacy_tool;

use frame::Assembly;

/// Where a message ends and how a nested object closes.
const CLOSE: &[u8] = b"}";

fn head(id: Option<&Id>) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES);
    out.extend_from_slice(br#"{"jsonrpc":"2.0""#);
    if let Some(id) = id {
        out.extend_from_slice(br#","id":"#);
        id.push(&mut out);
    }
    out
}

/// Room for the envelope of most messages; longer ones grow it.
const HEAD_BYTES: usize = 128;

/// A response with `result` as it is.
#[must_use]
pub fn result(id: &Id, result: &Json) -> Frame {
    result_edited(id, result, &[], &[])
}

/// A response whose result is given the form of `era`, see [`complete`]. Large results are not copied.
#[must_use]
pub fn result_in(id: &Id, result: &Json, era: Era) -> Frame {
    match Change::of(result, era) {
        Change::None => result_edited(id, result, &[], &[]),
        Change::Add => result_completed(id, result),
        Change::Strip(names) => result_edited(id, result, names, &[]),
        Change::Rebuild => result_edited(id, &legacy::without_plain_structure(result), MODERN_FIELDS, &[]),
    }
}

/// As [`result_edited`] with the one member that is known to be absent, without looking through the result again.
fn result_completed(id: &Id, result: &Json) -> Frame {
    let mut head = head(Some(id));
    head.extend_from_slice(br#","result":"#);
    let result = result.to_one_line();
    let text = result.bytes();
    let before_brace = text.len().saturating_sub(1);
    let mut assembly = Assembly::begin(head, text.len() + COMPLETE_MEMBER.len());
    assembly.shared(text, 0..before_brace);
    let is_empty = text.iter().skip(1).find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
    assembly.copied(if is_empty { COMPLETE_MEMBER.get(1..).unwrap_or_default() } else { COMPLETE_MEMBER });
    assembly.finish(b"}}")
}

/// A response whose result is changed on the way as by [`Json::edit`]. Large results are not copied.
#[must_use]
pub fn result_edited(id: &Id, result: &Json, remove: &[&str], add: &[(&str, &Json)]) -> Frame {
    let mut head = head(Some(id));
    head.extend_from_slice(br#","result":"#);
    let mut assembly = Assembly::begin(head, result.len());
    assembly.edited(result, remove, add);
    assembly.finish(CLOSE)
}

/// The answers to an array of messages (2025-03-26).
#[must_use]
pub fn batch(answers: &[Frame]) -> Frame {
    let length = answers.iter().map(|answer| answer.len() + 1).sum::<usize>() + 1;
    let mut assembly = Assembly::begin(b"[".to_vec(), length);
    for (at, answer) in answers.iter().enumerate() {
        if at > 0 {
            assembly.copied(b",");
        }
        let bytes = answer.to_bytes();
        assembly.shared(&bytes, 0..bytes.len());
    }
    assembly.finish(b"]")
}

/// An error response; without `id` when the request could not be read.
#[must_use]
pub fn error(id: Option<&Id>, error: &RpcError) -> Frame {
    error_parts(id, error.code, &error.message, error.data.as_ref())
}

/// The answer to a message that was refused while it was read.
#[must_use]
pub fn wire_error(error: &WireError) -> Frame {
    error_parts(error.id.as_ref(), error.code, &error.message, error.data.as_ref())
}

fn error_parts(id: Option<&Id>, code: i64, message: &str, data: Option<&Json>) -> Frame {
    let mut head = head(id);
    head.extend_from_slice(br#","error":{"code":"#);
    push_display(&mut head, code);
    head.extend_from_slice(br#","message":"#);
    push_string(&mut head, message);
    let Some(data) = data else { return Assembly::begin(head, 0).finish(b"}}") };
    head.extend_from_slice(br#","data":"#);
    let mut assembly = Assembly::begin(head, data.len());
    assembly.value(data);
    assembly.finish(b"}}")
}

/// A notification.
#[must_use]
pub fn notification(method: &str, params: Option<&Json>) -> Frame {
    method_message(None, method, params)
}

/// A request.
#[must_use]
pub fn request(id: &Id, method: &str, params: Option<&Json>) -> Frame {
    method_message(Some(id), method, params)
}

fn method_message(id: Option<&Id>, method: &str, params: Option<&Json>) -> Frame {
    let mut head = head(id);
    head.extend_from_slice(br#","method":"#);
    push_string(&mut head, method);
    let Some(params) = params else { return Assembly::begin(head, 0).finish(CLOSE) };
    head.extend_from_slice(br#","params":"#);
    let mut assembly = Assembly::begin(head, params.len());
    assembly.value(params);
    assembly.finish(CLOSE)
}

/// A request whose params are put together from members with different names; large values are not copied.
#[must_use]
pub fn request_with(id: &Id, method: &str, params: &[(&str, &Json)]) -> Frame {
    let mut head = head(Some(id));
    head.extend_from_slice(br#","method":"#);
    push_string(&mut head, method);
    head.extend_from_slice(br#","params":{"#);
    let mut assembly = Assembly::begin(head, params.iter().map(|(name, value)| name.len() + value.len() + 4).sum());
    for (number, (name, value)) in params.iter().enumerate() {
        assembly.member_name(name, number > 0);
        assembly.value(value);
    }
    assembly.finish(b"}}")
}

/// An object made of members with different names, as one text.
#[must_use]
pub fn object(members: &[(&str, &Json)]) -> Json {
    Json::from_static("{}").edit(&[], members)
}

/// An array of these values, as one text.
#[must_use]
pub fn array(elements: &[Json]) -> Json {
    let mut text = Vec::with_capacity(2 + elements.iter().map(|element| element.len() + 1).sum::<usize>());
    text.push(b'[');
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        text.extend_from_slice(element.bytes());
    }
    text.push(b']');
    Json::assembled(text.into())
}

const RESULT_TYPE: &str = "resultType";
const COMPLETE: &str = "\"complete\"";
const COMPLETE_MEMBER: &[u8] = br#","resultType":"complete""#;
/// What legacy results do not have.
const MODERN_FIELDS: &[&str] = &[RESULT_TYPE, "ttlMs", "cacheScope"];

/// What has to happen to a result for one era.
enum Change {
    None,
    Add,
    Strip(&'static [&'static str]),
    /// Legacy, and `structuredContent` is no object.
    Rebuild,
}

impl Change {
    fn of(result: &Json, era: Era) -> Self {
        if !result.is_object() {
            return Self::None;
        }
        if era == Era::Modern {
            return if result.has(RESULT_TYPE) { Self::None } else { Self::Add };
        }
        if result.text_of(RESULT_TYPE).is_some_and(|kind| kind != "complete") {
            // Not complete: whoever calls has to drive it to its end first. Hiding the mark would make the caller believe it is done.
            return Self::None;
        }
        if legacy::has_plain_structure(result) {
            return Self::Rebuild;
        }
        if MODERN_FIELDS.iter().any(|name| result.has(name)) { Self::Strip(MODERN_FIELDS) } else { Self::None }
    }
}

/// The result in the form of `era` (reference, protocol sections 2.4, 3.1, 5.1).
///
/// Modern: `resultType` is set to `complete` when absent. Legacy: `resultType`, `ttlMs` and `cacheScope` go away, and a
/// `structuredContent` that is no object becomes a text block unless one says the same already. A result of another type than
/// `complete` comes back unchanged, and so does anything that is no object.
#[must_use]
pub fn complete(result: &Json, era: Era) -> Json {
    match Change::of(result, era) {
        Change::None => result.clone(),
        Change::Add => result.edit(&[], &[(RESULT_TYPE, &Json::from_static(COMPLETE))]),
        Change::Strip(names) => result.edit(names, &[]),
        Change::Rebuild => legacy::without_plain_structure(result).edit(MODERN_FIELDS, &[]),
    }
}

impl Assembly {
    fn edited(&mut self, json: &Json, remove: &[&str], add: &[(&str, &Json)]) {
        let json = json.to_one_line();
        let lines: Vec<(&str, Json)> = add.iter().map(|(name, value)| (*name, value.to_one_line())).collect();
        let add: Vec<(&str, &Json)> = lines.iter().map(|(name, value)| (*name, value)).collect();
        for piece in json.pieces(remove, &add) {
            match piece {
                Piece::Old(range) => self.shared(json.bytes(), range),
                Piece::New(text) => self.copied(&text),
            }
        }
    }

    fn value(&mut self, json: &Json) {
        let json = json.to_one_line();
        self.shared(json.bytes(), 0..json.len());
    }

    fn member_name(&mut self, name: &str, comma: bool) {
        let mut text = Vec::with_capacity(name.len() + 4);
        if comma {
            text.push(b',');
        }
        push_string(&mut text, name);
        text.push(b':');
        self.copied(&text);
    }
}
