//! Lists of texts in metadata.

use bailiwick_mcp::Json;

use super::scope;

/// Most entries of one list that are looked at.
const ENTRIES_MAX: usize = 128;
/// Longest entry.
const ENTRY_BYTES_MAX: usize = 2_048;

/// The texts of the list `name`; `None` when it is absent or no list of texts.
pub(super) fn texts(document: &Json, name: &str) -> Option<Vec<String>> {
    let list = document.member(name)?;
    if list.kind() != bailiwick_mcp::Kind::Array {
        return None;
    }
    let text = |one: Json| one.string().filter(|text| text.len() <= ENTRY_BYTES_MAX).map(std::borrow::Cow::into_owned);
    list.elements().take(ENTRIES_MAX).map(text).collect()
}

/// The scopes of the list `name`; what is no scope is left out.
pub(super) fn scopes(document: &Json, name: &str) -> Option<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for one in texts(document, name)? {
        if scope::is_scope(&one) && !found.contains(&one) {
            found.push(one);
        }
    }
    Some(found)
}
