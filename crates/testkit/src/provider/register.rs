//! Registration by request, and who is a client at all.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::Desk;
use super::habits::Habits;
use super::http::json as answer;
use super::ledger::{Client, Ledger, Sent};
use crate::upstream::http::Body;

pub(super) fn register(desk: &Desk, habits: &Habits, sent: &Sent) -> Response<Body> {
    let asked = sent.json();
    let redirects: Vec<String> = serde_json::from_value(asked["redirect_uris"].clone()).unwrap_or_default();
    let known = |one: &Value| one == "web" || one == "native";
    if redirects.is_empty() || !known(&asked["application_type"]) {
        return answer(StatusCode::BAD_REQUEST, &json!({"error": "invalid_client_metadata"}));
    }
    let mut ledger = desk.ledger();
    let client_id = ledger.make("client");
    let confidential = habits.registers_with_secret_until.is_some() || asked["token_endpoint_auth_method"] != "none";
    let secret = confidential.then(|| ledger.mint("secret", habits));
    let mut reply = json!({
        "client_id": client_id, "redirect_uris": redirects, "client_name": asked["client_name"],
        "token_endpoint_auth_method": asked["token_endpoint_auth_method"],
    });
    if let Some(secret) = &secret {
        if asked["token_endpoint_auth_method"] == "none" {
            reply["token_endpoint_auth_method"] = "client_secret_basic".into();
        }
        reply["client_secret"] = secret.as_str().into();
        reply["client_secret_expires_at"] = habits.registers_with_secret_until.unwrap_or(0).into();
    }
    ledger.clients.insert(client_id, Client { redirect_uris: redirects, secret, registered: true });
    answer(StatusCode::CREATED, &reply)
}

/// A client, however it came to be.
pub(super) fn client(ledger: &Ledger, habits: &Habits, id: &str) -> Option<Client> {
    if let Some(client) = ledger.clients.get(id) {
        return Some(client.clone());
    }
    if let Some(known) = habits.known_clients.iter().find(|known| known.id == id) {
        return Some(Client { redirect_uris: known.redirect_uris.clone(), secret: known.secret.clone(), registered: false });
    }
    let document = ledger.documents.get(id).filter(|document| habits.takes_documents && document["client_id"] == id)?;
    let redirect_uris = serde_json::from_value(document["redirect_uris"].clone()).ok()?;
    Some(Client { redirect_uris, secret: None, registered: false })
}
