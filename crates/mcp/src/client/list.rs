//! The lists of a server: tools, prompts, resources, templates.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::cancel::Cancel;
use super::compose::Draft;
use super::fault::UpstreamFault;
use super::handshake::Session;
use super::request::Request;
use super::state::Inner;
use crate::json::Json;

/// All pages of one list together.
const LIST_BYTES_MAX: usize = 32 << 20;
/// Longest cursor that is sent back.
const CURSOR_BYTES_MAX: usize = 16 << 10;

/// What a server can list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum List {
    /// `tools/list`.
    Tools,
    /// `prompts/list`.
    Prompts,
    /// `resources/list`.
    Resources,
    /// `resources/templates/list`.
    Templates,
}

impl List {
    /// Every list.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    /// The method that asks for it.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    /// The member of the result that holds the items.
    #[must_use]
    pub const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    /// The capability that announces it.
    #[must_use]
    pub const fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources | Self::Templates => "resources",
        }
    }
}

/// A list over all its pages.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// The items as the server describes them, in its order.
    pub items: Vec<Json>,
    /// There were more than allowed.
    pub cut: bool,
    /// For how long the server thinks that the list holds: the shortest time of all pages. Legacy servers say nothing.
    pub ttl_ms: Option<u64>,
}

pub(super) async fn list(inner: &Arc<Inner>, what: List) -> Result<Listed, UpstreamFault> {
    let options = &inner.options;
    let mut listed = Listed::default();
    let mut cursors: HashSet<Box<str>> = HashSet::new();
    let mut cursor: Option<Box<str>> = None;
    let mut bytes = 0;
    for _ in 0..options.list_pages_max {
        let page = page(inner, what, cursor.as_deref()).await?;
        bytes += page.len();
        if !listed.take(what, &page, options.list_items_max)? {
            return Ok(Listed { cut: true, ..listed });
        }
        // An empty cursor is a cursor; only its absence ends the list (reference, protocol section 2.10).
        let Some(next) = page.member("nextCursor").filter(|next| !next.is_null()) else { return Ok(listed) };
        let next = valid_cursor(what, &next)?;
        if !cursors.insert(next.clone()) {
            return Err(UpstreamFault::protocol(format!("{} gave a cursor a second time: the list would never end", what.method())));
        }
        if bytes > LIST_BYTES_MAX {
            return Ok(Listed { cut: true, ..listed });
        }
        cursor = Some(next);
    }
    Ok(Listed { cut: true, ..listed })
}

impl Listed {
    /// Adds a page. `false`: there is more on it than may be kept.
    fn take(&mut self, what: List, page: &Json, items_max: usize) -> Result<bool, UpstreamFault> {
        let items = page.member(what.member()).filter(|items| items.bytes().starts_with(b"["));
        let items =
            items.ok_or_else(|| UpstreamFault::protocol(format!("the answer to {} has no array `{}`", what.method(), what.member())))?;
        if let Some(ttl) = page.member("ttlMs").and_then(|ttl| ttl.unsigned()) {
            self.ttl_ms = Some(self.ttl_ms.map_or(ttl, |shortest| shortest.min(ttl)));
        }
        for item in items.elements() {
            if self.items.len() == items_max {
                return Ok(false);
            }
            self.items.push(item);
        }
        Ok(true)
    }
}

fn valid_cursor(what: List, cursor: &Json) -> Result<Box<str>, UpstreamFault> {
    match cursor.string() {
        Some(text) if text.len() <= CURSOR_BYTES_MAX => Ok(text.into()),
        _ => Err(UpstreamFault::protocol(format!("a cursor of {} is no string of at most {CURSOR_BYTES_MAX} bytes", what.method()))),
    }
}

async fn page(inner: &Arc<Inner>, what: List, cursor: Option<&str>) -> Result<Json, UpstreamFault> {
    let cancel = Cancel::new();
    let compose = |session: &Session, id: u64| {
        let draft = Draft::request(id, what.method());
        let draft = cursor.into_iter().fold(draft, |draft, cursor| draft.text("cursor", cursor));
        draft.meta(&session.dialect, None, &[]).end()
    };
    let deadline = Instant::now() + inner.options.call_deadline;
    Request::own(what.method(), &compose, deadline, &cancel).send(inner).await
}
