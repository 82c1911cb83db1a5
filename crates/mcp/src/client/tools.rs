//! The list of a server's tools.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::Request;
use super::cancel::Cancel;
use super::compose::Draft;
use super::fault::UpstreamFault;
use super::handshake::Session;
use super::state::Inner;
use crate::json::Json;

/// All pages of one list together.
const LIST_BYTES_MAX: usize = 32 << 20;
/// Longest cursor that is sent back.
const CURSOR_BYTES_MAX: usize = 16 << 10;

/// The tools, and whether there were more.
pub(super) async fn list(inner: &Arc<Inner>) -> Result<(Vec<Json>, bool), UpstreamFault> {
    let options = &inner.options;
    let mut tools = Vec::new();
    let mut cursors: HashSet<Box<str>> = HashSet::new();
    let mut cursor: Option<Box<str>> = None;
    let mut bytes = 0;
    for _ in 0..options.list_pages_max {
        let page = page(inner, cursor.as_deref()).await?;
        bytes += page.len();
        let listed = page.member("tools").filter(|listed| listed.bytes().starts_with(b"["));
        let listed = listed.ok_or_else(|| UpstreamFault::protocol("the answer to tools/list has no array `tools`"))?;
        for tool in listed.elements() {
            if tools.len() == options.tools_max {
                return Ok((tools, true));
            }
            tools.push(tool);
        }
        // An empty cursor is a cursor; only its absence ends the list (reference, protocol section 2.10).
        let Some(next) = page.member("nextCursor").filter(|next| !next.is_null()) else { return Ok((tools, false)) };
        let next: Box<str> = match next.string() {
            Some(next) if next.len() <= CURSOR_BYTES_MAX => next.into(),
            _ => return Err(UpstreamFault::protocol(format!("a cursor of tools/list is no string of at most {CURSOR_BYTES_MAX} bytes"))),
        };
        if !cursors.insert(next.clone()) {
            return Err(UpstreamFault::protocol("tools/list gave a cursor a second time: the list would never end"));
        }
        if bytes > LIST_BYTES_MAX {
            return Ok((tools, true));
        }
        cursor = Some(next);
    }
    Ok((tools, true))
}

async fn page(inner: &Arc<Inner>, cursor: Option<&str>) -> Result<Json, UpstreamFault> {
    let cancel = Cancel::new();
    let compose = |session: &Session, id: u64| {
        let draft = Draft::request(id, "tools/list");
        let draft = cursor.into_iter().fold(draft, |draft, cursor| draft.text("cursor", cursor));
        draft.meta(&session.dialect, None, &[]).end()
    };
    let request = Request {
        method: "tools/list",
        name: None,
        compose: &compose,
        param_headers: &Vec::new,
        deadline: Instant::now() + inner.options.call_deadline,
        cancel: &cancel,
        events: None,
        replayable: true,
    };
    request.send(inner).await
}
