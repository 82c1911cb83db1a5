//! Member names of the objects that are open during a check, to find a name that occurs twice.
//!
//! A few names are compared one by one. Beyond that they go through a hash table with a secret key, so that neither many members nor
//! chosen collisions make the check slower than linear.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};

/// Objects with more members than this get a hash table.
const ONE_BY_ONE_MAX: usize = 16;
/// Slots of a new table; always a power of two and at least twice the names in it.
const SLOTS_FIRST: usize = 64;
const NAMES_FIRST: usize = 32;

/// One name of an open object.
#[derive(Clone, Copy)]
struct Name {
    /// Cheap fingerprint in small objects, keyed hash in large ones. Names with different prints differ.
    print: u64,
    start: u32,
    len: u32,
    /// `start` counts in the resolved texts instead of in the checked text.
    resolved: bool,
}

/// The table of one large object: numbers of names plus one, 0 for a free slot.
struct Table {
    /// Where the names of the object begin.
    owner: usize,
    slots: Vec<u32>,
}

/// Names of all open objects, innermost last.
pub(super) struct Names<'a> {
    text: &'a [u8],
    list: Vec<Name>,
    /// Names that were written with escapes, resolved, one behind the other. Never longer than the text.
    resolved: Vec<u8>,
    tables: Vec<Table>,
    key: Option<RandomState>,
}

/// Cheap to make and different for nearly all names that differ; exact for names of up to 7 bytes.
#[inline]
fn print_of(text: &[u8], start: usize, end: usize) -> u64 {
    let word = |at: usize| text.get(at..).and_then(|rest| rest.first_chunk::<8>()).map(|bytes| u64::from_le_bytes(*bytes));
    let length = end - start;
    let print = match word(start) {
        // What follows a short name is masked away: names are seldom the last bytes of a text, and no length needs its own branch.
        Some(first) if length < 8 => first & ((1 << (8 * length)) - 1),
        Some(first) => first ^ word(end - 8).unwrap_or_default().rotate_left(29),
        None => text.get(start..end).unwrap_or_default().iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    print ^ (length as u64) << 56
}

fn narrow(at: usize) -> u32 {
    // Checked texts are shorter than 4 GiB, and so is everything made from one.
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl<'a> Names<'a> {
    /// For the names in `text`.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, list: Vec::new(), resolved: Vec::new(), tables: Vec::new(), key: None }
    }

    /// Opens an object; the mark goes back in with every name and at the end.
    pub(super) fn open(&mut self) -> usize {
        if self.list.capacity() == 0 {
            self.list.reserve(NAMES_FIRST);
        }
        self.list.len()
    }

    /// Forgets the names of the object that was opened with `mark`.
    pub(super) fn close(&mut self, mark: usize) {
        // Objects inside a large one begin behind its names, so the mark tells them apart.
        if self.list.len() > mark + ONE_BY_ONE_MAX {
            self.tables.pop_if(|table| table.owner == mark);
        }
        self.list.truncate(mark);
    }

    /// Adds the name that stands at `start..end` of the text. False when the object has it already.
    pub(super) fn insert(&mut self, mark: usize, start: usize, end: usize, escaped: bool) -> bool {
        let (start, end) = if escaped { self.resolve(start, end) } else { (start, end) };
        if self.list.len() - mark < ONE_BY_ONE_MAX {
            self.insert_small(mark, start, end, escaped)
        } else {
            self.insert_large(mark, Name { print: 0, start: narrow(start), len: narrow(end - start), resolved: escaped })
        }
    }

    /// Resolves the escapes of a name; where the result stands.
    fn resolve(&mut self, start: usize, end: usize) -> (usize, usize) {
        let raw = self.text.get(start..end).unwrap_or_default();
        let begin = self.resolved.len();
        // The string check has resolved every escape once, so the fallback to the raw text is never taken.
        match super::text::unescape(raw) {
            Some(Cow::Owned(text)) => self.resolved.extend_from_slice(text.as_bytes()),
            _ => self.resolved.extend_from_slice(raw),
        }
        (begin, self.resolved.len())
    }

    fn text_of(&self, name: Name) -> &[u8] {
        let from: &[u8] = if name.resolved { &self.resolved } else { self.text };
        from.get(name.start as usize..name.start as usize + name.len as usize).unwrap_or_default()
    }

    fn insert_small(&mut self, mark: usize, start: usize, end: usize, resolved: bool) -> bool {
        let from: &[u8] = if resolved { &self.resolved } else { self.text };
        let print = print_of(from, start, end);
        let same = |other: &Name| other.print == print && from.get(start..end) == Some(self.text_of(*other));
        if self.list.get(mark..).unwrap_or_default().iter().any(same) {
            return false;
        }
        self.list.push(Name { print, start: narrow(start), len: narrow(end - start), resolved });
        true
    }

    fn insert_large(&mut self, mark: usize, mut name: Name) -> bool {
        if self.tables.last().is_none_or(|table| table.owner != mark) {
            self.tables.push(Table { owner: mark, slots: vec![0; SLOTS_FIRST] });
            for number in mark..self.list.len() {
                self.rehash(number);
            }
            self.place_all(mark);
        }
        name.print = self.keyed(name);
        if !self.place(self.list.len(), name) {
            return false;
        }
        self.list.push(name);
        let full = self.tables.last().is_some_and(|table| 2 * (self.list.len() - mark) > table.slots.len());
        if full {
            self.grow(mark);
        }
        true
    }

    fn keyed(&mut self, name: Name) -> u64 {
        let key = self.key.get_or_insert_default().clone();
        key.hash_one(self.text_of(name))
    }

    fn rehash(&mut self, number: usize) {
        if let Some(name) = self.list.get(number).copied() {
            let print = self.keyed(name);
            if let Some(slot) = self.list.get_mut(number) {
                slot.print = print;
            }
        }
    }

    fn grow(&mut self, mark: usize) {
        if let Some(table) = self.tables.last_mut() {
            table.slots = vec![0; table.slots.len() * 2];
        }
        self.place_all(mark);
    }

    fn place_all(&mut self, mark: usize) {
        for number in mark..self.list.len() {
            if let Some(name) = self.list.get(number).copied() {
                self.place(number, name);
            }
        }
    }

    /// Puts `name`, number `number` of the list, into the innermost table; false when an equal name is there.
    fn place(&mut self, number: usize, name: Name) -> bool {
        let Some(mut table) = self.tables.pop() else { return true };
        let mask = table.slots.len() - 1;
        let mut at = usize::try_from(name.print & mask as u64).unwrap_or(0);
        let free = loop {
            match table.slots.get(at).copied() {
                Some(0) | None => break true,
                Some(taken) => {
                    let other = self.list.get(taken as usize - 1).copied();
                    if other.is_some_and(|other| other.print == name.print && self.text_of(other) == self.text_of(name)) {
                        break false;
                    }
                }
            }
            at = (at + 1) & mask;
        };
        if free && let Some(slot) = table.slots.get_mut(at) {
            *slot = narrow(number + 1);
        }
        self.tables.push(table);
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts one behind the other, with their places.
    fn lay_out(texts: &[String]) -> (Vec<u8>, Vec<(usize, usize)>) {
        let mut all = Vec::new();
        let places = texts.iter().map(|text| {
            all.extend_from_slice(text.as_bytes());
            (all.len() - text.len(), all.len())
        });
        let places = places.collect();
        (all, places)
    }

    #[test]
    fn finds_a_repeated_name_in_small_and_large_objects() {
        for count in [1, 15, 16, 17, 18, 31, 32, 33, 500] {
            let texts: Vec<String> = (0..count).map(|i| format!("member-{i}")).collect();
            let (all, places) = lay_out(&texts);
            for again in [0, count / 2, count - 1] {
                let mut names = Names::new(&all);
                let mark = names.open();
                assert!(places.iter().all(|(start, end)| names.insert(mark, *start, *end, false)));
                let (start, end) = places[again];
                assert!(!names.insert(mark, start, end, false), "{again} of {count}");
                assert!(!names.insert(mark, start, end, true), "{again} of {count}, the other way");
            }
        }
    }

    #[test]
    fn objects_are_apart_from_their_children_and_brothers() {
        let texts: Vec<String> = (0..40).map(|i| i.to_string()).collect();
        let (all, places) = lay_out(&texts);
        let mut names = Names::new(&all);
        let outer = names.open();
        for (start, end) in &places {
            assert!(names.insert(outer, *start, *end, false));
            for _ in 0..2 {
                let inner = names.open();
                assert!(places.iter().all(|(start, end)| names.insert(inner, *start, *end, true)), "children may repeat a name");
                let (start, end) = places[39];
                assert!(!names.insert(inner, start, end, false));
                names.close(inner);
                let empty = names.open();
                names.close(empty);
            }
        }
        for (start, end) in places {
            assert!(!names.insert(outer, start, end, false));
        }
    }

    #[test]
    fn names_with_one_print_are_still_told_apart() {
        let texts = ["aaaaaaaaXaaaaaaaa".to_owned(), "aaaaaaaaYaaaaaaaa".to_owned()];
        let (all, places) = lay_out(&texts);
        let print = |number: usize| print_of(&all, places[number].0, places[number].1);
        assert_eq!(print(0), print(1));
        let mut names = Names::new(&all);
        let mark = names.open();
        let mut insert = |number: usize| names.insert(mark, places[number].0, places[number].1, false);
        assert!(insert(0) && insert(1) && !insert(0));
    }

    #[test]
    fn a_name_has_the_same_print_wherever_it_stands() {
        for length in 0..20 {
            let name = "abcdefghijklmnopqrst".get(..length).unwrap();
            let (alone, before, after) = (name.to_owned(), format!("{name}::::::::::"), format!("::::{name}"));
            let prints =
                [print_of(alone.as_bytes(), 0, length), print_of(before.as_bytes(), 0, length), print_of(after.as_bytes(), 4, 4 + length)];
            assert!(prints.iter().all(|print| *print == prints[0]), "{length}");
        }
    }
}
