//! Addresses of servers and of the endpoints of their issuers. Only their text is checked; whether the address behind a name may be dialled
//! is decided when it is.

use std::fmt;

use url::{Host, Url};

use crate::id::InvalidId;

/// Longest address.
pub const SERVER_URL_BYTES_MAX: usize = 2_048;

const WHAT_SERVER: &str = "server address";
const WHAT_ENDPOINT: &str = "OAuth endpoint";

/// The address of a server over Streamable HTTP in its canonical form (RFC 8707 `resource`): scheme and host in lower case, host names in
/// their A-label form, no default port, no `/` behind a bare host. https only; http to a loopback host where that is allowed. No user
/// information, no fragment, at most [`SERVER_URL_BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerUrl(Box<str>);

impl ServerUrl {
    /// Checks `text` and brings it into the canonical form.
    ///
    /// # Errors
    /// [`InvalidId`] with the rule that is broken.
    pub fn parse(text: &str, allow_http_loopback: bool) -> Result<Self, InvalidId> {
        let url = check(WHAT_SERVER, text, allow_http_loopback)?;
        let canonical = if url.path() == "/" && url.query().is_none() { url.as_str().trim_end_matches('/') } else { url.as_str() };
        // Percent-encoding may lengthen it.
        if canonical.len() > SERVER_URL_BYTES_MAX {
            return Err(InvalidId::new(WHAT_SERVER, TOO_LONG));
        }
        Ok(Self(canonical.into()))
    }

    /// What a row holds; it was checked when it was written.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The address of an issuer or of one of its endpoints under the rules of [`ServerUrl`], kept byte for byte as it was given: issuers are
/// compared as texts (RFC 9207 section 2.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointUrl(Box<str>);

impl EndpointUrl {
    /// Checks the address of an endpoint.
    ///
    /// # Errors
    /// [`InvalidId`] with the rule that is broken.
    pub fn parse(text: &str, allow_http_loopback: bool) -> Result<Self, InvalidId> {
        check(WHAT_ENDPOINT, text, allow_http_loopback)?;
        Ok(Self(text.into()))
    }

    /// Checks the identifier of an issuer, which has no query either (RFC 8414 section 2).
    ///
    /// # Errors
    /// [`InvalidId`] with the rule that is broken.
    pub fn parse_issuer(text: &str, allow_http_loopback: bool) -> Result<Self, InvalidId> {
        let url = check("issuer", text, allow_http_loopback)?;
        if url.query().is_some() {
            return Err(InvalidId::new("issuer", "an issuer has no query"));
        }
        Ok(Self(text.into()))
    }

    /// What a row holds; it was checked when it was written.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The text as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const TOO_LONG: &str = "an address has at most 2048 bytes";

fn check(what: &'static str, text: &str, allow_http_loopback: bool) -> Result<Url, InvalidId> {
    let refuse = |rule| Err(InvalidId::new(what, rule));
    if text.len() > SERVER_URL_BYTES_MAX {
        return refuse(TOO_LONG);
    }
    // The parser would drop or translate these without a word.
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return refuse("an address has no spaces, control characters and backslashes");
    }
    if !text.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"))
        && !text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("http://"))
    {
        return refuse("an address begins with `https://`");
    }
    // An authority that begins with `/` would be skipped by the parser, an empty user name dropped.
    let authority = text.split_once("://").map_or("", |(_, rest)| rest).split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return refuse("an address names a host");
    }
    if authority.contains('@') {
        return refuse("an address has no user name and password");
    }
    if text.contains('#') {
        return refuse("an address has no fragment");
    }
    let Ok(url) = Url::parse(text) else { return refuse("the address cannot be read: check host and port") };
    if url.scheme() == "https" || allow_http_loopback && is_loopback(&url) {
        return Ok(url);
    }
    refuse(if allow_http_loopback { "`http://` is for loopback hosts only; use `https://`" } else { "an address begins with `https://`" })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form() {
        for (given, canonical) in [
            ("https://mcp.example.com", "https://mcp.example.com"),
            ("https://mcp.example.com/", "https://mcp.example.com"),
            ("HTTPS://MCP.Example.COM:443/Mcp", "https://mcp.example.com/Mcp"),
            ("https://mcp.example.com:8443/", "https://mcp.example.com:8443"),
            ("https://mcp.example.com/mcp/", "https://mcp.example.com/mcp/"),
            ("https://mcp.example.com/?", "https://mcp.example.com/?"),
            ("https://mcp.example.com/a/../mcp?team=x@y", "https://mcp.example.com/mcp?team=x@y"),
            ("https://bücher.example/mcp", "https://xn--bcher-kva.example/mcp"),
            ("https://[2001:db8::0:1]/", "https://[2001:db8::1]"),
        ] {
            let url = ServerUrl::parse(given, false).unwrap();
            assert_eq!(url.as_str(), canonical);
            assert_eq!(ServerUrl::parse(canonical, false), Ok(url), "the form of a form is itself");
        }
    }

    #[test]
    fn addresses_that_are_refused() {
        let long = format!("https://h.example/{}", "a".repeat(SERVER_URL_BYTES_MAX));
        let grows = format!("https://h.example/{}", "é".repeat(900));
        for bad in [
            "",
            "file:///etc/passwd",
            "ftp://h.example",
            "h.example/mcp",
            "https:h.example",
            "https://",
            "https:///x",
            "https://:1/",
            "https://u@h.example/",
            "https://u:p@h.example/",
            "https://@h.example/",
            "https://h.example/#f",
            "https://h.example/#",
            "https://h .example/",
            "https://h.example\n/",
            "https://h.example\\x",
            "https://h.example:99999/",
            "http://h.example/",
            "http://localhost.example/",
            "http://127.0.0.1.example/",
            "http://10.0.0.1/",
            &long,
            &grows,
        ] {
            for loopback in [false, true] {
                assert!(ServerUrl::parse(bad, loopback).is_err(), "{bad}");
            }
        }
    }

    #[test]
    fn plain_http_is_for_loopback_hosts_where_allowed() {
        for url in ["http://localhost:8485/mcp", "http://127.0.0.1:1/", "http://[::1]:1/mcp", "http://LOCALHOST/mcp"] {
            assert!(ServerUrl::parse(url, true).is_ok(), "{url}");
            assert!(ServerUrl::parse(url, false).is_err(), "{url}");
        }
    }

    #[test]
    fn issuers_are_kept_as_given() {
        for text in ["https://AS.example.com/", "https://as.example.com", "https://as.example.com/t%65nant"] {
            assert_eq!(EndpointUrl::parse_issuer(text, false).unwrap().as_str(), text);
        }
        assert!(EndpointUrl::parse("https://as.example.com/token?tenant=a", false).is_ok());
        for bad in ["https://as.example.com/?a=b", "https://as.example.com/#x", "http://as.example.com", "https://u@as.example.com"] {
            assert!(EndpointUrl::parse_issuer(bad, true).is_err(), "{bad}");
        }
    }
}
