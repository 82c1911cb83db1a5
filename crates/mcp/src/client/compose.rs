//! Writing requests: the envelope around bytes that stay as they came.

use std::io::Write as _;

use bytes::Bytes;

use super::dialect::{CLIENT_CAPABILITIES, Dialect};
use crate::json::Json;
use crate::revision::Era;

/// Arguments up to this size are copied behind their envelope, so that one write sends both; larger ones are sent from where they lie.
const INLINE_BYTES_MAX: usize = 16 << 10;
/// Room for an envelope with a usual `_meta`.
const ENVELOPE_BYTES: usize = 512;
/// Keys of this prefix are ours to set.
const PROTOCOL_PREFIX: &str = "io.modelcontextprotocol/";

/// One message, ready to be sent: up to three parts, the empty ones without meaning. Clones share the bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts(pub(crate) [Bytes; 3]);

impl Parts {
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }
}

impl From<Bytes> for Parts {
    fn from(whole: Bytes) -> Self {
        Self([whole, Bytes::new(), Bytes::new()])
    }
}

/// A message whose `params` are being written.
#[derive(Debug)]
pub(crate) struct Draft {
    text: Vec<u8>,
    empty: bool,
}

impl Draft {
    pub(crate) fn request(id: u64, method: &str) -> Self {
        let mut text = Vec::with_capacity(ENVELOPE_BYTES);
        // Writing into a vector cannot fail.
        let _ = write!(text, r#"{{"jsonrpc":"2.0","id":{id},"method":"#);
        Self::begin(text, method)
    }

    pub(crate) fn notification(method: &str) -> Self {
        let mut text = Vec::with_capacity(ENVELOPE_BYTES);
        text.extend_from_slice(br#"{"jsonrpc":"2.0","method":"#);
        Self::begin(text, method)
    }

    fn begin(mut text: Vec<u8>, method: &str) -> Self {
        quote(&mut text, method);
        text.extend_from_slice(br#","params":{"#);
        Self { text, empty: true }
    }

    fn key(&mut self, key: &str) {
        if !std::mem::replace(&mut self.empty, false) {
            self.text.push(b',');
        }
        quote(&mut self.text, key);
        self.text.push(b':');
    }

    /// Adds a string member.
    pub(crate) fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        quote(&mut self.text, value);
        self
    }

    /// Adds a member whose value is JSON text.
    pub(crate) fn raw(mut self, key: &str, value: &[u8]) -> Self {
        self.key(key);
        self.text.extend_from_slice(value);
        self
    }

    /// Adds an integer member.
    pub(crate) fn number(mut self, key: &str, value: u64) -> Self {
        self.key(key);
        let _ = write!(self.text, "{value}");
        self
    }

    /// Adds `_meta`: what the era wants, the progress token, and the caller's entries. Of the protocol's own keys the caller may set
    /// only those that say something of his client, and only where the era knows them.
    pub(crate) fn meta(mut self, dialect: &Dialect, token: Option<u64>, extra: &[(&str, &Json)]) -> Self {
        let modern = dialect.revision.era() == Era::Modern;
        let wanted = |key: &str| key != "progressToken" && !dialect.sets(key) && (modern || !key.starts_with(PROTOCOL_PREFIX));
        if !modern && token.is_none() && !extra.iter().any(|(key, _)| wanted(key)) {
            return self;
        }
        self.key("_meta");
        self.text.push(b'{');
        self.empty = true;
        if let Some(fixed) = dialect.fixed_meta() {
            self.text.extend_from_slice(fixed.as_bytes());
            self.empty = false;
            if !extra.iter().any(|(key, _)| *key == CLIENT_CAPABILITIES) {
                self = self.raw(CLIENT_CAPABILITIES, dialect.capabilities());
            }
        }
        if let Some(token) = token {
            self = self.number("progressToken", token);
        }
        for (key, value) in extra.iter().filter(|(key, _)| wanted(key)) {
            self = self.raw(key, value.bytes());
        }
        self.text.push(b'}');
        self.empty = false;
        self
    }

    /// Ends the message.
    pub(crate) fn end(mut self) -> Parts {
        self.text.extend_from_slice(b"}}");
        Bytes::from(self.text).into()
    }

    /// Ends the message with one more member, whose bytes are shared rather than copied when they are many.
    pub(crate) fn end_with(mut self, key: &str, value: &Json) -> Parts {
        if value.bytes().len() <= INLINE_BYTES_MAX {
            self.text.reserve(value.bytes().len() + key.len() + 8);
            return self.raw(key, value.bytes()).end();
        }
        self.key(key);
        Parts([Bytes::from(self.text), value.bytes().clone(), Bytes::from_static(b"}}")])
    }
}

/// Appends `text` as a JSON string.
fn quote(out: &mut Vec<u8>, text: &str) {
    // Without an early exit the compiler looks at many bytes at once.
    let plain = text.bytes().fold(true, |plain, byte| plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\'));
    if plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing a string into a vector cannot fail.
        let _ = serde_json::to_writer(out, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revision::Revision;

    fn joined(parts: &Parts) -> String {
        String::from_utf8(parts.0.concat()).unwrap()
    }

    fn json(text: &'static str) -> Json {
        Json::from_static(text)
    }

    fn modern() -> Dialect {
        Dialect::new(Revision::R2026_07_28, None, &crate::client::Options::new(json(r#"{"name":"b"}"#)), http::HeaderMap::new())
    }

    fn legacy() -> Dialect {
        Dialect::new(Revision::R2025_11_25, None, &crate::client::Options::new(json("{}")), http::HeaderMap::new())
    }

    #[test]
    fn a_modern_request_describes_itself() {
        let trace = json(r#""00-1""#);
        let extra = [
            ("traceparent", &trace),
            ("progressToken", &trace),
            ("io.modelcontextprotocol/clientInfo", &trace),
            ("io.modelcontextprotocol/logLevel", &trace),
        ];
        let parts = Draft::request(7, "tools/call")
            .text("name", "a\"b")
            .meta(&modern(), Some(7), &extra)
            .end_with("arguments", &json(r#"{"x": 1}"#));
        assert_eq!(
            joined(&parts),
            concat!(
                r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a\"b","_meta":{"#,
                r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"b"},"#,
                r#""io.modelcontextprotocol/clientCapabilities":{},"progressToken":7,"traceparent":"00-1","#,
                r#""io.modelcontextprotocol/logLevel":"00-1"},"arguments":{"x": 1}}}"#
            )
        );
    }

    #[test]
    fn the_callers_capabilities_replace_the_default_ones() {
        let capabilities = json(r#"{"sampling":{}}"#);
        let text = joined(&Draft::request(1, "m").meta(&modern(), None, &[(CLIENT_CAPABILITIES, &capabilities)]).end());
        assert_eq!(text.matches(CLIENT_CAPABILITIES).count(), 1);
        assert!(text.contains(r#""sampling""#));
    }

    #[test]
    fn a_legacy_request_carries_no_meta_unless_there_is_something_to_say() {
        let extra = json("1");
        assert_eq!(
            joined(&Draft::request(1, "m").meta(&legacy(), None, &[(CLIENT_CAPABILITIES, &extra)]).end()),
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{}}"#
        );
        let text = joined(&Draft::request(1, "m").meta(&legacy(), Some(2), &[("a/b", &extra)]).end());
        assert!(text.contains(r#""_meta":{"progressToken":2,"a/b":1}"#), "{text}");
    }

    #[test]
    fn large_arguments_are_shared_not_copied() {
        let large =
            Json::check(Bytes::from(format!(r#"{{"x":"{}"}}"#, "y".repeat(INLINE_BYTES_MAX))), &crate::json::Limits::REQUEST).unwrap();
        let parts = Draft::request(1, "m").end_with("arguments", &large);
        assert_eq!(parts.0[1].as_ptr(), large.bytes().as_ptr());
        assert!(serde_json::from_str::<serde_json::Value>(&joined(&parts)).is_ok());
        assert_eq!(parts.len(), joined(&parts).len());
    }
}
