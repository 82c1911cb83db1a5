//! The one vocabulary of refusals and faults. Text shown to agents, ledger entries and documentation take the word from here.

use serde::Serialize;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $number:literal, $retryable:literal;)*) => {
        /// Why a call was refused or failed (design section 6, security reference section 3).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant),* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            /// The word that stands in `structuredContent.code`, `data.code` and the ledger.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $word),* }
            }

            /// The JSON-RPC number for methods without tool results; outside the range reserved by JSON-RPC.
            #[must_use]
            pub const fn number(self) -> i64 {
                match self { $(Code::$variant => $number),* }
            }

            /// Whether the same call may succeed later without any change.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Code::$variant => $retryable),* }
            }
        }
    };
}

codes! {
    /// No or no valid credential.
    Auth = "auth", 4010, false;
    /// It is not clear for which organisation the caller acts.
    ScopeUnresolved = "scope_unresolved", 4011, false;
    /// The caller's role is too low; the details say `required` and `actual`.
    Forbidden = "forbidden", 4039, false;
    /// No such instruction in this organisation, or none that the caller may read.
    InstructionNotFound = "instruction_not_found", 4041, false;
    /// The rules of the organisation refuse the text; the details list every reason.
    InstructionRefused = "instruction_refused", 4225, false;
    /// Somebody else wrote in between; the details hold the current version.
    VersionConflict = "version_conflict", 4091, false;
    /// No such open run of the caller.
    RunUnknown = "run_unknown", 4042, false;
    /// An outcome other than `done`, `abandoned`, `failed`, `blocked`.
    RunOutcomeInvalid = "run_outcome_invalid", 4226, false;
    /// Manifest, mode, lists or contract do not allow the tool.
    PolicyDenied = "policy_denied", 4030, false;
    /// A person has to approve this call first.
    ApprovalRequired = "approval_required", 4031, true;
    /// The flow rules stop this combination of data and effect.
    FlowBlocked = "flow_blocked", 4032, false;
    /// The resource lies outside what the agent was given.
    ScopeViolation = "scope_violation", 4036, false;
    /// A filter of the manifest stops the arguments or holds the result back.
    PolicyBlocked = "policy_blocked", 4037, false;
    /// A path leaves the agent's directory or is of a refused kind.
    PathRefused = "path_refused", 4033, false;
    /// A statement of a class that the tool does not run.
    SqlRefused = "sql_refused", 4034, false;
    /// The address may not be dialled.
    EgressDenied = "egress_denied", 4035, false;
    /// The arguments do not fit the tool's schema or make no sense.
    InvalidArgument = "invalid_argument", 4220, false;
    /// The server needs an answer of the user or the model that the client cannot be asked for.
    InputRequired = "input_required", 4280, false;
    /// The named resource does not exist.
    NotFound = "not_found", 4040, false;
    /// The named resource exists already.
    AlreadyExists = "already_exists", 4090, false;
    /// What is asked for contradicts what exists.
    Conflict = "conflict", 4092, false;
    /// The name of a request (`Idempotency-Key`) stands for another one.
    IdempotencyMismatch = "idempotency_mismatch", 4227, false;
    /// The method does not exist at this address.
    MethodNotAllowed = "method_not_allowed", 4050, false;
    /// What was begun was not finished in its time, or was finished already.
    Expired = "expired", 4100, false;
    /// A directory stands where a file was expected.
    IsDirectory = "is_directory", 4221, false;
    /// Something else stands where a directory was expected.
    NotDirectory = "not_directory", 4222, false;
    /// The file is not UTF-8 text.
    NotText = "not_text", 4223, false;
    /// A device, socket, pipe or multiply linked file.
    UnsupportedFile = "unsupported_file", 4224, false;
    /// A size, row, depth or time limit of the tool.
    LimitExceeded = "limit_exceeded", 4130, false;
    /// Too many calls in the window, or too many at once.
    RateLimited = "rate_limited", 4290, true;
    /// The call took longer than its deadline.
    Deadline = "deadline", 4080, true;
    /// The caller gave the call up.
    Cancelled = "cancelled", 4990, false;
    /// The server behind the tool answered with an error.
    UpstreamError = "upstream_error", 5020, false;
    /// The server behind the tool broke the protocol or its own declaration.
    UpstreamProtocol = "upstream_protocol", 5021, false;
    /// The server behind the tool cannot be reached.
    UpstreamUnreachable = "upstream_unreachable", 5022, true;
    /// The server behind the tool did not answer in time.
    UpstreamTimeout = "upstream_timeout", 5040, true;
    /// The server behind the tool refused our credential.
    UpstreamAuth = "upstream_auth", 5023, false;
    /// The server behind the tool wants a person to sign in there first; the details hold the link, where the caller may have one.
    NeedsAuthorization = "needs_authorization", 4012, true;
    /// The registered server is not set up, or is in error; an administrator sees why.
    ServerNotActive = "server_not_active", 5034, true;
    /// The service behind the tool redirects elsewhere, which is not followed.
    UpstreamRedirect = "upstream_redirect", 5024, false;
    /// The ledger cannot record, so nothing may happen.
    AuditUnavailable = "audit_unavailable", 5030, true;
    /// The root key is missing, so nothing that needs a secret is served.
    Sealed = "sealed", 5031, true;
    /// The database cannot serve at the moment.
    Unavailable = "unavailable", 5033, true;
    /// The gateway is stopping.
    ShuttingDown = "shutting_down", 5032, true;
    /// A fault of our own; the event id leads to the cause.
    Internal = "internal", 5000, false;
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_unique_and_unreserved() {
        for (i, a) in Code::ALL.iter().enumerate() {
            assert!(!(-32768..=-32000).contains(&a.number()));
            assert!(a.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            for b in &Code::ALL[i + 1..] {
                assert_ne!(a.as_str(), b.as_str());
                assert_ne!(a.number(), b.number());
            }
        }
    }
}
