//! An address that another party named, checked before anything is done with it (protocol reference 7.4, security reference 7).

use std::net::IpAddr;

use bailiwick_modules::egress::BaseUrl;

use crate::outward;

/// Longest address out of metadata.
const ADDRESS_BYTES_MAX: usize = 2_048;

/// An address that may be dialled or shown to a person, as far as its text tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    text: String,
    pub(super) base: BaseUrl,
    pub(super) target: String,
}

impl Address {
    /// Reads `text`. Plain HTTP passes with `loopback_http` and towards this machine only; names of one label pass with `private_names` only.
    ///
    /// # Errors
    /// The rule that is broken, to be put behind `the address`.
    pub(super) fn read(text: &str, loopback_http: bool, private_names: bool) -> Result<Self, &'static str> {
        if text.len() > ADDRESS_BYTES_MAX {
            return Err("is longer than 2048 bytes");
        }
        let (base, target) = outward::place(text)?;
        if base.https {
            check_name(&base.host, private_names)?;
        } else if !(loopback_http && is_loopback(&base.host)) {
            return Err("does not begin with `https://`");
        }
        Ok(Self { text: text.to_owned(), base, target })
    }

    /// The text as it was given; what is compared and sent.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Origin and path for messages: host names in A-label form, no query.
    pub(crate) fn shown(&self) -> String {
        format!("{}{}", self.base.origin(), self.path())
    }

    /// The path, which begins with `/`.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Whether it is plain HTTP to this machine, which only development does.
    pub(super) fn is_plain(&self) -> bool {
        !self.base.https
    }

    /// Another place at the same origin; `target` begins with `/`.
    pub(super) fn beside(&self, target: String) -> Self {
        Self { text: format!("{}{target}", self.base.origin()), base: self.base.clone(), target }
    }
}

/// Whether a name can mean the same to everybody (security reference 7, step 3). Literal addresses are judged when they are dialled.
fn check_name(host: &str, private_names: bool) -> Result<(), &'static str> {
    let local = host == "localhost" || host.ends_with(".localhost");
    let short = !host.contains('.') && !private_names;
    if host.parse::<IpAddr>().is_err() && (local || short) { Err("has a host that only one network knows") } else { Ok(()) }
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}
