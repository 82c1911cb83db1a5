//! Why a token was refused. Clients learn only that it was; the word is for the ledger.

use std::fmt;

use bailiwick_store::AgentRefusal;

use super::Fingerprint;

/// The rule that was broken first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Not three parts of strict base64url with strict JSON in them.
    Malformed,
    /// Longer than any token that is looked at.
    TooLarge,
    /// The header asks for something that is not done: `crit`, `zip`, `b64`, encryption, nesting.
    HeaderRefused,
    /// The algorithm is not one that this issuer may use.
    AlgorithmRefused,
    /// `typ` says that it is no access token.
    TypeRefused,
    /// Nobody of this name may issue tokens.
    IssuerUnknown,
    /// No `kid`, or one that cannot name a key.
    KeyUnnamed,
    /// The issuer has no such key.
    KeyUnknown,
    /// The key is not for this algorithm.
    KeyUnfit,
    /// The signature is not by the key.
    SignatureWrong,
    /// `exp`, `nbf` or `iat` is missing, or no whole number of seconds, or they contradict each other.
    TimesMalformed,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It is valid for longer than tokens may be.
    LifetimeTooLong,
    /// An ID token, a refresh token or a logout token.
    NotAccessToken,
    /// Bound to a key of the client, whose proof did not come with it.
    SenderConstrained,
    /// Issued for somebody else.
    AudienceWrong,
    /// Issued for the endpoint of one server, and presented elsewhere.
    EndpointWrong,
    /// A scope that is required is missing.
    ScopeMissing,
    /// `sub` is missing or no subject.
    SubjectMalformed,
    /// The organisation is missing, or not one that the issuer may speak for.
    OrgRefused,
    /// The claim of the agent's id or type is missing or not valid.
    AgentMalformed,
    /// There is no manifest for the agent's type.
    AgentTypeUnknown,
    /// The claim of the groups is no list of texts, or too long.
    GroupsMalformed,
    /// The claim of the role is neither text nor a list of texts.
    RoleMalformed,
    /// The agent may not act.
    Agent(AgentRefusal),
    /// The issuer's keys cannot be had at the moment, so nothing can be said about the token.
    KeysUnavailable,
}

impl Reason {
    /// The word for the ledger.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::HeaderRefused => "header_refused",
            Self::AlgorithmRefused => "algorithm_refused",
            Self::TypeRefused => "type_refused",
            Self::IssuerUnknown => "issuer_unknown",
            Self::KeyUnnamed => "key_unnamed",
            Self::KeyUnknown => "key_unknown",
            Self::KeyUnfit => "key_unfit",
            Self::SignatureWrong => "signature_wrong",
            Self::TimesMalformed => "times_malformed",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::NotAccessToken => "not_access_token",
            Self::SenderConstrained => "sender_constrained",
            Self::AudienceWrong => "audience_wrong",
            Self::EndpointWrong => "endpoint_wrong",
            Self::ScopeMissing => "scope_missing",
            Self::SubjectMalformed => "subject_malformed",
            Self::OrgRefused => "org_refused",
            Self::AgentMalformed => "agent_malformed",
            Self::AgentTypeUnknown => "agent_type_unknown",
            Self::GroupsMalformed => "groups_malformed",
            Self::RoleMalformed => "role_malformed",
            Self::Agent(refusal) => refusal.as_str(),
            Self::KeysUnavailable => "keys_unavailable",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refused token.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Which rule.
    pub(crate) reason: Reason,
    /// Which token.
    pub(crate) fingerprint: Fingerprint,
    /// With [`Reason::ScopeMissing`]: every scope that is needed.
    pub(crate) scopes: Vec<String>,
}
