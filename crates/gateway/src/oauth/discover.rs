//! From the address of a server to the endpoints of its authorization server (protocol reference 7.2, RFC 9728, RFC 8414, OpenID Connect
//! Discovery 1.0).
//!
//! What the server says about itself has to be about this server, and what the authorization server says about itself about this issuer;
//! else it is not used. Whoever cannot be reached ends the search: looking elsewhere would let an outage choose the authorization server.

mod issuer;
mod resource;

use std::time::Duration;

use super::address::Address;
use super::challenge::Challenge;
use super::fault::{OAuthFault, Step};
use super::wire::{self, Looked};
use super::{FaultKind, Settings};

pub(crate) use resource::{canonical, places};

/// Everything together.
const DISCOVERY_MAX: Duration = Duration::from_secs(30);
/// Most documents that are asked for.
const DOCUMENTS_MAX: usize = 16;
/// Most authorization servers of one resource that are tried.
const ISSUERS_MAX: usize = 4;

/// What is known before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Query<'q> {
    /// The server.
    pub(crate) server_url: &'q str,
    /// What it said to a request without a token, if it was asked.
    pub(crate) challenge: Option<&'q Challenge>,
    /// The issuer whose client we are already: taken if the server still names it, wherever in its list.
    pub(crate) preferred_issuer: Option<&'q str>,
    /// Endpoints that an operator or a profile knows. Metadata wins over them.
    pub(crate) known: Option<&'q KnownEndpoints>,
}

/// Endpoints that somebody wrote down.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownEndpoints {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: String,
    pub(crate) token_endpoint: String,
    #[serde(default)]
    pub(crate) revocation_endpoint: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Discovered {
    /// What tokens are asked for (RFC 8707): the server's own spelling, or its canonical address when it gave none.
    pub(crate) resource: String,
    /// Compared as a string wherever it comes up again.
    pub(crate) issuer: String,
    pub(crate) endpoints: Endpoints,
    pub(crate) capabilities: Capabilities,
    /// `scopes_supported` of the server; `None` when it gave none.
    pub(crate) scopes: Option<Vec<String>>,
    /// Where the endpoints come from.
    pub(crate) source: Source,
}

/// Checked addresses of an authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoints {
    pub(crate) authorization: Address,
    pub(crate) token: Address,
    pub(crate) registration: Option<Address>,
    pub(crate) revocation: Option<Address>,
}

/// What an authorization server can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub(crate) pkce: Pkce,
    /// It takes the address of a document as client id.
    pub(crate) client_id_metadata_document: bool,
    /// It promises `iss` in every callback (RFC 9207).
    pub(crate) iss_in_callback: bool,
    /// `token_endpoint_auth_methods_supported`; `None` when it gave none.
    pub(crate) auth_methods: Option<Vec<String>>,
    /// `grant_types_supported`; `None` when it gave none.
    pub(crate) grant_types: Option<Vec<String>>,
    /// `scopes_supported` of the authorization server; `None` when it gave none.
    pub(crate) scopes: Option<Vec<String>>,
}

/// What is known about PKCE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pkce {
    /// `S256` is promised.
    S256,
    /// There was no document to promise anything: endpoints that a person wrote down, or those of revision 2025-03-26, which requires PKCE.
    Assumed,
    /// There is a document, and it does not promise `S256`.
    #[default]
    Missing,
}

/// Where the endpoints come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The authorization server's own document.
    Metadata,
    /// [`Query::known`].
    Known,
    /// The three paths of revision 2025-03-26 at the server's origin.
    Defaults,
}

/// One question and its answer in words, for people. Never a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) step: Step,
    /// What was asked: an address without query, or a member of a document.
    pub(crate) asked: String,
    /// What came back.
    pub(crate) answer: String,
    /// Whether it was of use.
    pub(crate) useful: bool,
}

/// Finds the authorization server of a server. What is asked on the way goes to `findings`, also when it fails.
///
/// # Errors
/// [`OAuthFault`]; with `Unreachable` nothing is known, with the others the server cannot be connected as it is.
pub(crate) async fn discover(settings: &Settings, query: Query<'_>, findings: &mut Vec<Finding>) -> Result<Discovered, OAuthFault> {
    let mut walk = Walk { settings, findings, documents: 0, plain: false };
    let walking = Box::pin(walk.run(query));
    tokio::time::timeout(DISCOVERY_MAX, walking).await.unwrap_or_else(|_| {
        let message = format!("the metadata could not be read within {} seconds", DISCOVERY_MAX.as_secs());
        Err(OAuthFault::new(FaultKind::Unreachable { sent: false }, Step::IssuerMetadata, message, "try again later"))
    })
}

struct Walk<'w> {
    settings: &'w Settings,
    findings: &'w mut Vec<Finding>,
    documents: usize,
    /// Whether the server itself is at a plain address of this machine; only such a one may name others.
    plain: bool,
}

impl Walk<'_> {
    async fn run(&mut self, query: Query<'_>) -> Result<Discovered, OAuthFault> {
        let server = self.settings.address(query.server_url).map_err(|rule| {
            let message = format!("the address of the server {rule}");
            OAuthFault::new(FaultKind::BadInput, Step::ResourceMetadata, message, "correct `server_url`")
        })?;
        self.plain = server.is_plain();
        match self.resource(&server, query.challenge).await? {
            Some(own) => self.named(&own, query).await,
            None => self.unnamed(&server, query).await,
        }
    }

    /// The server names its authorization servers.
    async fn named(&mut self, own: &resource::ResourceMetadata, query: Query<'_>) -> Result<Discovered, OAuthFault> {
        let preferred = query.preferred_issuer.filter(|issuer| own.issuers.iter().any(|one| one == issuer));
        let candidates: Vec<&str> = match preferred {
            Some(issuer) => vec![issuer],
            None => own.issuers.iter().take(ISSUERS_MAX).map(String::as_str).collect(),
        };
        let mut first = None;
        for issuer in candidates {
            let known = query.known.filter(|known| known.issuer == issuer);
            match self.issuer(issuer, known).await {
                Ok(found) => return Ok(found.into_discovered(own.resource.clone(), own.scopes.clone())),
                Err(fault) if fault.kind == FaultKind::MetadataMissing => first = first.or(Some(fault)),
                Err(fault) => return Err(fault),
            }
        }
        Err(first.unwrap_or_else(|| issuer::missing(own.resource.as_str())))
    }

    /// The server says nothing about itself: what was written down, or the way of revision 2025-03-26.
    async fn unnamed(&mut self, server: &Address, query: Query<'_>) -> Result<Discovered, OAuthFault> {
        let resource = canonical(server);
        if let Some(known) = query.known {
            let found = self.issuer(&known.issuer, Some(known)).await?;
            return Ok(found.into_discovered(resource, None));
        }
        let origin = server.base.origin();
        match self.issuer(&origin, None).await {
            Ok(found) => Ok(found.into_discovered(resource, None)),
            Err(fault) if fault.kind == FaultKind::MetadataMissing => Ok(issuer::defaults(server).into_discovered(resource, None)),
            Err(fault) => Err(fault),
        }
    }

    /// Asks for one document and notes what came back.
    async fn ask(&mut self, step: Step, address: &Address) -> Result<Option<bailiwick_mcp::Json>, OAuthFault> {
        if self.documents == DOCUMENTS_MAX {
            let message = format!("more than {DOCUMENTS_MAX} documents were needed");
            return Err(OAuthFault::new(FaultKind::Limit, step, message, "register the server by hand, with its endpoints"));
        }
        self.documents += 1;
        match wire::document(self.settings, address, step).await {
            Ok(Looked::Found(json)) => Ok(Some(json)),
            Ok(Looked::Absent(words)) => {
                self.note(step, address.shown(), words, false);
                Ok(None)
            }
            Err(fault) => {
                self.note(step, address.shown(), fault.message.clone(), false);
                Err(fault)
            }
        }
    }

    fn note(&mut self, step: Step, asked: impl Into<String>, answer: impl Into<String>, useful: bool) {
        self.findings.push(Finding { step, asked: asked.into(), answer: answer.into(), useful });
    }

    /// An address that a document names.
    fn address(&mut self, step: Step, member: &str, text: &str) -> Result<Address, OAuthFault> {
        let read = self.settings.address(text).and_then(|address| {
            let plain_from_elsewhere = address.is_plain() && !self.plain;
            if plain_from_elsewhere { Err("leads to the gateway's own machine") } else { Ok(address) }
        });
        read.map_err(|rule| {
            self.note(step, member, format!("the address {rule}"), false);
            let remedy = "do not connect this server before its operator has corrected its metadata";
            OAuthFault::new(FaultKind::AddressRefused, step, format!("the address in `{member}` {rule}"), remedy)
        })
    }
}
