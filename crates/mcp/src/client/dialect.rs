//! How an opened server wants to be spoken to.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::options::Options;
use crate::revision::{Era, Revision};

const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
pub(crate) const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// What every request to a server has in common, prepared once.
#[derive(Clone, Debug)]
pub(crate) struct Dialect {
    pub(crate) revision: Revision,
    /// Whether a legacy session was given: its loss can be told from a missing page.
    pub(crate) session: bool,
    /// HTTP only: the headers that do not depend on the request.
    pub(crate) headers: HeaderMap,
    fixed_meta: Option<Box<str>>,
    /// What is declared where the caller declares nothing.
    capabilities: Bytes,
}

impl Dialect {
    /// `headers` are the endpoint's own; version and session are added to them. Over stdio they stay unused.
    pub(crate) fn new(revision: Revision, session: Option<HeaderValue>, options: &Options, mut headers: HeaderMap) -> Self {
        // The version header exists since 2025-06-18; an older server never heard of it.
        if revision >= Revision::R2025_06_18 {
            headers.insert("mcp-protocol-version", HeaderValue::from_static(revision.as_str()));
        }
        let has_session = session.is_some();
        if let Some(session) = session {
            headers.insert("mcp-session-id", session);
        }
        let fixed_meta = (revision.era() == Era::Modern)
            .then(|| format!(r#""{PROTOCOL_VERSION}":"{}","{CLIENT_INFO}":{}"#, revision.as_str(), options.client_info.as_str()).into());
        Self { revision, session: has_session, headers, fixed_meta, capabilities: options.client_capabilities.bytes().clone() }
    }

    /// For `initialize` itself: nothing is agreed yet, so no version and no session is claimed.
    pub(crate) fn before_agreement(revision: Revision, headers: HeaderMap) -> Self {
        Self { revision, session: false, headers, fixed_meta: None, capabilities: Bytes::new() }
    }

    pub(crate) fn is_modern(&self) -> bool {
        self.revision.era() == Era::Modern
    }

    /// Whether several messages may come as one array: only until 2025-03-26 (reference, protocol section 1).
    pub(crate) fn has_batches(&self) -> bool {
        self.revision <= Revision::R2025_03_26
    }

    /// The default `clientCapabilities` of the modern era, as JSON text.
    pub(crate) fn capabilities(&self) -> &[u8] {
        &self.capabilities
    }

    /// Members of `_meta` that are the same for every request, as JSON text without braces.
    pub(crate) fn fixed_meta(&self) -> Option<&str> {
        self.fixed_meta.as_deref()
    }

    /// Whether [`Dialect::fixed_meta`] contains the key.
    pub(crate) fn sets(&self, key: &str) -> bool {
        self.fixed_meta.is_some() && (key == PROTOCOL_VERSION || key == CLIENT_INFO)
    }
}
