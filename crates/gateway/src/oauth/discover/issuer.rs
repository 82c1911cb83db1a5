//! What an authorization server says about itself (RFC 8414, OpenID Connect Discovery 1.0).

use bailiwick_mcp::Json;

use super::{Capabilities, Discovered, Endpoints, KnownEndpoints, Pkce, Source, Walk};
use crate::oauth::address::Address;
use crate::oauth::fault::{OAuthFault, Step};
use crate::oauth::{FaultKind, listed};

const STEP: Step = Step::IssuerMetadata;

/// An authorization server, without the resource.
pub(super) struct Issuer {
    issuer: String,
    endpoints: Endpoints,
    capabilities: Capabilities,
    source: Source,
}

impl Issuer {
    pub(super) fn into_discovered(self, resource: String, scopes: Option<Vec<String>>) -> Discovered {
        let Self { issuer, endpoints, capabilities, source } = self;
        Discovered { resource, issuer, endpoints, capabilities, scopes, source }
    }
}

impl Walk<'_> {
    /// The document of `issuer`; what is written down when it has none.
    ///
    /// # Errors
    /// `MetadataMissing` when there is neither, `IssuerMismatch` when there are documents, and all of them are about others.
    pub(super) async fn issuer(&mut self, issuer: &str, known: Option<&KnownEndpoints>) -> Result<Issuer, OAuthFault> {
        let own = self.address(STEP, "authorization_servers", issuer)?;
        if own.target.contains('?') {
            let message = "an issuer has a query";
            return Err(OAuthFault::new(
                FaultKind::AddressRefused,
                STEP,
                message,
                "the operator of the server has to correct its metadata",
            ));
        }
        let mut foreign = false;
        for place in well_known(&own) {
            let Some(document) = self.ask(STEP, &place).await? else { continue };
            if document.text_of("issuer").as_deref() != Some(issuer) {
                self.note(STEP, place.shown(), "a document about another issuer", false);
                foreign = true;
                continue;
            }
            let read = self.read_issuer(issuer, &document)?;
            self.note(STEP, place.shown(), "the issuer's document", true);
            return Ok(read);
        }
        if foreign {
            let message = format!("the documents of {} are about another issuer", own.shown());
            let remedy = "the operator has to make `issuer` and `authorization_servers` the same, letter by letter";
            return Err(OAuthFault::new(FaultKind::IssuerMismatch, STEP, message, remedy));
        }
        match known {
            Some(known) => self.written_down(known),
            None => Err(missing(&own.shown())),
        }
    }

    fn read_issuer(&mut self, issuer: &str, document: &Json) -> Result<Issuer, OAuthFault> {
        let endpoints = Endpoints {
            authorization: self.required(document, "authorization_endpoint")?,
            token: self.required(document, "token_endpoint")?,
            registration: self.optional(document, "registration_endpoint")?,
            revocation: self.optional(document, "revocation_endpoint")?,
        };
        let flag = |name: &str| document.member(name).and_then(|value| value.boolean()) == Some(true);
        let methods = listed::texts(document, "code_challenge_methods_supported").unwrap_or_default();
        let capabilities = Capabilities {
            pkce: if methods.iter().any(|method| method == "S256") { Pkce::S256 } else { Pkce::Missing },
            client_id_metadata_document: flag("client_id_metadata_document_supported"),
            iss_in_callback: flag("authorization_response_iss_parameter_supported"),
            auth_methods: listed::texts(document, "token_endpoint_auth_methods_supported"),
            grant_types: listed::texts(document, "grant_types_supported"),
            scopes: listed::scopes(document, "scopes_supported"),
        };
        Ok(Issuer { issuer: issuer.to_owned(), endpoints, capabilities, source: Source::Metadata })
    }

    fn written_down(&mut self, known: &KnownEndpoints) -> Result<Issuer, OAuthFault> {
        let revocation = known.revocation_endpoint.as_deref().map(|text| self.address(STEP, "revocation_endpoint", text)).transpose()?;
        let endpoints = Endpoints {
            authorization: self.address(STEP, "authorization_endpoint", &known.authorization_endpoint)?,
            token: self.address(STEP, "token_endpoint", &known.token_endpoint)?,
            registration: None,
            revocation,
        };
        self.note(STEP, known.issuer.clone(), "no document; endpoints as they were written down", true);
        let capabilities = Capabilities { pkce: Pkce::Assumed, ..Capabilities::default() };
        Ok(Issuer { issuer: known.issuer.clone(), endpoints, capabilities, source: Source::Known })
    }

    fn required(&mut self, document: &Json, member: &str) -> Result<Address, OAuthFault> {
        self.optional(document, member)?.ok_or_else(|| {
            let message = format!("the issuer's document has no `{member}`");
            OAuthFault::new(FaultKind::BadAnswer, STEP, message, "the operator of the authorization server has to complete its metadata")
        })
    }

    fn optional(&mut self, document: &Json, member: &str) -> Result<Option<Address>, OAuthFault> {
        let Some(value) = document.member(member).filter(|value| !value.is_null()) else { return Ok(None) };
        let text = value.string().unwrap_or_default();
        self.address(STEP, member, &text).map(Some)
    }
}

/// The places of protocol reference 7.2, in their order.
fn well_known(own: &Address) -> Vec<Address> {
    let (path, at) = (own.path().trim_end_matches('/'), |target: String| own.beside(target));
    let mut places =
        vec![at(format!("/.well-known/oauth-authorization-server{path}")), at(format!("/.well-known/openid-configuration{path}"))];
    if !path.is_empty() {
        places.push(at(format!("{path}/.well-known/openid-configuration")));
    }
    places
}

/// The paths that revision 2025-03-26 gives to servers without metadata. It requires PKCE of all of them.
pub(super) fn defaults(server: &Address) -> Issuer {
    let endpoints = Endpoints {
        authorization: server.beside("/authorize".to_owned()),
        token: server.beside("/token".to_owned()),
        registration: Some(server.beside("/register".to_owned())),
        revocation: None,
    };
    let capabilities = Capabilities { pkce: Pkce::Assumed, ..Capabilities::default() };
    Issuer { issuer: server.base.origin(), endpoints, capabilities, source: Source::Defaults }
}

pub(super) fn missing(place: &str) -> OAuthFault {
    let message = format!("{place} has no authorization server metadata");
    let remedy = "register the server by hand, with issuer, authorization endpoint and token endpoint";
    OAuthFault::new(FaultKind::MetadataMissing, STEP, message, remedy)
}
