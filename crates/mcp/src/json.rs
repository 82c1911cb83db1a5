//! JSON text that is kept as it came.
//!
//! Texts are checked once, strictly, and from then on passed around as shared bytes: no tree is built, unknown members survive, numbers
//! keep their spelling. See design section 5.1 and reference, security section 3, T-SMUG.

mod check;
mod edit;
mod fault;
mod index;
mod names;
mod scan;
mod serde_impl;
mod text;
mod tokens;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use edit::Piece;
pub use fault::{Fault, FaultKind};
pub(crate) use text::push_string;
pub use tokens::{Token, TokenKind};

use index::{Notes, Span};

/// How large a text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole text; texts beyond 4 GiB are refused whatever this says.
    pub bytes_max: usize,
    /// Arrays and objects inside each other; `[]` has depth 1, a plain number depth 0.
    pub depth_max: u32,
    /// Values and member names together.
    pub tokens_max: u32,
}

impl Limits {
    /// What a client may send (reference, security section 14).
    pub const REQUEST: Self = Self { bytes_max: 4 << 20, depth_max: 64, tokens_max: 200_000 };
    /// What an upstream server may answer.
    pub const RESULT: Self = Self { bytes_max: 16 << 20, depth_max: 64, tokens_max: 2_000_000 };
}

/// The type of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number of any spelling.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One JSON value as text that has passed the check: valid UTF-8 and RFC 8259, no member name twice in any object, no half surrogate
/// pairs, within limits. Clones, members and elements share one buffer; keeping a small part keeps the whole buffer alive.
///
/// Numbers are checked for spelling only, so a reader must expect `1e999`. Equality compares the text byte by byte.
#[derive(Clone)]
pub struct Json {
    /// The value without white space around it.
    text: Bytes,
    /// Where the members of this value and of those around it stand, see [`Json::inspect`].
    spans: Option<Arc<[Span]>>,
    /// The span that is this value, when there are spans.
    number: u32,
    /// The text may hold line breaks between tokens; only then [`Json::to_one_line`] has to look.
    broken_lines: bool,
}

impl Json {
    /// Checks `text` and takes it without copying.
    ///
    /// # Errors
    /// [`Fault`] with the first rule broken.
    pub fn check(text: Bytes, limits: &Limits) -> Result<Self, Fault> {
        let found = check::run(&text, limits, &mut Notes::new(false))?;
        Ok(Self::plain(text.slice(found.start..found.end), found.broken_lines))
    }

    /// As [`Json::check`], and notes in passing where the members of the outer three levels of objects stand. Reading those later costs
    /// nothing that depends on the size of the text. Worth its price for messages; not for values that are only passed on.
    ///
    /// # Errors
    /// [`Fault`] with the first rule broken.
    pub fn inspect(text: Bytes, limits: &Limits) -> Result<Self, Fault> {
        Self::inspect_or_peek(text, limits, "").map_err(|(fault, _)| fault)
    }

    /// As [`Json::inspect`]; when the check fails behind the member `name` of the outermost object, that member is given back as well.
    pub(crate) fn inspect_or_peek(text: Bytes, limits: &Limits, name: &str) -> Result<Self, (Fault, Option<Self>)> {
        let mut notes = Notes::new(true);
        match check::run(&text, limits, &mut notes) {
            Ok(found) => {
                let spans = notes.spans();
                // A scalar or an array has nothing to note.
                let noted = spans.first().is_some_and(|span| span.noted);
                let spans = noted.then(|| Arc::from(spans));
                Ok(Self { spans, ..Self::plain(text.slice(found.start..found.end), found.broken_lines) })
            }
            Err(fault) => {
                let peeked = notes.complete_member(&text, name).map(|range| Self::plain(text.slice(range), true));
                Err((fault, peeked))
            }
        }
    }

    pub(crate) const fn plain(text: Bytes, broken_lines: bool) -> Self {
        Self { text, spans: None, number: 0, broken_lines }
    }

    /// A literal of the program.
    #[must_use]
    pub fn from_static(text: &'static str) -> Self {
        let text = Bytes::from_static(text.as_bytes());
        debug_assert!(Self::check(text.clone(), &Limits::RESULT).is_ok(), "a literal of the program is not valid JSON");
        Self::plain(text, true)
    }

    /// The text of `value`, checked like any other: a type may serialise a member twice.
    ///
    /// # Errors
    /// [`FaultKind::Shape`] when `value` has no JSON form, otherwise as [`Json::check`] with [`Limits::RESULT`].
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, Fault> {
        let text = serde_json::to_vec(value).map_err(|_| Fault { kind: FaultKind::Shape, at: 0 })?;
        Self::check(text.into(), &Limits::RESULT)
    }

    /// A JSON string that means `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut out = Vec::with_capacity(text.len() + 2);
        push_string(&mut out, text);
        Self::checked(out.into())
    }

    /// `text` is known to be one valid value on one line.
    pub(crate) fn checked(text: Bytes) -> Self {
        Self::plain(text, false)
    }

    /// `text` is known to be one valid value, maybe with line breaks between its tokens.
    pub(crate) fn assembled(text: Bytes) -> Self {
        Self::plain(text, true)
    }

    /// The text that [`Json::edit`] would give, as pieces of the old one and new ones.
    pub(crate) fn pieces(&self, remove: &[&str], add: &[(&str, &Self)]) -> Vec<Piece> {
        edit::pieces(self, remove, add)
    }

    /// The text. Costs one pass over it, at memory speed: proving to the compiler again that it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The text as shared bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.text
    }

    /// Length of the text in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a JSON value is never empty")]
    pub const fn len(&self) -> usize {
        self.text.len()
    }

    /// The type of the value.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.text.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// True for an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.kind() == Kind::Object
    }

    /// True for `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// The members of an object in the order of the text; nothing for other kinds.
    pub fn members(&self) -> impl Iterator<Item = (Cow<'_, str>, Json)> {
        self.places().map(|place| (self.name_of(&place), self.at_place(&place)))
    }

    /// Calls `visit` with each member's name and its value, which costs nothing until it is asked for.
    pub(crate) fn each_member(&self, mut visit: impl FnMut(&str, Part<'_>)) {
        for place in self.places() {
            visit(&self.name_of(&place), Part { owner: self, place: &place });
        }
    }

    /// The member with this name, compared after escapes are resolved. None as well when this is no object.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Self> {
        self.find(name).map(|place| self.at_place(&place))
    }

    /// True when the object has a member of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// What the string member `name` means, without sharing the buffer. None when it is absent or no string.
    #[must_use]
    pub fn text_of(&self, name: &str) -> Option<Cow<'_, str>> {
        let place = self.find(name)?;
        string_in(self.text.get(place.member.value)?)
    }

    /// The elements of an array in order; nothing for other kinds.
    pub fn elements(&self) -> impl Iterator<Item = Json> {
        scan::Elements::of(&self.text).map(|range| self.plain_part(range))
    }

    /// What a string means; None for other kinds.
    #[must_use]
    pub fn string(&self) -> Option<Cow<'_, str>> {
        string_in(&self.text)
    }

    /// `true` or `false`; None for other kinds.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        match &self.text[..] {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// The number when it is written as an integer and fits; None for every other spelling or kind.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        self.number_text()?.parse().ok()
    }

    /// As [`Json::integer`], for the range of `u64`.
    #[must_use]
    pub fn unsigned(&self) -> Option<u64> {
        self.number_text()?.parse().ok()
    }

    /// The spelling of a number; None for other kinds.
    #[must_use]
    pub fn number_text(&self) -> Option<&str> {
        if self.kind() == Kind::Number { std::str::from_utf8(&self.text).ok() } else { None }
    }

    /// Decodes into a type. Members that the type does not know are its own affair (serde's default is to ignore them).
    ///
    /// # Errors
    /// [`FaultKind::Shape`] with the place where the text does not fit the type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.text).map_err(|error| Fault { kind: FaultKind::Shape, at: self.place_of(&error) })
    }

    fn place_of(&self, error: &serde_json::Error) -> usize {
        let lines_before = error.line().saturating_sub(1);
        let start = memchr::memchr_iter(b'\n', &self.text).take(lines_before).last().map_or(0, |at| at + 1);
        start + error.column().saturating_sub(1)
    }

    /// The object without the members `remove` and with the members `add`, which replace those of the same name or go to the end; every
    /// other byte stays. A name in both lists is added. Copies the text; other kinds come back unchanged.
    #[must_use]
    pub fn edit(&self, remove: &[&str], add: &[(&str, &Json)]) -> Self {
        edit::edit(self, remove, add)
    }

    /// The same value without line breaks, as needed inside an SSE event or a stdio line; copies only when there are any.
    #[must_use]
    pub fn to_one_line(&self) -> Self {
        if !self.broken_lines || memchr::memchr2(b'\n', b'\r', &self.text).is_none() {
            return Self { broken_lines: false, ..self.clone() };
        }
        // Inside strings line breaks are always escaped, so each of these stands between tokens.
        let text: Vec<u8> = self.text.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }).collect();
        Self { text: text.into(), broken_lines: false, ..self.clone() }
    }
}

/// A member's place in the text of its object, with the span that describes its value if there is one.
struct Place {
    member: scan::Member,
    span: Option<u32>,
}

impl Json {
    /// All members: as noted, or else by moving over the text. One of the two is always empty.
    fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let noted = self.noted_places();
        let text: &[u8] = if noted.is_some() { b"" } else { &self.text };
        noted.into_iter().flatten().chain(scan::Members::of(text).map(|member| Place { member, span: None }))
    }

    fn noted_places(&self) -> Option<impl Iterator<Item = Place> + '_> {
        let spans = self.spans.as_ref()?;
        let own = *spans.get(self.number as usize).filter(|span| span.noted)?;
        let base = own.value_start as usize;
        let place = move |(number, span): (usize, &Span)| Place {
            member: scan::Member {
                name: (span.name_start as usize).saturating_sub(base)..(span.name_end as usize).saturating_sub(base),
                value: (span.value_start as usize).saturating_sub(base)..(span.value_end as usize).saturating_sub(base),
            },
            span: span.noted.then(|| u32::try_from(number).unwrap_or(0)).filter(|number| *number > 0),
        };
        Some(index::children(spans, self.number as usize).map(place))
    }

    fn find(&self, name: &str) -> Option<Place> {
        let named = |place: &Place| self.text.get(place.member.name.clone()).is_some_and(|raw| scan::name_is(raw, name));
        self.places().find(named)
    }

    fn name_of(&self, place: &Place) -> Cow<'_, str> {
        self.text.get(place.member.name.clone()).and_then(text::unescape).unwrap_or_default()
    }

    fn at_place(&self, place: &Place) -> Self {
        let part = self.plain_part(place.member.value.clone());
        match place.span {
            Some(number) => Self { spans: self.spans.clone(), number, ..part },
            None => part,
        }
    }

    fn plain_part(&self, range: Range<usize>) -> Self {
        Self::plain(self.text.slice(range), self.broken_lines)
    }
}

/// A member's value that is still part of its object.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    owner: &'a Json,
    place: &'a Place,
}

impl<'a> Part<'a> {
    /// The value as its own.
    pub(crate) fn to_json(self) -> Json {
        self.owner.at_place(self.place)
    }

    /// Its text.
    pub(crate) fn raw(self) -> &'a [u8] {
        self.owner.text.get(self.place.member.value.clone()).unwrap_or_default()
    }

    /// What a string means; None for other kinds.
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        string_in(self.raw())
    }
}

fn string_in(text: &[u8]) -> Option<Cow<'_, str>> {
    match text {
        [b'"', inner @ .., b'"'] => text::unescape(inner),
        _ => None,
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    /// Kind and length only: values may be secret and must not reach a log through `{:?}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({:?}, {} bytes)", self.kind(), self.len())
    }
}
