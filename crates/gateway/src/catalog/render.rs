//! Rendered lists.

use bailiwick_mcp::{Era, Json, Limits};

use crate::product::SERVER_INFO_META;

/// Freshness told to 2026-07-28 clients: lists follow policy, which may change at any time.
const LIST_TTL_MS: u32 = 0;

/// Every definition was checked when it was admitted and their number is bounded, so this only states what cannot be crossed.
const LIST: Limits = Limits { bytes_max: u32::MAX as usize, depth_max: 128, tokens_max: u32::MAX };

/// The result object of `tools/list` for one era. The definitions are already valid, so joining them is too.
pub(super) fn render_list<'a>(definitions: impl Iterator<Item = &'a Json>, era: Era) -> Json {
    let mut text = String::with_capacity(4 << 10);
    text.push('{');
    if era == Era::Modern {
        text.push_str(r#""resultType":"complete","#);
    }
    text.push_str(r#""tools":["#);
    for (at, definition) in definitions.enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(definition.as_str());
    }
    text.push(']');
    if era == Era::Modern {
        text.push_str(&format!(r#","ttlMs":{LIST_TTL_MS},"cacheScope":"private","_meta":{SERVER_INFO_META}"#));
    }
    text.push('}');
    Json::check(text.into(), &LIST).unwrap_or_else(|_| Json::from_static(r#"{"tools":[]}"#))
}
