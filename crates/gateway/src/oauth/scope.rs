//! Scopes as RFC 6749 section 3.3 writes them.

/// Longest scope. Those of some providers are whole addresses.
const SCOPE_BYTES_MAX: usize = 256;
/// Most scopes of one list.
pub(super) const SCOPES_MAX: usize = 128;

/// Whether `text` is one scope.
pub(super) fn is_scope(text: &str) -> bool {
    let allowed = |b: u8| b == 0x21 || (0x23..=0x5b).contains(&b) || (0x5d..=0x7e).contains(&b);
    (1..=SCOPE_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// A list with spaces between, each scope once, in its order; `None` when it is no such list, or longer than [`SCOPES_MAX`].
pub(super) fn parse(text: &str) -> Option<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for one in text.split(' ').filter(|one| !one.is_empty()) {
        if !is_scope(one) || found.len() == SCOPES_MAX {
            return None;
        }
        if !found.iter().any(|known| known == one) {
            found.push(one.to_owned());
        }
    }
    Some(found)
}

/// As [`parse`], with commas too: some providers (GitHub, Slack) tell granted scopes so.
pub(super) fn parse_granted(text: &str) -> Option<Vec<String>> {
    let comma = !text.contains(' ') && text.contains(',');
    if comma { parse(&text.replace(',', " ")) } else { parse(text) }
}

/// Everything of both, each once, in the order of their coming.
pub(super) fn union(first: &[String], second: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(first.len() + second.len());
    for one in first.iter().chain(second) {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
    all
}
