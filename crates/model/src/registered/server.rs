//! A server as somebody registers it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AllowedTools, AuthMethod, EndpointUrl, ExtraAuthParams, NewToolsPolicy, RegistrationChoice, Scopes, ServerEra, ServerUrl};
use crate::id::{InvalidId, text_id};
use crate::{ServerName, Subject};

/// Longest client id.
pub const CLIENT_ID_CHARS_MAX: usize = 2_048;

fn client_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= CLIENT_ID_CHARS_MAX && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

text_id!(
    /// What an issuer calls us (RFC 6749 appendix A.1): 1 to [`CLIENT_ID_CHARS_MAX`] printable ASCII characters.
    ClientId, "client id", client_text, "1 to 2048 printable ASCII characters"
);

/// Where an issuer is, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Its identifier.
    pub issuer: Option<EndpointUrl>,
    /// Where people consent.
    pub authorization: Option<EndpointUrl>,
    /// Where codes become tokens.
    pub token: Option<EndpointUrl>,
    /// Where tokens are given back (RFC 7009).
    pub revocation: Option<EndpointUrl>,
}

/// Whose authorization a connection is: of a person, or of the organisation itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// The organisation.
    Organisation,
    /// One person of it.
    Person(Subject),
}

impl Holder {
    /// What stands in the row: the subject, or nothing.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Organisation => "",
            Self::Person(sub) => sub.as_str(),
        }
    }

    /// Reads what stands in the row.
    ///
    /// # Errors
    /// [`InvalidId`] for a text that is neither empty nor a subject.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() { Ok(Self::Organisation) } else { Subject::parse(text).map(Self::Person) }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation => f.write_str("the organisation"),
            Self::Person(sub) => fmt::Display::fmt(sub, f),
        }
    }
}

/// A server that is to be registered. A client secret is given beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewServer {
    /// What agents and people call it.
    pub display_name: ServerName,
    /// Where it is.
    pub server_url: ServerUrl,
    /// How we should become known to its issuer.
    pub choice: RegistrationChoice,
    /// What is known of its issuer.
    pub endpoints: Endpoints,
    /// What the issuer calls us, when somebody registered us there.
    pub client_id: Option<ClientId>,
    /// How we prove that, when it is not to be found out.
    pub auth_method: Option<AuthMethod>,
    /// Which scopes to ask for; none: what the server says.
    pub scopes: Scopes,
    /// What to add to authorization requests.
    pub extra_auth_params: ExtraAuthParams,
    /// Which revisions to speak.
    pub era: ServerEra,
    /// Which tools are exposed; `None`: all that it lists when it is first asked.
    pub allowed_tools: Option<AllowedTools>,
    /// What becomes of tools that appear later.
    pub new_tools_policy: NewToolsPolicy,
}

impl NewServer {
    /// Whether what was given is enough for the way of registration.
    ///
    /// # Errors
    /// [`InvalidId`] for `manual` without issuer, endpoints or client id.
    pub fn check(&self) -> Result<(), InvalidId> {
        let given = &self.endpoints;
        let complete = given.issuer.is_some() && given.authorization.is_some() && given.token.is_some() && self.client_id.is_some();
        if self.choice != RegistrationChoice::Manual || complete {
            return Ok(());
        }
        let rule = "`manual` needs `oauth_issuer_url`, `authorization_endpoint`, `token_endpoint` and `client_id`";
        Err(InvalidId::new("registration", rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(choice: RegistrationChoice) -> NewServer {
        let url = |text| Some(EndpointUrl::parse(text, false).unwrap());
        NewServer {
            display_name: ServerName::parse("github").unwrap(),
            server_url: ServerUrl::parse("https://mcp.example.com", false).unwrap(),
            choice,
            endpoints: Endpoints {
                issuer: url("https://as.example.com"),
                authorization: url("https://as.example.com/authorize"),
                token: url("https://as.example.com/token"),
                revocation: None,
            },
            client_id: Some(ClientId::parse("abc").unwrap()),
            auth_method: None,
            scopes: Scopes::default(),
            extra_auth_params: ExtraAuthParams::default(),
            era: ServerEra::Auto,
            allowed_tools: None,
            new_tools_policy: NewToolsPolicy::Review,
        }
    }

    #[test]
    fn manual_needs_what_cannot_be_found_out() {
        assert!(server(RegistrationChoice::Manual).check().is_ok());
        type Take = fn(&mut NewServer);
        let takes: [Take; 4] = [
            |server| server.endpoints.issuer = None,
            |server| server.endpoints.authorization = None,
            |server| server.endpoints.token = None,
            |server| server.client_id = None,
        ];
        for take in takes {
            for choice in RegistrationChoice::ALL {
                let mut server = server(*choice);
                take(&mut server);
                assert_eq!(server.check().is_err(), *choice == RegistrationChoice::Manual, "{choice}");
            }
        }
    }

    #[test]
    fn client_ids_and_holders_are_texts() {
        let long = "x".repeat(CLIENT_ID_CHARS_MAX + 1);
        for bad in ["", "a\n", "é", &long] {
            assert!(ClientId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(ClientId::parse("https://gateway.example/oauth/client-metadata.json").is_ok());
        let ann = Holder::Person(Subject::parse("ann").unwrap());
        assert_eq!((Holder::parse("ann"), Holder::parse("")), (Ok(ann), Ok(Holder::Organisation)));
        assert!(Holder::parse("a b").is_err());
    }
}
