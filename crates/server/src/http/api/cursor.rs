//! Where a list goes on. A cursor belongs to one operation of one organisation and grants nothing: who alters one finds other rows of
//! the same list.

use bailiwick_gateway::operations::Fault;
use bailiwick_model::Code;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

/// Longest cursor that is looked at.
pub(crate) const CURSOR_CHARS_MAX: usize = 2_048;

#[derive(Serialize, Deserialize)]
struct Inside(String, String, String);

/// A cursor behind `last` in the list of `operation` in `place`.
pub(crate) fn seal(operation: &str, place: &str, last: &str) -> String {
    let inside = Inside(operation.to_owned(), place.to_owned(), last.to_owned());
    BASE64URL_NOPAD.encode(&serde_json::to_vec(&inside).unwrap_or_default())
}

/// What stands behind a cursor of this list; nothing without one.
///
/// # Errors
/// For a text that is no cursor, or one of another list.
pub(crate) fn open(operation: &str, place: &str, cursor: Option<&str>) -> Result<String, Fault> {
    let Some(cursor) = cursor else { return Ok(String::new()) };
    let decoded = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok().filter(|_| cursor.len() <= CURSOR_CHARS_MAX);
    let inside = decoded.and_then(|bytes| serde_json::from_slice::<Inside>(&bytes).ok());
    match inside {
        Some(Inside(of, at, last)) if of == operation && at == place && !last.chars().any(char::is_control) => Ok(last),
        _ => Err(foreign()),
    }
}

/// Well-formed, for all that the document says of a cursor, but of no use.
pub(crate) fn foreign() -> Fault {
    Fault::new(Code::InvalidArgument, "not a cursor of this list", "begin without one, or give `next_cursor` as it came")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_belong_to_their_list() {
        let cursor = seal("list_members", "acme", "ann");
        assert_eq!(open("list_members", "acme", Some(&cursor)).unwrap(), "ann");
        assert_eq!(open("list_members", "acme", None).unwrap(), "");
        for (operation, place) in [("list_members", "beta"), ("list_groups", "acme")] {
            assert!(open(operation, place, Some(&cursor)).is_err());
        }
        for bad in ["", "x", "%", "W10"] {
            assert!(open("list_members", "acme", Some(bad)).is_err(), "{bad}");
        }
    }
}
