//! What a request says about itself in `params._meta` (reference, protocol section 2.3).

use crate::error::{INVALID_PARAMS, WireError};
use crate::json::{Json, Kind, Part};
use crate::revision::Revision;

/// `_meta` key: revision of a modern request.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// `_meta` key: capabilities of a modern client.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// `_meta` key: name and version of a client, self-reported.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// `_meta` key: name and version of a server, in results.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// `_meta` key: log threshold of one modern request.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// `_meta` key: the sender wants progress notifications under this token.
pub const PROGRESS_TOKEN: &str = "progressToken";
/// Member of params and results that holds metadata.
pub const META: &str = "_meta";

/// Longest revision text that is kept and echoed; longer ones are cut.
const REVISION_BYTES_MAX: usize = 64;
/// Longest progress token.
const TOKEN_BYTES_MAX: usize = 1024;
/// Longest `tracestate` and `baggage` that are kept (W3C Trace Context 3.3.1.1, W3C Baggage 3.3.1); longer ones are dropped.
const TRACESTATE_BYTES_MAX: usize = 512;
const BAGGAGE_BYTES_MAX: usize = 8192;

/// The revision a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declared {
    /// One that exists.
    Known(Revision),
    /// Any other text, cut to 64 bytes.
    Unknown(Box<str>),
}

impl Declared {
    /// Reads the text of a header or a `_meta` value.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Revision::parse(text).map_or_else(|| Self::Unknown(cut(text).into()), Self::Known)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(revision) => revision.as_str(),
            Self::Unknown(text) => text,
        }
    }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(REVISION_BYTES_MAX)).unwrap_or(text)
}

/// Severity of a log message (RFC 5424 names), least severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// `debug`
    Debug,
    /// `info`
    Info,
    /// `notice`
    Notice,
    /// `warning`
    Warning,
    /// `error`
    Error,
    /// `critical`
    Critical,
    /// `alert`
    Alert,
    /// `emergency`
    Emergency,
}

impl LogLevel {
    const ALL: [(&'static str, Self); 8] = [
        ("debug", Self::Debug),
        ("info", Self::Info),
        ("notice", Self::Notice),
        ("warning", Self::Warning),
        ("error", Self::Error),
        ("critical", Self::Critical),
        ("alert", Self::Alert),
        ("emergency", Self::Emergency),
    ];

    /// The level of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(name, _)| *name == text).map(|(_, level)| level)
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, level)| *level == self).map_or("", |(name, _)| name)
    }
}

/// The metadata of one request or notification. Self-reported: nothing here may decide what is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestMeta {
    /// The revision, on modern requests.
    pub revision: Option<Declared>,
    /// An object, on modern requests.
    pub client_capabilities: Option<Json>,
    /// An object.
    pub client_info: Option<Json>,
    /// Without it no log notifications may be sent for this request.
    pub log_level: Option<LogLevel>,
    /// A string or an integer. Local to this hop.
    pub progress_token: Option<Json>,
    /// W3C trace context, checked for form.
    pub traceparent: Option<Box<str>>,
    /// Opaque companion of `traceparent`; at most 512 bytes.
    pub tracestate: Option<Box<str>>,
    /// W3C baggage; at most 8192 bytes, filter before passing it on.
    pub baggage: Option<Box<str>>,
    /// The whole `_meta` object, for keys that only pass through.
    pub raw: Option<Json>,
}

impl RequestMeta {
    /// Reads `_meta` from the params of a message; empty when there is none. Unknown keys are left alone; trace context that is malformed
    /// or too long is dropped, as its specification wants. `null` for `_meta` or the progress token counts as absent: some senders write it.
    ///
    /// # Errors
    /// -32602 when `_meta` or one of the keys of the protocol has the wrong type.
    pub fn read(params: Option<&Json>) -> Result<Self, WireError> {
        let raw = params.and_then(|params| params.member(META)).filter(|raw| !raw.is_null());
        let Some(raw) = raw else { return Ok(Self::default()) };
        if !raw.is_object() {
            return Err(bad("`_meta` must be an object"));
        }
        let mut meta = Self::default();
        let mut wrong = None;
        raw.each_member(|name, value| {
            if let Err(what) = meta.take(name, value) {
                wrong.get_or_insert(what);
            }
        });
        meta.raw = Some(raw);
        wrong.map_or(Ok(meta), |what| Err(bad(what)))
    }

    fn take(&mut self, name: &str, value: Part<'_>) -> Result<(), &'static str> {
        match name {
            PROTOCOL_VERSION => {
                let text = value.string().ok_or("`_meta` protocolVersion must be a string")?;
                self.revision = Some(Declared::read(&text));
            }
            CLIENT_CAPABILITIES => {
                self.client_capabilities = Some(object(value.to_json(), "`_meta` clientCapabilities must be an object")?)
            }
            CLIENT_INFO => self.client_info = Some(object(value.to_json(), "`_meta` clientInfo must be an object")?),
            LOG_LEVEL => {
                let level = value.string().and_then(|text| LogLevel::parse(&text));
                self.log_level = Some(level.ok_or("`_meta` logLevel must be one of the RFC 5424 severity names")?);
            }
            PROGRESS_TOKEN => self.progress_token = token(value.to_json())?,
            "traceparent" => self.traceparent = text(value.to_json(), 55).filter(|text| is_traceparent(text)),
            "tracestate" => self.tracestate = text(value.to_json(), TRACESTATE_BYTES_MAX),
            "baggage" => self.baggage = text(value.to_json(), BAGGAGE_BYTES_MAX),
            _ => {}
        }
        Ok(())
    }
}

fn bad(what: &'static str) -> WireError {
    WireError::new(INVALID_PARAMS, format!("Invalid params: {what}"))
}

fn object(value: Json, wrong: &'static str) -> Result<Json, &'static str> {
    if value.is_object() { Ok(value) } else { Err(wrong) }
}

fn token(value: Json) -> Result<Option<Json>, &'static str> {
    let fits = match value.kind() {
        Kind::Null => return Ok(None),
        Kind::String => value.len() <= TOKEN_BYTES_MAX,
        Kind::Number => value.integer().is_some() || value.unsigned().is_some(),
        _ => false,
    };
    if fits {
        Ok(Some(value))
    } else {
        Err("`_meta` progressToken must be a string of at most 1024 bytes or an integer of at most 64 bits")
    }
}

fn text(value: Json, bytes_max: usize) -> Option<Box<str>> {
    value.string().filter(|text| text.len() <= bytes_max && text.bytes().all(|b| (0x20..0x7f).contains(&b))).map(Into::into)
}

/// `version-traceid-parentid-flags`, version 00, ids not all zero (W3C Trace Context 3.2.2).
fn is_traceparent(text: &str) -> bool {
    let lower_hex = |part: &str, length: usize| part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let not_zero = |part: &str| part.bytes().any(|b| b != b'0');
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags] = parts.as_slice() else { return false };
    *version == "00" && (lower_hex(trace, 32) && not_zero(trace)) && (lower_hex(parent, 16) && not_zero(parent)) && lower_hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(params: &'static str) -> Result<RequestMeta, WireError> {
        RequestMeta::read(Some(&Json::from_static(params)))
    }

    #[test]
    fn reads_every_key() {
        let meta = read(
            r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}},
            "io.modelcontextprotocol/clientInfo":{"name":"c"},"io.modelcontextprotocol/logLevel":"notice","progressToken":7,
            "traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=b","baggage":"k=v","x/y":[1]}}"#,
        )
        .unwrap();
        assert_eq!(meta.revision, Some(Declared::Known(Revision::R2026_07_28)));
        assert_eq!(meta.client_capabilities.unwrap().as_str(), r#"{"roots":{}}"#);
        assert_eq!(meta.client_info.unwrap().text_of("name").as_deref(), Some("c"));
        assert_eq!(meta.log_level, Some(LogLevel::Notice));
        assert_eq!(meta.progress_token.unwrap().as_str(), "7");
        assert_eq!(meta.traceparent.as_deref(), Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert_eq!((meta.tracestate.as_deref(), meta.baggage.as_deref()), (Some("a=b"), Some("k=v")));
        assert!(meta.raw.unwrap().has("x/y"));
    }

    #[test]
    fn absent_metadata_is_empty_metadata() {
        assert_eq!(RequestMeta::read(None), Ok(RequestMeta::default()));
        assert_eq!(read(r#"{"name":"x"}"#), Ok(RequestMeta::default()));
        assert_eq!(read(r#"{"_meta":null}"#), Ok(RequestMeta::default()));
        assert_eq!(read(r#"{"_meta":{"progressToken":null}}"#).unwrap().progress_token, None);
        assert_eq!(read(r#"{"_meta":{}}"#).unwrap().raw.unwrap().as_str(), "{}");
    }

    #[test]
    fn wrong_types_are_refused_and_named() {
        for (params, word) in [
            (r#"{"_meta":[]}"#, "_meta"),
            (r#"{"_meta":"x"}"#, "_meta"),
            (r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":20260728}}"#, "protocolVersion"),
            (r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":null}}"#, "clientCapabilities"),
            (r#"{"_meta":{"io.modelcontextprotocol/clientInfo":"c"}}"#, "clientInfo"),
            (r#"{"_meta":{"io.modelcontextprotocol/logLevel":"loud"}}"#, "logLevel"),
            (r#"{"_meta":{"progressToken":1.5}}"#, "progressToken"),
            (r#"{"_meta":{"progressToken":{}}}"#, "progressToken"),
            (r#"{"_meta":{"progressToken":18446744073709551616}}"#, "progressToken"),
        ] {
            let error = read(params).unwrap_err();
            assert_eq!((error.code, error.status()), (INVALID_PARAMS, 400), "{params}");
            assert!(error.message.contains(word), "{params}: {}", error.message);
        }
    }

    #[test]
    fn bad_trace_context_is_dropped_quietly() {
        for bad in [
            r#"{"_meta":{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"}}"#,
            r#"{"_meta":{"traceparent":"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}"#,
            r#"{"_meta":{"traceparent":"00-00000000000000000000000000000000-b7ad6b7169203331-01"}}"#,
            r#"{"_meta":{"traceparent":"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}"#,
            r#"{"_meta":{"traceparent":5}}"#,
            r#"{"_meta":{"tracestate":"a\n"}}"#,
        ] {
            let meta = read(bad).unwrap();
            assert_eq!((meta.traceparent, meta.tracestate), (None, None), "{bad}");
        }
    }

    #[test]
    fn unknown_revisions_are_cut_at_a_character() {
        let long = "é".repeat(40);
        let Declared::Unknown(kept) = Declared::read(&long) else { panic!("unknown") };
        assert_eq!(kept.as_ref(), "é".repeat(32));
        assert_eq!(Declared::read("v999.0.0").as_str(), "v999.0.0");
    }

    #[test]
    fn levels_are_ordered_and_named() {
        assert!(LogLevel::ALL.is_sorted_by(|a, b| a.1 < b.1));
        for (name, level) in LogLevel::ALL {
            assert_eq!((LogLevel::parse(name), level.as_str()), (Some(level), name));
        }
    }
}
