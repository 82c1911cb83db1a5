//! What goes out beside the request itself: the credential, and headers an operator wrote.

use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::entry::Entry;
use crate::fault::OpenFault;
use crate::service::authorization;

/// Most headers an operator may add.
const HEADERS_MAX: usize = 32;
/// Headers that frame the message, name the service or belong to one connection (RFC 9110, 7.6.1), and those that this client writes.
const RESERVED: [&str; 16] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "expect",
    "accept-encoding",
    "content-encoding",
];

/// How the credential is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Auth {
    /// `Authorization: Bearer <credential>`.
    Bearer,
    /// `Authorization: Basic <base64 of the credential>`; the credential is `user:password`.
    Basic,
    /// `<Name>: <credential>`.
    Header(HeaderName),
}

impl Auth {
    /// Reads the word under `auth`.
    pub(super) fn read(entry: &mut Entry<'_>) -> Self {
        let name = match entry.text("auth") {
            None | Some("bearer") => return Self::Bearer,
            Some("basic") => return Self::Basic,
            Some(word) => word.strip_prefix("header:"),
        };
        let name = name.and_then(|name| HeaderName::try_from(name).ok()).filter(|name| !RESERVED.contains(&name.as_str()));
        name.map_or_else(
            || {
                entry.fault(
                    "auth",
                    "is none of the known ways",
                    "write bearer, basic or header:<Name> with a header that may carry a credential",
                );
                Self::Bearer
            },
            Self::Header,
        )
    }

    /// The header that carries it.
    pub(super) fn header(&self) -> HeaderName {
        match self {
            Self::Bearer | Self::Basic => header::AUTHORIZATION,
            Self::Header(name) => name.clone(),
        }
    }

    /// The value of that header for the credential `name`, and what else must not be shown.
    pub(super) fn value(&self, name: &str, credential: &SecretString) -> Result<(HeaderValue, Vec<String>), OpenFault> {
        match self {
            Self::Bearer => Ok((authorization("Bearer", name, credential)?, Vec::new())),
            Self::Basic => {
                let pair = credential.expose_secret();
                let (_, password) = pair.split_once(':').ok_or_else(|| {
                    OpenFault::about(name, "holds no `:` between user and password", "write the credential as user:password")
                })?;
                let encoded = BASE64.encode(pair.as_bytes());
                let value = authorization("Basic", name, &encoded.as_str().into())?;
                Ok((value, vec![encoded, password.to_owned()]))
            }
            Self::Header(_) => {
                let fault =
                    |_| OpenFault::about(name, "holds a character that cannot stand in a header", "check the credential for line breaks");
                let mut value = HeaderValue::try_from(credential.expose_secret()).map_err(fault)?;
                value.set_sensitive(true);
                Ok((value, Vec::new()))
            }
        }
    }
}

/// The headers an operator wrote under `headers`. `credential` is the header that is taken already.
pub(super) fn read(entry: &mut Entry<'_>, credential: &HeaderName) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(given) = entry.map("headers") else { return headers };
    if given.len() > HEADERS_MAX {
        entry.fault("headers", format!("has more than {HEADERS_MAX} headers"), "leave some out");
    }
    for (name, value) in given {
        let key = format!("headers.{name}");
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => {
                entry.fault(&key, "is not a text", "write a string");
                continue;
            }
        };
        match (HeaderName::try_from(name.as_str()), HeaderValue::try_from(text)) {
            (Err(_), _) => entry.fault("headers", "holds a name that is no header's name", "use letters, digits and `-`"),
            (_, Err(_)) => {
                entry.fault(&key, "holds a character that cannot stand in a header", "leave out line breaks and control characters")
            }
            (Ok(name), _) if RESERVED.contains(&name.as_str()) => {
                entry.fault(&key, "is a header that the client itself writes or that belongs to one connection", "leave it out");
            }
            (Ok(name), _) if name == credential || [header::AUTHORIZATION, header::COOKIE].contains(&name) => {
                entry.fault(
                    &key,
                    "is a header for a credential",
                    "put the credential under `credential_key` and name the header under `auth`",
                );
            }
            (Ok(name), Ok(_)) if headers.contains_key(&name) => entry.fault(&key, "is given twice", "leave one out"),
            (Ok(name), Ok(value)) => drop(headers.insert(name, value)),
        }
    }
    headers
}
