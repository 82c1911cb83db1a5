//! The authorization page and what a person decides there.

use http::{Response, StatusCode};
use url::Url;

use super::habits::Habits;
use super::http::{redirect, text};
use super::ledger::{Flow, Sent};
use super::{Desk, register};
use crate::upstream::http::Body;

pub(super) fn page(desk: &Desk, habits: &Habits, sent: &Sent) -> Response<Body> {
    let bad = |why: &str| text(StatusCode::BAD_REQUEST, why);
    let param = |name: &str| sent.param(name).unwrap_or_default();
    let mut ledger = desk.ledger();
    let Some(client) = register::client(&ledger, habits, param("client_id")) else { return bad("unknown client") };
    if !client.redirect_uris.iter().any(|known| known == param("redirect_uri")) {
        return bad("unknown callback");
    }
    let refuse = |code: &str| {
        redirect(&back(desk, habits, param("redirect_uri"), param("state"), &[("error", code), ("error_description", "the fake refuses")]))
    };
    if habits.dcr_only && !client.registered {
        return refuse("unauthorized_client");
    }
    if habits.rejects_scope && sent.param("scope").is_some() {
        return refuse("invalid_scope");
    }
    if param("response_type") != "code" || param("code_challenge_method") != "S256" || param("code_challenge").len() != 43 {
        return refuse("invalid_request");
    }
    if param("resource") != desk.resource(habits) {
        return refuse("invalid_target");
    }
    let asked: Vec<String> = param("scope").split(' ').filter(|one| !one.is_empty()).map(str::to_owned).collect();
    let flow = Flow {
        client_id: param("client_id").to_owned(),
        redirect_uri: param("redirect_uri").to_owned(),
        state: param("state").to_owned(),
        challenge: param("code_challenge").to_owned(),
        resource: param("resource").to_owned(),
        scopes: if asked.is_empty() { habits.default_scopes.clone() } else { asked },
        offline: param("access_type") == "offline" && param("prompt") == "consent",
    };
    let request = ledger.make("request");
    ledger.flows.insert(request.clone(), flow);
    text(StatusCode::OK, &format!("<form data-request=\"{request}\">Let it in?</form>"))
}

pub(super) fn decide(desk: &Desk, habits: &Habits, sent: &Sent) -> Response<Body> {
    let mut ledger = desk.ledger();
    let Some(flow) = ledger.flows.remove(sent.param("request").unwrap_or_default()) else {
        return text(StatusCode::NOT_FOUND, "no such request");
    };
    if sent.param("decision") != Some("approve") {
        return redirect(&back(desk, habits, &flow.redirect_uri, &flow.state, &[("error", "access_denied")]));
    }
    let code = ledger.mint("code", habits);
    let to = back(desk, habits, &flow.redirect_uri, &flow.state, &[("code", &code)]);
    ledger.codes.insert(code, flow);
    redirect(&to)
}

fn back(desk: &Desk, habits: &Habits, redirect_uri: &str, state: &str, params: &[(&str, &str)]) -> String {
    let mut url = Url::parse(redirect_uri).expect("a callback");
    url.query_pairs_mut().extend_pairs(params).append_pair("state", state);
    if habits.tells_iss {
        url.query_pairs_mut().append_pair("iss", &desk.issuer(habits));
    }
    url.into()
}
