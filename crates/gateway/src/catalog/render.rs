//! Rendered lists, in pages.

use bailiwick_mcp::client::List;
use bailiwick_mcp::{Era, Json, Limits};
use data_encoding::BASE64URL_NOPAD;

use crate::product::{META_UNAVAILABLE, SERVER_INFO};

/// Freshness told to 2026-07-28 clients: lists follow policy, which may change at any time.
const LIST_TTL_MS: u32 = 0;
/// Bytes of the code in a cursor.
const CURSOR_CODE_BYTES: usize = 18;

/// Every definition was checked when it was admitted and their number is bounded, so this only states what cannot be crossed.
const LIST: Limits = Limits { bytes_max: u32::MAX as usize, depth_max: 128, tokens_max: u32::MAX };

/// One definition in both dresses.
pub(super) struct Definition {
    pub(super) modern: Json,
    pub(super) legacy: Json,
}

/// How lists are made.
pub(super) struct Press<'p> {
    /// Codes cursors, so that nobody can make one up or use another agent's.
    pub(super) code: &'p (dyn Fn(&[u8]) -> [u8; 32] + 'p),
    pub(super) agent: &'p str,
    /// Definitions on one page.
    pub(super) page_items: usize,
    /// Servers whose last discovery failed.
    pub(super) unavailable: &'p [String],
}

/// A list in pages, each rendered once for each era. There is always a first page.
#[derive(Default)]
pub(super) struct Pages(Vec<Page>);

struct Page {
    /// The cursor that leads here; none for the first.
    cursor: Option<Box<str>>,
    modern: Json,
    legacy: Json,
}

impl Pages {
    pub(super) fn render(press: &Press<'_>, listing: List, definitions: &[Definition]) -> Self {
        let chunks: Vec<&[Definition]> = definitions.chunks(press.page_items.max(1)).collect();
        let chunks = if chunks.is_empty() { vec![&[][..]] } else { chunks };
        let state = press.state(definitions);
        let cursor = |at: usize| (at > 0 && at < chunks.len()).then(|| press.cursor(listing, at, &state));
        let page = |at: usize| {
            let next = cursor(at + 1);
            let chunk = chunks.get(at).copied().unwrap_or_default();
            let modern = press.page(listing, chunk.iter().map(|d| &d.modern), next.as_deref(), Era::Modern);
            let legacy = press.page(listing, chunk.iter().map(|d| &d.legacy), next.as_deref(), Era::Legacy);
            Page { cursor: cursor(at), modern, legacy }
        };
        Self((0..chunks.len()).map(page).collect())
    }

    /// Whether both hold the same.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a.modern.bytes() == b.modern.bytes())
    }

    /// The page behind `cursor`, or the first one; `None` for a cursor that was not given out for this very list.
    pub(super) fn page(&self, cursor: Option<&str>, era: Era) -> Option<&Json> {
        let page = self.0.iter().find(|page| page.cursor.as_deref() == cursor)?;
        Some(match era {
            Era::Modern => &page.modern,
            Era::Legacy => &page.legacy,
        })
    }
}

impl Press<'_> {
    /// Tells one state of a list from every other, on whatever replica it was made. A list of one page needs no cursor.
    fn state(&self, definitions: &[Definition]) -> [u8; 32] {
        if definitions.len() <= self.page_items {
            return [0; 32];
        }
        (self.code)(&definitions.iter().flat_map(|definition| definition.modern.bytes().iter().copied()).collect::<Vec<u8>>())
    }

    fn cursor(&self, listing: List, at: usize, state: &[u8]) -> Box<str> {
        let mut text = format!("cursor\0{}\0{}\0{at}\0", self.agent, listing.member()).into_bytes();
        text.extend_from_slice(state);
        let code = (self.code)(&text);
        BASE64URL_NOPAD.encode(code.get(..CURSOR_CODE_BYTES).unwrap_or(&code)).into()
    }

    /// The result object of one page. The definitions are already valid, so joining them is too.
    fn page<'a>(&self, listing: List, definitions: impl Iterator<Item = &'a Json>, next: Option<&str>, era: Era) -> Json {
        let mut text = String::with_capacity(4 << 10);
        text.push('{');
        if era == Era::Modern {
            text.push_str(r#""resultType":"complete","#);
        }
        text.push_str(&format!(r#""{}":["#, listing.member()));
        for (at, definition) in definitions.enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(definition.as_str());
        }
        text.push(']');
        if let Some(next) = next {
            text.push_str(&format!(r#","nextCursor":"{next}""#));
        }
        if era == Era::Modern {
            text.push_str(&format!(r#","ttlMs":{LIST_TTL_MS},"cacheScope":"private""#));
        }
        text.push_str(&self.meta(era));
        text.push('}');
        Json::check(text.into(), &LIST).unwrap_or_else(|_| Json::from_static("{}"))
    }

    /// `_meta`: who answers, and which servers are missing or as they were.
    fn meta(&self, era: Era) -> String {
        let mut members = Vec::new();
        if era == Era::Modern {
            members.push(format!(r#""io.modelcontextprotocol/serverInfo":{SERVER_INFO}"#));
        }
        if !self.unavailable.is_empty() {
            let names = Json::from_serialize(self.unavailable).unwrap_or_else(|_| Json::from_static("[]"));
            members.push(format!(r#""{META_UNAVAILABLE}":{}"#, names.as_str()));
        }
        if members.is_empty() { String::new() } else { format!(r#","_meta":{{{}}}"#, members.join(",")) }
    }
}
