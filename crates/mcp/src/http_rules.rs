//! What an HTTP request to an MCP endpoint must look like before its body is read: host, origin, content negotiation (reference, protocol
//! section 2.1; security section 3, T-REBIND).

use std::fmt;

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Uri};

use crate::revision::Era;

/// A refused request: the status to answer with and one sentence for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    reason: &'static str,
}

impl Refusal {
    const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason }
    }

    /// HTTP status of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// What is wrong; never a value from the request.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.status)
    }
}

impl std::error::Error for Refusal {}

/// A configured host or origin that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRule {
    rule: String,
    expected: &'static str,
}

impl fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.rule.escape_debug(), self.expected)
    }
}

impl std::error::Error for InvalidRule {}

/// A host without its port, in lower case; IPv6 addresses keep their brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HostRule {
    host: String,
    /// None: any port. The port in `Host` says nothing about who sent the request.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    https: bool,
    host: String,
    port: u16,
}

/// Which hosts and origins may talk to an endpoint. Both are checked on every request in every mode; there is no wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRules {
    hosts: Vec<HostRule>,
    origins: Vec<Origin>,
}

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

impl HostRules {
    /// For a listener on a loopback address: its names with any port (a port may be forwarded), and as origins the same names with `ports`
    /// only, since another local port is another site.
    #[must_use]
    pub fn loopback(ports: &[u16]) -> Self {
        let hosts = LOOPBACK.map(|host| HostRule { host: host.to_owned(), port: None });
        let origin = |host: &str, port: u16, https| Origin { https, host: host.to_owned(), port };
        let origins =
            LOOPBACK.iter().flat_map(|host| ports.iter().flat_map(move |port| [origin(host, *port, false), origin(host, *port, true)]));
        Self { hosts: hosts.into(), origins: origins.collect() }
    }

    /// From configuration. A host is `name` (any port) or `name:port`; an origin is `http://name[:port]` or `https://name[:port]`.
    ///
    /// # Errors
    /// [`InvalidRule`] for the first that is neither.
    pub fn new<H: AsRef<str>, O: AsRef<str>>(hosts: &[H], origins: &[O]) -> Result<Self, InvalidRule> {
        let mut rules = Self { hosts: Vec::new(), origins: Vec::new() };
        rules.allow(hosts, origins)?;
        Ok(rules)
    }

    /// Allows more hosts and origins.
    ///
    /// # Errors
    /// As [`HostRules::new`]; those before the faulty one are allowed then.
    pub fn allow<H: AsRef<str>, O: AsRef<str>>(&mut self, hosts: &[H], origins: &[O]) -> Result<(), InvalidRule> {
        let invalid = |rule: &str, expected| InvalidRule { rule: rule.to_owned(), expected };
        for rule in hosts.iter().map(AsRef::as_ref) {
            let (host, port) = split_authority(rule).ok_or_else(|| invalid(rule, "a host name with or without port"))?;
            self.hosts.push(HostRule { host, port });
        }
        for rule in origins.iter().map(AsRef::as_ref) {
            let expected = "an origin such as https://console.example.com";
            self.origins.push(parse_origin(rule).ok_or_else(|| invalid(rule, expected))?);
        }
        Ok(())
    }

    /// Checks `Host` (or the authority of an absolute or HTTP/2 request target; both when both are given) and `Origin`.
    ///
    /// # Errors
    /// 400 for a missing or doubled host, 403 for a host or origin that is not allowed.
    pub fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Refusal> {
        let header = single(headers, &HOST).map_err(|()| Refusal::new(400, "Host is given more than once"))?;
        let target = uri.authority().map(Authority::as_str);
        if header.is_none() && target.is_none() {
            return Err(Refusal::new(400, "Host is missing"));
        }
        if ![header.map(as_text), target].into_iter().flatten().all(|host| self.host_allowed(host)) {
            return Err(Refusal::new(403, "Host is not allowed here"));
        }
        let origin = single(headers, &ORIGIN).map_err(|()| Refusal::new(403, "Origin is given more than once"))?;
        if !origin.is_none_or(|origin| self.origin_allowed(as_text(origin))) {
            return Err(Refusal::new(403, "Origin is not allowed here"));
        }
        Ok(())
    }

    fn host_allowed(&self, text: &str) -> bool {
        let Some((host, port)) = split_authority(text) else { return false };
        self.hosts.iter().any(|rule| rule.host == host && (rule.port.is_none() || rule.port == port))
    }

    fn origin_allowed(&self, text: &str) -> bool {
        parse_origin(text).is_some_and(|origin| self.origins.contains(&origin))
    }
}

/// The header when it is given at most once. Any value that is no plain text matches no rule.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a http::HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

fn as_text(value: &http::HeaderValue) -> &str {
    value.to_str().unwrap_or_default().trim_matches([' ', '\t'])
}

/// Host in lower case and port. None for user information, an empty host or a port that is no number.
fn split_authority(text: &str) -> Option<(String, Option<u16>)> {
    let name_end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (host, rest) = text.split_at_checked(name_end)?;
    let valid = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')),
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    valid.then(|| (host.to_ascii_lowercase(), port))
}

fn parse_origin(text: &str) -> Option<Origin> {
    let (scheme, authority) = text.split_once("://")?;
    let https = match scheme {
        _ if scheme.eq_ignore_ascii_case("https") => true,
        _ if scheme.eq_ignore_ascii_case("http") => false,
        _ => return None,
    };
    let (host, port) = split_authority(authority)?;
    Some(Origin { https, host, port: port.unwrap_or(if https { 443 } else { 80 }) })
}

/// Most media ranges of one `Accept` that are looked at.
const RANGES_MAX: usize = 32;

/// What the caller takes as an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// `application/json` is named.
    pub json: bool,
    /// `text/event-stream` is named.
    pub events: bool,
    /// `*/*` is named, or there is no `Accept` at all; for one of the two types its main type with `*` counts as naming it not at all.
    pub anything: bool,
}

impl Accepted {
    /// Reads all `Accept` headers; a range with `q=0` is refused by the caller and not counted.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        if !headers.contains_key(ACCEPT) {
            return Self { anything: true, ..Self::default() };
        }
        let lines = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut accepted = Self::default();
        for range in lines.flat_map(|line| line.split(',')).take(RANGES_MAX) {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            if parts.any(is_zero_quality) {
                continue;
            }
            accepted.json |= name.eq_ignore_ascii_case("application/json");
            accepted.events |= name.eq_ignore_ascii_case("text/event-stream");
            accepted.anything |= name == "*/*";
        }
        accepted
    }
}

fn is_zero_quality(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("q") && value.trim().parse::<f32>().is_ok_and(|quality| quality <= 0.0)
    })
}

/// Checks the `Accept` of a POST. Modern requests must name both types or take anything; of legacy requests only those are refused that
/// take neither JSON nor anything.
///
/// # Errors
/// 406.
pub fn check_accept(headers: &HeaderMap, era: Era) -> Result<(), Refusal> {
    let accepted = Accepted::read(headers);
    match era {
        Era::Modern if accepted.anything || (accepted.json && accepted.events) => Ok(()),
        Era::Modern => Err(Refusal::new(406, "Accept must list application/json and text/event-stream")),
        Era::Legacy if accepted.json || accepted.anything => Ok(()),
        Era::Legacy => Err(Refusal::new(406, "Accept must list application/json and text/event-stream")),
    }
}

/// Checks the `Accept` of a legacy GET, which opens an event stream.
///
/// # Errors
/// 406.
pub fn check_accept_events(headers: &HeaderMap) -> Result<(), Refusal> {
    let accepted = Accepted::read(headers);
    if accepted.events || accepted.anything { Ok(()) } else { Err(Refusal::new(406, "Accept must list text/event-stream")) }
}

/// Checks that the body is plain JSON: its type is `application/json`, in UTF-8 if it says so, and it is not compressed.
///
/// # Errors
/// 415.
pub fn check_content(headers: &HeaderMap) -> Result<(), Refusal> {
    let wrong_type = Refusal::new(415, "Content-Type must be application/json");
    let value = single(headers, &CONTENT_TYPE).ok().flatten().ok_or(wrong_type)?;
    let mut parts = as_text(value).split(';').map(str::trim);
    if !parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/json")) {
        return Err(wrong_type);
    }
    let other_charset = |part: &str| {
        part.split_once('=').is_some_and(|(name, value)| {
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") && !value.eq_ignore_ascii_case("utf8")
        })
    };
    if parts.any(other_charset) {
        return Err(Refusal::new(415, "the body must be UTF-8"));
    }
    let encodings = headers.get_all(CONTENT_ENCODING).iter();
    if encodings.into_iter().any(|value| !as_text(value).eq_ignore_ascii_case("identity")) {
        return Err(Refusal::new(415, "Content-Encoding is not supported; send the body as it is"));
    }
    Ok(())
}
