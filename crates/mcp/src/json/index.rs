//! Where the members of the outer objects of a text stand, noted while it is checked, so that reading an envelope does not move over a
//! large value again.

/// Objects are noted down to this depth: message, `params`, and the members of `params` such as `_meta`.
pub(super) const DEPTH_MAX: usize = 3;
/// An object with more members is not noted; reading it moves over its text instead.
const MEMBERS_MAX: u32 = 16;
/// Members noted for one text.
const SPANS_MAX: usize = 64;

/// One value with its name; offsets from the start of the checked text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) name_start: u32,
    pub(super) name_end: u32,
    pub(super) value_start: u32,
    pub(super) value_end: u32,
    /// Number of the first span that is not inside this value.
    pub(super) next: u32,
    /// The value is an object and all its members follow as spans.
    pub(super) noted: bool,
}

/// Collects spans in the order of the text; span 0 is the whole value.
pub(super) struct Notes {
    spans: Vec<Span>,
    /// Numbers of the open spans, outermost first, with the count of members noted in each.
    open: Vec<(usize, u32)>,
    enabled: bool,
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Notes {
    pub(super) fn new(enabled: bool) -> Self {
        let (spans, open) = if enabled { (24, DEPTH_MAX + 1) } else { (0, 0) };
        Self { spans: Vec::with_capacity(spans), open: Vec::with_capacity(open), enabled }
    }

    /// Begins the whole value.
    pub(super) fn begin(&mut self, at: usize, object: bool) {
        if self.enabled {
            self.spans.push(Span { value_start: offset(at), noted: object, ..Span::default() });
            self.open.push((0, 0));
        }
    }

    /// Notes a member of the innermost noted object; false when that object is dropped, and then its members are no longer told.
    pub(super) fn member(&mut self, name: (usize, usize), value_at: usize, object: bool) -> bool {
        let Some((owner, count)) = self.open.last_mut() else { return false };
        *count += 1;
        let (owner, full) = (*owner, *count > MEMBERS_MAX || self.spans.len() >= SPANS_MAX);
        if full {
            self.spans.truncate(owner + 1);
            if let Some(span) = self.spans.get_mut(owner) {
                span.noted = false;
            }
            return false;
        }
        let noted = object && self.open.len() < DEPTH_MAX;
        self.open.push((self.spans.len(), 0));
        self.spans.push(Span {
            name_start: offset(name.0),
            name_end: offset(name.1),
            value_start: offset(value_at),
            noted,
            ..Span::default()
        });
        true
    }

    /// Ends the innermost open value.
    pub(super) fn end(&mut self, at: usize) {
        let next = offset(self.spans.len());
        if let Some((number, _)) = self.open.pop()
            && let Some(span) = self.spans.get_mut(number)
        {
            span.value_end = offset(at);
            span.next = next;
        }
    }

    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }
}

/// The members of span `owner`: number and span of each.
pub(super) fn children(spans: &[Span], owner: usize) -> impl Iterator<Item = (usize, &Span)> {
    let end = spans.get(owner).map_or(0, |span| span.next as usize);
    let mut number = owner + 1;
    std::iter::from_fn(move || {
        let span = spans.get(number).filter(|_| number < end)?;
        let this = number;
        // A span that was never ended has no `next`; stopping there keeps the walk finite.
        number = (span.next as usize).max(this + 1);
        Some((this, span))
    })
}

impl Notes {
    /// Where the value of the outermost member `name` stands, when the check has moved past it.
    pub(super) fn complete_member(&self, text: &[u8], name: &str) -> Option<std::ops::Range<usize>> {
        let mut number = 1;
        loop {
            let span = self.spans.get(number).filter(|span| span.value_end > 0)?;
            if super::scan::name_is(text.get(span.name_start as usize..span.name_end as usize)?, name) {
                return Some(span.value_start as usize..span.value_end as usize);
            }
            number = (span.next as usize).max(number + 1);
        }
    }
}
