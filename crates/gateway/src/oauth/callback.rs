//! What a browser brings back (RFC 6749 section 4.1.2, RFC 9207). Whose flow it is was looked up by `state` before; here it is decided whether
//! the answer is of the authorization server that was asked, and only then looked at.

use std::borrow::Cow;

use secrecy::SecretString;
use url::form_urlencoded;

use super::FaultKind;
use super::fault::{self, OAuthFault, Step};

const STEP: Step = Step::Callback;
/// Longest query that is looked at.
const QUERY_BYTES_MAX: usize = 8 << 10;
/// Most parameters in it.
const PARAMS_MAX: usize = 32;
/// Longest code.
const CODE_BYTES_MAX: usize = 4_096;

/// The parameters of a callback. Nothing of it is believed.
#[derive(Clone, Default)]
pub(crate) struct Reply {
    pub(crate) code: Option<SecretString>,
    pub(crate) state: Option<SecretString>,
    pub(crate) iss: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) error_description: Option<String>,
}

impl Reply {
    /// Reads the query of the request. Other parameters are passed over.
    ///
    /// # Errors
    /// `BadInput` when it is too long, or has one of the known parameters twice.
    pub(crate) fn read(query: &str) -> Result<Self, OAuthFault> {
        let bad = |message: &str| OAuthFault::new(FaultKind::BadInput, STEP, message, "begin the authorization again");
        if query.len() > QUERY_BYTES_MAX {
            return Err(bad("the callback is too long"));
        }
        let mut reply = Self::default();
        for (number, (name, value)) in form_urlencoded::parse(query.as_bytes()).enumerate() {
            if number == PARAMS_MAX {
                return Err(bad("the callback has too many parameters"));
            }
            if reply.take(&name, value) == Taken::Twice {
                return Err(bad("the callback has a parameter twice"));
            }
        }
        Ok(reply)
    }

    fn take(&mut self, name: &str, value: Cow<'_, str>) -> Taken {
        let value = value.into_owned();
        let before = match name {
            "code" => self.code.replace(value.into()).is_some(),
            "state" => self.state.replace(value.into()).is_some(),
            "iss" => self.iss.replace(value).is_some(),
            "error" => self.error.replace(value).is_some(),
            "error_description" => self.error_description.replace(value).is_some(),
            _ => false,
        };
        if before { Taken::Twice } else { Taken::Once }
    }
}

#[derive(PartialEq, Eq)]
enum Taken {
    Once,
    Twice,
}

/// The code of a callback, if it comes from `issuer`. With `iss_required`, the issuer has promised to say who it is.
///
/// # Errors
/// `IssuerMismatch`, with a message of ours alone; `Refused` with the code word and the description, cleaned and cut; `BadAnswer`.
pub(crate) fn accept(reply: &Reply, issuer: &str, iss_required: bool) -> Result<SecretString, OAuthFault> {
    check_issuer(reply.iss.as_deref(), issuer, iss_required)?;
    if let Some(error) = &reply.error {
        return Err(refused(error, reply.error_description.as_deref()));
    }
    let usable = |code: &&SecretString| {
        let code = secrecy::ExposeSecret::expose_secret(*code);
        (1..=CODE_BYTES_MAX).contains(&code.len()) && code.bytes().all(|b| matches!(b, 0x20..=0x7e))
    };
    reply.code.as_ref().filter(usable).cloned().ok_or_else(|| {
        let message = "the callback brings neither a code nor an error";
        OAuthFault::new(FaultKind::BadAnswer, STEP, message, "begin the authorization again")
    })
}

/// By plain comparison of strings (RFC 9207 section 2.4), before anything else of the answer is looked at.
fn check_issuer(iss: Option<&str>, issuer: &str, required: bool) -> Result<(), OAuthFault> {
    let message = match iss {
        Some(iss) if iss == issuer => return Ok(()),
        None if !required => return Ok(()),
        Some(_) => "the answer is of another authorization server than the one that was asked",
        None => "the answer does not say which authorization server it is of, although that one promises to",
    };
    let remedy = "begin the authorization again; if it happens again, somebody may be mixing up servers";
    Err(OAuthFault::new(FaultKind::IssuerMismatch, STEP, message, remedy))
}

fn refused(error: &str, description: Option<&str>) -> OAuthFault {
    let code = fault::code(error);
    let words =
        description.map(fault::foreign).filter(|words| !words.is_empty()).map_or_else(String::new, |words| format!(": \"{words}\""));
    let remedy = match code.as_str() {
        "access_denied" => "begin again, and agree at the authorization server; an administrator there may have to allow the gateway first",
        "invalid_scope" => "correct `scopes` of the server",
        "server_error" | "temporarily_unavailable" => "try again later",
        _ => "begin the authorization again",
    };
    OAuthFault::new(
        FaultKind::Refused { code: code.clone() },
        STEP,
        format!("the authorization server refused with `{code}`{words}"),
        remedy,
    )
}
