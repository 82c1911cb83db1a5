//! Further parameters of the authorization request, for issuers that want some.

use std::collections::BTreeMap;

use crate::id::InvalidId;

/// Most parameters.
pub const PARAMS_MAX: usize = 16;
/// Longest name or value.
pub const PARAM_CHARS_MAX: usize = 256;

/// What belongs to the flow itself; an entry for one of these would undo what protects it.
const OWN: [&str; 14] = [
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "state",
    "scope",
    "resource",
    "code",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "request",
    "request_uri",
];

/// Parameters that are added to an authorization request; none of them is one of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraAuthParams(BTreeMap<String, String>);

impl ExtraAuthParams {
    /// Checks names and values.
    ///
    /// # Errors
    /// [`InvalidId`] for more than [`PARAMS_MAX`], a name that is ours in any letter case, an empty name, a name or value that is too long
    /// or holds control characters.
    pub fn new(params: BTreeMap<String, String>) -> Result<Self, InvalidId> {
        let refuse = |rule| Err(InvalidId::new("list of extra parameters", rule));
        if params.len() > PARAMS_MAX {
            return refuse("at most 16 parameters");
        }
        for (name, value) in &params {
            if name.is_empty() || name.trim() != name {
                return refuse("a parameter has a name without spaces around it");
            }
            if [name, value].iter().any(|text| text.chars().count() > PARAM_CHARS_MAX) {
                return refuse("names and values have at most 256 characters");
            }
            if [name, value].iter().any(|text| text.chars().any(char::is_control)) {
                return refuse("names and values have no control characters");
            }
            if OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                return refuse(
                    "`response_type`, `response_mode`, `client_id`, `client_secret`, `redirect_uri`, `state`, `scope`, `resource`, `code`, \
                     `code_challenge`, `code_challenge_method`, `nonce`, `request` and `request_uri` are set by the gateway",
                );
            }
        }
        Ok(Self(params))
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same as a map.
    #[must_use]
    pub const fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(pairs: &[(&str, &str)]) -> Result<ExtraAuthParams, InvalidId> {
        ExtraAuthParams::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn parameters_of_the_flow_are_refused() {
        assert!(new(&[("access_type", "offline"), ("prompt", "consent"), ("audience", "api.atlassian.com"), ("empty", "")]).is_ok());
        for own in OWN {
            assert!(new(&[(own, "x")]).is_err(), "{own}");
            assert!(new(&[(&own.to_uppercase(), "x")]).is_err(), "{own} in capitals");
        }
    }

    #[test]
    fn parameters_have_limits() {
        let long = "é".repeat(PARAM_CHARS_MAX + 1);
        let fits = "é".repeat(PARAM_CHARS_MAX);
        assert!(new(&[("a", &fits), (&fits, "a")]).is_ok());
        for (name, value) in [("a", long.as_str()), (&long, "a"), ("", "a"), (" state", "a"), ("state ", "a"), ("a\n", "b"), ("a", "b\0")] {
            assert!(new(&[(name, value)]).is_err(), "{name:?}");
        }
        let many = |count: usize| ExtraAuthParams::new((0..count).map(|n| (n.to_string(), String::new())).collect());
        assert!(many(PARAMS_MAX).is_ok() && many(PARAMS_MAX + 1).is_err());
    }
}
