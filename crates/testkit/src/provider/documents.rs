//! What server and authorization server say about themselves.

use serde_json::{Value, json};

use super::Desk;
use super::habits::{Habits, IssuerPlace, ResourcePlaces, Revocation};

const RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// The document at `path`.
pub(super) fn find(desk: &Desk, habits: &Habits, path: &str) -> Option<Value> {
    let at_path = format!("{RESOURCE}{}", habits.mcp_path.trim_end_matches('/'));
    let places = habits.resource_places;
    let has_path = matches!(places, ResourcePlaces::Both | ResourcePlaces::PathOnly);
    let has_root = matches!(places, ResourcePlaces::Both | ResourcePlaces::RootOnly);
    if path == at_path && has_path || path == RESOURCE && has_root {
        return Some(resource(desk, habits));
    }
    let base = &habits.issuer_path;
    let at = match habits.issuer_place {
        IssuerPlace::OAuth => format!("/.well-known/oauth-authorization-server{base}"),
        IssuerPlace::OpenId => format!("/.well-known/openid-configuration{base}"),
        IssuerPlace::OpenIdBehind => format!("{base}/.well-known/openid-configuration"),
        IssuerPlace::Nowhere => return None,
    };
    (path == at).then(|| issuer(desk, habits))
}

/// Where a challenge points to.
pub(super) fn address(desk: &Desk, habits: &Habits) -> String {
    let path = if habits.resource_places == ResourcePlaces::RootOnly { "" } else { habits.mcp_path.trim_end_matches('/') };
    format!("{}{RESOURCE}{path}", desk.origin())
}

fn resource(desk: &Desk, habits: &Habits) -> Value {
    let mut document = json!({
        "resource": desk.resource(habits),
        "authorization_servers": [format!("{}{}", desk.origin(), habits.issuer_path)],
        "bearer_methods_supported": ["header"],
    });
    if let Some(scopes) = &habits.scopes {
        document["scopes_supported"] = json!(scopes);
    }
    document
}

fn issuer(desk: &Desk, habits: &Habits) -> Value {
    let at = |path: &str| format!("{}{}{path}", desk.origin(), habits.issuer_path);
    let mut document = json!({
        "issuer": desk.issuer(habits),
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
    });
    let optional = [
        ("registration_endpoint", habits.registers.then(|| json!(at("/register")))),
        ("client_id_metadata_document_supported", habits.takes_documents.then_some(Value::Bool(true))),
        ("authorization_response_iss_parameter_supported", habits.tells_iss.then_some(Value::Bool(true))),
        ("token_endpoint_auth_methods_supported", habits.auth_methods.as_ref().map(|methods| json!(methods))),
        ("scopes_supported", habits.issuer_scopes.as_ref().map(|scopes| json!(scopes))),
        (
            "revocation_endpoint",
            match habits.revocation {
                Revocation::Own => Some(json!(at("/revoke"))),
                Revocation::AtToken => Some(json!(at("/token"))),
                Revocation::Nowhere => None,
            },
        ),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            document[name] = value;
        }
    }
    for (name, value) in &habits.issuer_members {
        if value.is_null() {
            document.as_object_mut().expect("an object").remove(name);
        } else {
            document[name] = value.clone();
        }
    }
    document
}
