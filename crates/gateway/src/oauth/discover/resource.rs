//! What a server says about itself (RFC 9728).

use bailiwick_mcp::Json;
use url::Url;

use super::Walk;
use crate::oauth::address::Address;
use crate::oauth::challenge::Challenge;
use crate::oauth::fault::{OAuthFault, Step};
use crate::oauth::{FaultKind, Settings, listed};

const STEP: Step = Step::ResourceMetadata;
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The document of a server, held against the server's address.
pub(super) struct ResourceMetadata {
    pub(super) resource: String,
    pub(super) issuers: Vec<String>,
    pub(super) scopes: Option<Vec<String>>,
}

impl Walk<'_> {
    /// The first document in the order of protocol reference 7.2; `None` when the server has none.
    pub(super) async fn resource(
        &mut self,
        server: &Address,
        challenge: Option<&Challenge>,
    ) -> Result<Option<ResourceMetadata>, OAuthFault> {
        let mut asked = Vec::new();
        if let Some(named) = challenge.and_then(|challenge| challenge.resource_metadata.as_deref()) {
            asked.push(self.address(STEP, "resource_metadata", named)?);
        }
        for guess in places(server) {
            if !asked.iter().any(|known: &Address| known.shown() == guess.shown()) {
                asked.push(guess);
            }
        }
        for place in asked {
            if let Some(document) = self.ask(STEP, &place).await? {
                return self.read(server, &place, &document).map(Some);
            }
        }
        Ok(None)
    }

    fn read(&mut self, server: &Address, place: &Address, document: &Json) -> Result<ResourceMetadata, OAuthFault> {
        let resource = document.text_of("resource").unwrap_or_default().into_owned();
        if !identifies(self.settings, &resource, server) {
            self.note(STEP, place.shown(), "a document about another resource", false);
            let message = format!("{}: `resource` does not name the server", place.shown());
            let remedy = "check `server_url`; if it is right, the operator of the server has to correct `resource`";
            return Err(OAuthFault::new(FaultKind::ResourceMismatch, STEP, message, remedy));
        }
        let issuers = listed::texts(document, "authorization_servers").filter(|issuers| !issuers.is_empty());
        let issuers = issuers.ok_or_else(|| {
            let message = format!("{}: `authorization_servers` names none", place.shown());
            OAuthFault::new(FaultKind::BadAnswer, STEP, message, "the operator of the server has to name its authorization server")
        })?;
        self.note(STEP, place.shown(), format!("the server's document; it names {} authorization server(s)", issuers.len()), true);
        Ok(ResourceMetadata { resource, issuers, scopes: listed::scopes(document, "scopes_supported") })
    }
}

/// The place for this path, and the one for the whole origin.
pub(crate) fn places(server: &Address) -> Vec<Address> {
    let root = server.beside(WELL_KNOWN.to_owned());
    let path = server.path();
    if path == "/" {
        return vec![root];
    }
    vec![server.beside(format!("{WELL_KNOWN}{}", path.trim_end_matches('/'))), root]
}

/// Whether `resource` is the server's address, or that of a place above it (RFC 9728 section 3.3, RFC 8707 section 2): same origin, and a path
/// that the server's begins with, segment by segment.
fn identifies(settings: &Settings, resource: &str, server: &Address) -> bool {
    let Ok(named) = settings.address(resource) else { return false };
    if !named.base.same_origin(&server.base) || named.target.contains('?') && named.target != server.target {
        return false;
    }
    let (above, path) = (named.path().trim_end_matches('/'), server.path());
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The address of a server as RFC 8707 wants it: scheme and host in lower case, no slash at the end when there is no path.
pub(crate) fn canonical(server: &Address) -> String {
    let text = Url::parse(server.as_str()).map_or_else(|_| server.as_str().to_owned(), String::from);
    if server.target == "/" { text.trim_end_matches('/').to_owned() } else { text }
}
