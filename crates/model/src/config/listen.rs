//! Where the gateway listens and whom it lets in.

use std::net::{Ipv4Addr, SocketAddr};

use crate::reader::Field;
use crate::shape::words;
use crate::upstream::url_fault;

/// Port when nothing else is written.
pub const PORT_DEFAULT: u16 = 8_700;
/// Longest host name in bytes (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// The address of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

/// How callers prove who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// An API key.
    #[default]
    Key,
    /// No credential; on loopback only.
    None,
}

impl Default for Listen {
    fn default() -> Self {
        Self(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT_DEFAULT)))
    }
}

impl Listen {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_loopback(self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }
}

pub(super) fn listen(field: &Field<'_>) -> Option<Listen> {
    let text = field.filled()?.trim();
    // A name would have to be resolved, and may have several addresses; this one is fixed.
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    match text.parse() {
        Ok(address) => Some(Listen(address)),
        Err(_) => {
            field.error_hint("must be an address with port", "for example `127.0.0.1:8700`, `[::1]:8700` or `0.0.0.0:8700`");
            None
        }
    }
}

/// Words of `auth` and what they mean.
pub(super) const AUTHS: [(&str, AuthMode); 2] = [("key", AuthMode::Key), ("none", AuthMode::None)];
/// Words of `auth`.
pub(super) static AUTH_WORDS: [&str; 2] = words(&AUTHS);

pub(super) fn public_url(field: &Field<'_>) -> Option<String> {
    let url = crate::upstream::address(field)?;
    if url.contains('?') {
        field.error("must have no query");
        return None;
    }
    Some(url.trim_end_matches('/').to_owned())
}

/// A value of the `Host` header.
pub(super) fn host(field: &Field<'_>) -> Option<String> {
    let host = field.filled()?.to_ascii_lowercase();
    if !is_authority(&host) {
        field.error_hint("must be a host, with port if need be", "for example `gw.example.com` or `gw.example.com:8443`");
        return None;
    }
    Some(host)
}

/// A value of the `Origin` header.
pub(super) fn origin(field: &Field<'_>) -> Option<String> {
    let origin = field.filled()?.to_ascii_lowercase();
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    if url_fault(&origin).is_some() || !authority.is_some_and(is_authority) {
        field.error_hint("must be an origin", "for example `https://console.example.com`; `*` and `null` are not possible");
        return None;
    }
    Some(origin)
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((host, rest)) = rest.split_once(']') else { return false };
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("v6", if rest.is_empty() { None } else { Some(rest.strip_prefix(':').unwrap_or_default()) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let named =
        !host.is_empty() && host.len() <= HOST_BYTES_MAX && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    named && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number > 0) && !port.starts_with('+'))
}
