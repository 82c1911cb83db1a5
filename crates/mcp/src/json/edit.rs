//! Changing the members of an object without touching its other bytes.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Json, Kind, Place, push_string, scan};

/// A stretch of the edited text.
pub(crate) enum Piece {
    /// Bytes of the old text.
    Old(Range<usize>),
    /// Bytes that were not there.
    New(Bytes),
}

/// What becomes of one old member.
enum Fate {
    Kept,
    Removed,
    Replaced(Json),
}

/// The edited text as pieces in order. A value that is no object is one old piece.
pub(crate) fn pieces(json: &Json, remove: &[&str], add: &[(&str, &Json)]) -> Vec<Piece> {
    let length = json.text.len();
    if json.kind() != Kind::Object || (remove.is_empty() && add.is_empty()) {
        return vec![Piece::Old(0..length)];
    }
    let mut plan = Plan { pieces: Vec::with_capacity(4 + 2 * add.len()), copied: 0, members: 0 };
    let mut pending = last_of_each(add);
    let fates: Vec<(Place, Fate)> = json
        .places()
        .map(|place| {
            let fate = fate(json, &place, remove, &mut pending);
            (place, fate)
        })
        .collect();
    plan.old_members(fates);
    plan.append(&pending, &json.text);
    plan.pieces
}

struct Plan {
    pieces: Vec<Piece>,
    /// Old text up to here is dealt with.
    copied: usize,
    /// Members that stay.
    members: usize,
}

impl Plan {
    fn old_members(&mut self, fates: Vec<(Place, Fate)>) {
        let kept_end = fates.iter().rposition(|(_, fate)| !matches!(fate, Fate::Removed)).map_or(0, |last| last + 1);
        let names: Vec<usize> = fates.iter().map(|(place, _)| place.member.name.start - 1).collect();
        let end = fates.last().map(|(place, _)| place.member.value.end);
        let mut behind_kept = 1;
        for (number, (place, fate)) in fates.into_iter().enumerate().take(kept_end) {
            match fate {
                // The text up to the next name goes, and with it the comma.
                Fate::Removed => self.skip(names[number]..names[number + 1]),
                Fate::Kept => self.members += 1,
                Fate::Replaced(new) => {
                    self.members += 1;
                    self.skip(place.member.value.clone());
                    self.pieces.push(Piece::New(new.text));
                }
            }
            behind_kept = place.member.value.end;
        }
        // Members removed at the end take the comma before them along.
        if let Some(end) = end.filter(|_| kept_end < names.len()) {
            self.skip(behind_kept..end);
        }
    }

    /// Keeps the old text before `gap` and leaves `gap` out.
    fn skip(&mut self, gap: Range<usize>) {
        if gap.start > self.copied {
            self.pieces.push(Piece::Old(self.copied..gap.start));
        }
        self.copied = self.copied.max(gap.end);
    }

    /// New members go behind the last old one, before white space and brace.
    fn append(&mut self, pending: &[(&str, &Json)], text: &Bytes) {
        let brace = text.len().saturating_sub(1);
        if !pending.is_empty() {
            let space = text.get(self.copied..brace).unwrap_or_default().iter().rev().take_while(|b| scan::is_space(**b)).count();
            self.skip(brace - space..brace - space);
            self.pieces.push(Piece::New(members_text(pending, self.members > 0)));
        }
        self.pieces.push(Piece::Old(self.copied..text.len()));
    }
}

fn members_text(members: &[(&str, &Json)], comma_first: bool) -> Bytes {
    let mut out = Vec::with_capacity(members.iter().map(|(name, value)| name.len() + value.len() + 4).sum());
    for (number, (name, value)) in members.iter().enumerate() {
        if comma_first || number > 0 {
            out.push(b',');
        }
        push_string(&mut out, name);
        out.push(b':');
        out.extend_from_slice(&value.text);
    }
    out.into()
}

fn fate(json: &Json, place: &Place, remove: &[&str], pending: &mut Vec<(&str, &Json)>) -> Fate {
    let raw = json.text.get(place.member.name.clone()).unwrap_or_default();
    if let Some(at) = pending.iter().position(|(name, _)| scan::name_is(raw, name)) {
        return Fate::Replaced(pending.remove(at).1.clone());
    }
    if remove.iter().any(|name| scan::name_is(raw, name)) { Fate::Removed } else { Fate::Kept }
}

/// A name that is added twice would make an invalid object: the last value counts.
fn last_of_each<'a>(add: &[(&'a str, &'a Json)]) -> Vec<(&'a str, &'a Json)> {
    let mut kept: Vec<(&str, &Json)> = Vec::with_capacity(add.len());
    for (name, value) in add {
        match kept.iter_mut().find(|(old, _)| old == name) {
            Some(slot) => slot.1 = value,
            None => kept.push((name, value)),
        }
    }
    kept
}

pub(super) fn edit(json: &Json, remove: &[&str], add: &[(&str, &Json)]) -> Json {
    let pieces = pieces(json, remove, add);
    if let [Piece::Old(_)] = pieces.as_slice() {
        return json.clone();
    }
    let old = |range: &Range<usize>| json.text.get(range.clone()).unwrap_or_default();
    let length = pieces.iter().map(|piece| match piece {
        Piece::Old(range) => range.len(),
        Piece::New(text) => text.len(),
    });
    let mut out = BytesMut::with_capacity(length.sum());
    for piece in &pieces {
        match piece {
            Piece::Old(range) => out.put_slice(old(range)),
            Piece::New(text) => out.put_slice(text),
        }
    }
    let broken_lines = json.broken_lines || add.iter().any(|(_, value)| value.broken_lines);
    Json::plain(out.freeze(), broken_lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &'static str, remove: &[&str], add: &[(&str, &'static str)]) -> String {
        let values: Vec<(&str, Json)> = add.iter().map(|(name, text)| (*name, Json::from_static(text))).collect();
        let add: Vec<(&str, &Json)> = values.iter().map(|(name, value)| (*name, value)).collect();
        let result = Json::from_static(text).edit(remove, &add);
        assert!(Json::check(result.bytes().clone(), &crate::json::Limits::RESULT).is_ok(), "{}", result.as_str());
        result.as_str().to_owned()
    }

    #[test]
    fn removes_without_touching_other_bytes() {
        let text = "{ \"a\" : 1 ,\n \"b\":[2 , 3], \"c\" : { } }";
        assert_eq!(edited(text, &["a"], &[]), "{ \"b\":[2 , 3], \"c\" : { } }");
        assert_eq!(edited(text, &["b"], &[]), "{ \"a\" : 1 ,\n \"c\" : { } }");
        assert_eq!(edited(text, &["c"], &[]), "{ \"a\" : 1 ,\n \"b\":[2 , 3] }");
        assert_eq!(edited(text, &["b", "c"], &[]), "{ \"a\" : 1 }");
        assert_eq!(edited(text, &["a", "b"], &[]), "{ \"c\" : { } }");
        assert_eq!(edited(text, &["a", "c"], &[]), "{ \"b\":[2 , 3] }");
        assert_eq!(edited(text, &["a", "b", "c"], &[]), "{ }");
        assert_eq!(edited(text, &["d"], &[]), text);
        assert_eq!(edited(r#"{"\u0061":1,"b":2}"#, &["a"], &[]), r#"{"b":2}"#);
    }

    #[test]
    fn adds_and_replaces() {
        assert_eq!(edited("{}", &[], &[("x", "1")]), r#"{"x":1}"#);
        assert_eq!(edited("{ }", &[], &[("x", "1"), ("y", "[]")]), r#"{"x":1,"y":[] }"#);
        assert_eq!(edited("{\"a\":1\n}", &[], &[("x", "2")]), "{\"a\":1,\"x\":2\n}");
        assert_eq!(edited(r#"{"a":1, "b":2}"#, &[], &[("a", "\"n\"")]), r#"{"a":"n", "b":2}"#);
        assert_eq!(edited(r#"{"a":1,"b":2}"#, &["a", "b"], &[("b", "3"), ("c", "4")]), r#"{"b":3,"c":4}"#);
        assert_eq!(edited(r#"{"a":1}"#, &["a"], &[("c", "4")]), r#"{"c":4}"#);
        assert_eq!(edited(r#"{"a":1,"b":2}"#, &["b"], &[("c", "4")]), r#"{"a":1,"c":4}"#);
        assert_eq!(edited("{}", &[], &[("q\"\n", "1"), ("q\"\n", "2")]), r#"{"q\"\n":2}"#);
        assert_eq!(edited("[1]", &["a"], &[("c", "4")]), "[1]");
    }
}
