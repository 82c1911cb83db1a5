//! A token that does not reach far enough: once more to the person, with more scopes (protocol reference 7.2), and not for ever.

use super::FaultKind;
use super::challenge::Challenge;
use super::fault::{OAuthFault, Step};
use super::scope;

/// Most step-ups of one connection for one call (security reference 10).
pub(crate) const ATTEMPTS_MAX: u32 = 3;

/// The scopes to ask for: those that are granted, and those of the challenge.
///
/// # Errors
/// `Limit` after [`ATTEMPTS_MAX`] attempts, or when together they are too many; `Refused` with `insufficient_scope` when the challenge names
/// nothing that is not granted already, so that asking again would change nothing.
pub(crate) fn scopes(granted: &[String], challenge: &Challenge, attempts: u32) -> Result<Vec<String>, OAuthFault> {
    let fault = |kind, message: &str, remedy: &str| Err(OAuthFault::new(kind, Step::MoreScope, message, remedy));
    if attempts >= ATTEMPTS_MAX {
        return fault(
            FaultKind::Limit,
            "the server asks for more scopes again and again",
            "look at what the server's operator says about scopes",
        );
    }
    let wanted = challenge.scopes.as_deref().unwrap_or_default();
    let all = scope::union(granted, wanted);
    if wanted.iter().all(|scope| granted.contains(scope)) {
        let kind = FaultKind::Refused { code: "insufficient_scope".to_owned() };
        return fault(
            kind,
            "the server wants scopes that it does not name, or that are granted already",
            "set `scopes` of the server by hand",
        );
    }
    if all.len() > scope::SCOPES_MAX {
        return fault(FaultKind::Limit, "the server asks for too many scopes", "set `scopes` of the server by hand");
    }
    Ok(all)
}
