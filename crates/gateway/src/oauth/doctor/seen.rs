//! Quirks that show in metadata, whoever's they are.

use super::Probe;
use crate::oauth::Settings;
use crate::oauth::discover::{self, Discovered, Source};
use crate::oauth::fault::Step;
use crate::oauth::wire::{self, Looked};

/// The ids of those that were seen; `described` says whether the server describes itself.
pub(super) async fn in_metadata(
    settings: &Settings,
    server_url: &str,
    probe: &Probe,
    discovered: &Discovered,
    described: bool,
) -> Vec<&'static str> {
    let mut seen = of_issuer(discovered);
    if !described {
        seen.push("no_resource_metadata");
    }
    seen.extend(of_resource(settings, server_url, probe, discovered));
    if is_at_path_only(settings, server_url).await {
        seen.push("metadata_at_path_only");
    }
    seen
}

fn of_issuer(discovered: &Discovered) -> Vec<&'static str> {
    let Discovered { endpoints, capabilities, .. } = discovered;
    let described = discovered.source == Source::Metadata;
    let path = discovered.issuer.splitn(4, '/').nth(3).unwrap_or_default();
    let offers_refresh = capabilities.grant_types.as_ref().is_none_or(|types| types.iter().any(|one| one == "refresh_token"));
    let rows = [
        ("no_issuer_metadata", !described),
        ("no_registration", endpoints.registration.is_none() && !capabilities.client_id_metadata_document),
        ("no_document_clients", described && endpoints.registration.is_some() && !capabilities.client_id_metadata_document),
        ("issuer_with_path", described && !path.is_empty()),
        ("revocation_at_token_endpoint", endpoints.revocation.as_ref().is_some_and(|one| one.as_str() == endpoints.token.as_str())),
        ("no_refresh", described && !offers_refresh),
        ("no_iss", described && !capabilities.iss_in_callback),
    ];
    rows.into_iter().filter(|(_, applies)| *applies).map(|(id, _)| id).collect()
}

fn of_resource(settings: &Settings, server_url: &str, probe: &Probe, discovered: &Discovered) -> Vec<&'static str> {
    let scopes = discovered.scopes.as_deref().unwrap_or_default();
    let challenged = probe.challenge.as_ref().and_then(|challenge| challenge.scopes.as_deref()).unwrap_or_default();
    let above = settings.address(server_url).is_ok_and(|server| {
        let own = discover::canonical(&server);
        discovered.resource.trim_end_matches('/').len() < own.trim_end_matches('/').len()
    });
    let rows = [
        ("no_scopes_listed", scopes.is_empty() && challenged.is_empty()),
        ("address_scopes", scopes.iter().chain(challenged).any(|scope| scope.contains("://"))),
        ("resource_above", above),
    ];
    rows.into_iter().filter(|(_, applies)| *applies).map(|(id, _)| id).collect()
}

/// Whether the place for the path has a document, and the one for the origin has none.
async fn is_at_path_only(settings: &Settings, server_url: &str) -> bool {
    let Ok(server) = settings.address(server_url) else { return false };
    let places = discover::places(&server);
    let [at_path, at_root] = places.as_slice() else { return false };
    let mut found = [false; 2];
    for (place, found) in [at_path, at_root].into_iter().zip(&mut found) {
        *found = match wire::document(settings, place, Step::ResourceMetadata).await {
            Ok(Looked::Found(_)) => true,
            Ok(Looked::Absent(_)) => false,
            Err(_) => return false,
        };
    }
    found == [true, false]
}
