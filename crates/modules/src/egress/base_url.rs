//! The address of a service as an operator wrote it: scheme, host, port and the path beneath which requests stay.

use http::HeaderValue;
use url::{Host as UrlHost, Url};

/// Longest address that is read.
const URL_BYTES_MAX: usize = 8_192;

/// Longest host name, and longest label in it (RFC 1035).
const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// A checked base address. It says where, not whether it may be dialled: that is decided at every connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// Whether connections are wrapped in TLS.
    pub https: bool,
    /// A DNS name in lower case without trailing dot, or an IP address, IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Percent-encoded, begins with `/` unless it is empty, never ends with one.
    pub path: String,
}

impl BaseUrl {
    /// Reads `text` by the WHATWG rules, which also turn decimal, octal, hexadecimal, short and full-width spellings of an address into
    /// the address itself.
    ///
    /// # Errors
    /// The rule that is broken. The text itself may be a secret and is not repeated.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > URL_BYTES_MAX {
            return Err("is longer than 8192 bytes");
        }
        // The parser would drop some of these without a word.
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err("holds a space, a backslash or a control character");
        }
        let url = Url::parse(text).map_err(|_| "is not an address like `https://host/path`")?;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err("does not begin with `https://` or `http://`"),
        };
        // `https:host` and `https:///host` mean something to browsers only.
        if !text.get(if https { 5.. } else { 4.. }).is_some_and(|rest| rest.starts_with("://") && !rest.starts_with(":///")) {
            return Err("is not an address like `https://host/path`");
        }
        let authority = text.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
        if authority.contains('@') {
            return Err("holds a user name or password; move it to a credential");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a query or a fragment");
        }
        let host = match url.host() {
            Some(UrlHost::Domain(name)) => host_name(name)?,
            Some(UrlHost::Ipv4(address)) => address.to_string(),
            Some(UrlHost::Ipv6(address)) => address.to_string(),
            None => return Err("has no host"),
        };
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or("has no usable port")?;
        Ok(Self { https, host, port, path: url.path().trim_end_matches('/').to_owned() })
    }

    /// Whether a request to `other` goes to the same scheme, host and port.
    #[must_use]
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.https, self.port) == (other.https, other.port) && self.host == other.host
    }

    /// The `Host` header: the port only when it is not the scheme's own.
    #[must_use]
    pub fn host_header(&self) -> HeaderValue {
        HeaderValue::try_from(self.authority()).unwrap_or(HeaderValue::from_static("invalid"))
    }

    /// Scheme, host and port, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.https { "https" } else { "http" }, self.authority())
    }

    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.https { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }

    /// The request target of `rest` beneath the base path. `rest` is percent-encoded and begins with `/`.
    #[must_use]
    pub fn at(&self, rest: &str) -> String {
        format!("{}{rest}", self.path)
    }
}

/// A DNS name without the dot of the root. The parser has made it lower case and A-labels, but lets some signs through.
fn host_name(name: &str) -> Result<String, &'static str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.is_empty() {
        return Err("has no host");
    }
    if name.len() > HOST_BYTES_MAX || !name.split('.').all(is_label) {
        return Err("has a host that is no name and no address");
    }
    Ok(name.to_owned())
}

/// One path segment, percent-encoded but for letters, digits, `-`, `.`, `_` and `~` (RFC 3986, 2.3).
#[must_use]
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_one() {
        for text in [
            "http://127.0.0.1/",
            "http://2130706433",
            "http://0x7f.1",
            "http://127.1/",
            "http://0177.0.0.1",
            "http://①②⑦.0.0.1",
            "http://127.0.0.1.",
        ] {
            let base = BaseUrl::parse(text).unwrap_or_else(|rule| panic!("{text}: {rule}"));
            assert_eq!((base.host.as_str(), base.port, base.path.as_str()), ("127.0.0.1", 80, ""), "{text}");
        }
        let base = BaseUrl::parse("HTTPS://Grafana.Example.:8443/api/v1//").unwrap();
        assert_eq!((base.https, base.host.as_str(), base.port, base.path.as_str()), (true, "grafana.example", 8443, "/api/v1"));
        assert_eq!(base.host_header(), "grafana.example:8443");
        assert_eq!(base.at("/x?y=1"), "/api/v1/x?y=1");
        assert_eq!(BaseUrl::parse("https://[::1]/").unwrap().host_header(), "[::1]");
    }

    #[test]
    fn what_is_no_base_address_is_refused() {
        for text in [
            "",
            "host/path",
            "ftp://host/",
            "file:///etc/passwd",
            "https://",
            "https:///host",
            "https:host",
            "https://user@host/",
            "https://u:p@host/",
            "https://@host/",
            "https://host/?q",
            "https://host/#f",
            "https://ho st/",
            "https://host\\x",
            "https://host/\tx",
            "https://host:0/",
            "https://host:99999/",
            "https://./",
            "//host/",
            "https://[::1",
            "https://host../",
            "https://a..b/",
            "https://127.0.0.1../",
            "https://a;b/",
            "https://a'b/",
            "https://[fe80::1%25eth0]/",
        ] {
            assert!(BaseUrl::parse(text).is_err(), "{text}");
        }
        assert!(BaseUrl::parse(&format!("https://host/{}", "a".repeat(URL_BYTES_MAX))).is_err());
        assert!(BaseUrl::parse(&format!("https://{}.example", "a".repeat(64))).is_err());
        assert!(BaseUrl::parse(&format!("https://{}example", "a.".repeat(130))).is_err());
    }

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(segment("!a:b/../c?d#e%ü"), "%21a%3Ab%2F..%2Fc%3Fd%23e%25%C3%BC");
    }
}
