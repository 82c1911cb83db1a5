//! The words of the wire and of rows. A text that is none of them never becomes one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::InvalidId;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant),*
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word on the wire and in the row.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),*
                }
            }

            /// Reads the word.
            ///
            /// # Errors
            /// [`InvalidId`] for any other text.
            pub fn parse(word: &str) -> Result<Self, InvalidId> {
                let found = Self::ALL.iter().copied().find(|known| known.as_str() == word);
                found.ok_or(InvalidId::new($what, $rule))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(
    /// Whether a server can be called (reference, governance 5.4).
    ServerStatus, "server status", "`active`, `pending_setup` or `error`",
    {
        /// Metadata found and client obtained.
        Active = "active",
        /// Not yet set up, or set up anew.
        PendingSetup = "pending_setup",
        /// Setting it up failed.
        Error = "error",
    }
);
words!(
    /// How we became known to the issuer, as it was done.
    RegistrationMode, "registration mode", "`dcr`, `manual`, `cimd` or `none`",
    {
        /// Dynamic client registration (RFC 7591).
        Dcr = "dcr",
        /// Somebody registered us and gave the client id.
        Manual = "manual",
        /// A client id metadata document: the client id is an address of ours.
        Cimd = "cimd",
        /// The server wants no authorization.
        None = "none",
    }
);
words!(
    /// How we should become known to the issuer, as an administrator asks.
    RegistrationChoice, "registration mode", "`auto`, `dcr`, `manual` or `cimd`",
    {
        /// Find out.
        Auto = "auto",
        /// As `auto`; the word of older clients.
        Dcr = "dcr",
        /// With the client id that is given.
        Manual = "manual",
        /// With the client id metadata document.
        Cimd = "cimd",
    }
);
words!(
    /// What is known of the tokens of a connection (reference, governance 5.4).
    TokenStatus, "token status", "`valid`, `expired` or `refresh_failed`",
    {
        /// The access token can be used.
        Valid = "valid",
        /// It has to be refreshed first.
        Expired = "expired",
        /// It cannot be refreshed: only a new authorization helps.
        RefreshFailed = "refresh_failed",
    }
);
words!(
    /// What becomes of a tool that a server did not list before (reference, governance 5.6).
    NewToolsPolicy, "policy for new tools", "`review`, `allow` or `block`",
    {
        /// Not allowed until somebody has looked at it.
        Review = "review",
        /// Allowed.
        Allow = "allow",
        /// Not allowed.
        Block = "block",
    }
);
words!(
    /// For whom the organisation's credential stands in (reference, governance 5.5).
    CredentialFallback, "credential fallback", "`on`, `service_only` or `off`",
    {
        /// For members without a working connection, and for agents that act for nobody.
        On = "on",
        /// For agents that act for nobody.
        ServiceOnly = "service_only",
        /// For nobody.
        Off = "off",
    }
);
words!(
    /// How we prove at the token endpoint who we are (RFC 7591 section 2).
    AuthMethod, "method of client authentication", "`none`, `client_secret_basic`, `client_secret_post` or `private_key_jwt`",
    {
        /// Not at all: a public client.
        None = "none",
        /// The client secret in the header `Authorization`.
        ClientSecretBasic = "client_secret_basic",
        /// The client secret in the body.
        ClientSecretPost = "client_secret_post",
        /// An assertion, signed with a private key (RFC 7523); the secret is the key, as PEM.
        PrivateKeyJwt = "private_key_jwt",
    }
);
words!(
    /// Which revisions of the protocol a server is spoken to in.
    ServerEra, "era", "`auto`, `legacy` or `modern`",
    {
        /// Find out.
        Auto = "auto",
        /// The revisions with `initialize`.
        Legacy = "legacy",
        /// 2026-07-28 and later.
        Modern = "modern",
    }
);
words!(
    /// How a connection came about (RFC 6749 sections 4.1 and 4.4).
    GrantKind, "kind of grant", "`authorization_code` or `client_credentials`",
    {
        /// A person consented.
        Code = "authorization_code",
        /// The client has rights of its own.
        Client = "client_credentials",
    }
);
words!(
    /// Which kind of token is to be revoked (RFC 7009 section 2.1).
    TokenHint, "kind of token", "`access_token` or `refresh_token`",
    {
        /// An access token.
        Access = "access_token",
        /// A refresh token.
        Refresh = "refresh_token",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written_and_others_are_none() {
        for status in ServerStatus::ALL {
            assert_eq!(ServerStatus::parse(status.as_str()), Ok(*status));
            assert_eq!(serde_json::to_string(status).unwrap(), format!("\"{status}\""));
        }
        assert_eq!(RegistrationMode::parse("auto").unwrap_err().rule(), "`dcr`, `manual`, `cimd` or `none`");
        assert!(RegistrationChoice::parse("none").is_err());
        for word in ["", "Valid", "valid ", "refresh-failed"] {
            assert!(TokenStatus::parse(word).is_err(), "{word}");
        }
        let all = [NewToolsPolicy::ALL.len(), CredentialFallback::ALL.len(), AuthMethod::ALL.len(), ServerEra::ALL.len()];
        assert_eq!(all, [3, 3, 4, 3]);
    }
}
