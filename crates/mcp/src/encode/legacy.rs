//! Results and tools for clients that know only structured objects (reference, protocol section 5.1).

use serde_json::Value;

use crate::json::{Json, Kind};

const STRUCTURED: &str = "structuredContent";
const CONTENT: &str = "content";
const OUTPUT_SCHEMA: &str = "outputSchema";

/// Longest plain structured value that is compared with the text blocks; beyond it a doubled text is cheaper than the comparison.
const COMPARED_BYTES_MAX: usize = 64 << 10;

pub(super) fn has_plain_structure(result: &Json) -> bool {
    result.member(STRUCTURED).is_some_and(|value| !value.is_object())
}

/// The result with its structured value as a text block instead.
pub(super) fn without_plain_structure(result: &Json) -> Json {
    let Some(structured) = result.member(STRUCTURED).filter(|value| !value.is_object()) else { return result.clone() };
    let content = result.member(CONTENT).filter(|content| content.kind() == Kind::Array);
    if content.as_ref().is_some_and(|content| says_the_same(content, &structured)) {
        return result.edit(&[STRUCTURED], &[]);
    }
    let text = Json::from_text(structured.to_one_line().as_str());
    let block = super::object(&[("type", &Json::from_static("\"text\"")), ("text", &text)]);
    let content = appended(content.as_ref(), &block);
    result.edit(&[STRUCTURED], &[(CONTENT, &content)])
}

fn says_the_same(content: &Json, structured: &Json) -> bool {
    if structured.len() > COMPARED_BYTES_MAX {
        return false;
    }
    let Ok(wanted) = serde_json::from_slice::<Value>(structured.bytes()) else { return false };
    content.elements().filter(|block| block.text_of("type").as_deref() == Some("text")).any(|block| {
        let Some(text) = block.text_of("text").filter(|text| text.len() <= 2 * COMPARED_BYTES_MAX) else { return false };
        wanted.as_str() == Some(&text) || serde_json::from_str::<Value>(&text).is_ok_and(|found| found == wanted)
    })
}

fn appended(list: Option<&Json>, element: &Json) -> Json {
    let old = list.map_or(&b"[]"[..], |list| list.bytes());
    let inner = old.get(1..old.len().saturating_sub(1)).unwrap_or_default();
    let mut out = Vec::with_capacity(old.len() + element.len() + 1);
    out.push(b'[');
    out.extend_from_slice(inner);
    if inner.iter().any(|byte| !byte.is_ascii_whitespace()) {
        out.push(b',');
    }
    out.extend_from_slice(element.bytes());
    out.push(b']');
    Json::assembled(out.into())
}

/// A tool definition for a legacy client: an `outputSchema` that does not describe an object goes away.
#[must_use]
pub fn legacy_tool(tool: &Json) -> Json {
    let fits = |schema: Json| schema.text_of("type").as_deref() == Some("object");
    if tool.member(OUTPUT_SCHEMA).is_none_or(fits) { tool.clone() } else { tool.edit(&[OUTPUT_SCHEMA], &[]) }
}
