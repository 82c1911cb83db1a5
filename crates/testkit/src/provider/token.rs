//! The token endpoint.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::habits::{Habits, RefreshRule};
use super::http::{Answered, json as answer};
use super::ledger::{Family, Ledger, Sent};
use super::{Desk, register, repeat};
use crate::upstream::http::{Body, Cut};

/// A refusal: the code of RFC 6749, and the word of a provider that has its own.
struct Refused(&'static str, &'static str);

const INVALID_CLIENT: Refused = Refused("invalid_client", "incorrect_client_credentials");
const INVALID_CODE: Refused = Refused("invalid_grant", "bad_verification_code");
const INVALID_REFRESH: Refused = Refused("invalid_grant", "bad_refresh_token");
const INVALID_TARGET: Refused = Refused("invalid_target", "invalid_target");
const INVALID_REQUEST: Refused = Refused("invalid_request", "invalid_request");

pub(super) fn grant(desk: &Desk, habits: &Habits, sent: &Sent) -> Answered {
    let mut ledger = desk.ledger();
    let reply = client_of(&ledger, habits, sent).and_then(|client_id| match sent.field("grant_type") {
        Some("authorization_code") => code(desk, habits, sent, &client_id, &mut ledger),
        Some("refresh_token") => refresh(habits, sent, &client_id, &mut ledger),
        Some("client_credentials") => Ok(own(habits, sent, &client_id, &mut ledger)),
        _ => Err(INVALID_REQUEST),
    });
    if sent.field("grant_type") == Some("refresh_token") && ledger.losing > 0 {
        ledger.losing -= 1;
        return Err(Cut);
    }
    Ok(match reply {
        Ok(mut reply) => {
            if habits.repeats_credentials {
                repeat::in_grant(&mut reply, sent, habits.commas);
            }
            answer(StatusCode::OK, &reply)
        }
        Err(refused) => refusal(habits, &refused, sent),
    })
}

pub(super) fn revoke(desk: &Desk, habits: &Habits, sent: &Sent) -> Response<Body> {
    let mut ledger = desk.ledger();
    if let Err(refused) = client_of(&ledger, habits, sent) {
        return refusal(habits, &refused, sent);
    }
    ledger.revoke(sent.field("token").unwrap_or_default());
    let reply = if habits.repeats_credentials { json!({"told": repeat::told(&repeat::credentials(sent))}) } else { json!({}) };
    answer(StatusCode::OK, &reply)
}

fn refusal(habits: &Habits, refused: &Refused, sent: &Sent) -> Response<Body> {
    let word = if habits.refuses_with_ok { refused.1 } else { refused.0 };
    let mut reply = json!({"error": word, "error_description": "the fake refuses"});
    if habits.repeats_credentials {
        repeat::in_refusal(&mut reply, sent);
    }
    let status = match refused.0 {
        _ if habits.refuses_with_ok => StatusCode::OK,
        "invalid_client" => StatusCode::UNAUTHORIZED,
        _ => StatusCode::BAD_REQUEST,
    };
    answer(status, &reply)
}

/// Who sends this: proven in exactly one way, or public.
fn client_of(ledger: &Ledger, habits: &Habits, sent: &Sent) -> Result<String, Refused> {
    let basic = sent.header("authorization").and_then(|value| value.strip_prefix("Basic ")).and_then(decode_basic);
    let in_form = sent.field("client_secret").map(str::to_owned);
    if basic.is_some() && (in_form.is_some() || sent.field("client_id").is_some()) {
        // "multiple authentication methods"
        return Err(INVALID_REQUEST);
    }
    let asserted = sent.field("client_assertion").is_some();
    let (id, secret) = match basic {
        Some((id, secret)) => (id, Some(secret)),
        None => (sent.field("client_id").unwrap_or_default().to_owned(), in_form),
    };
    let client = register::client(ledger, habits, &id).ok_or(INVALID_CLIENT)?;
    // Whether an assertion holds is for the test to say, which keeps the key.
    if asserted && secret.is_none() || client.secret == secret { Ok(id) } else { Err(INVALID_CLIENT) }
}

pub(super) fn decode_basic(text: &str) -> Option<(String, String)> {
    let pair = String::from_utf8(BASE64.decode(text.as_bytes()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decoded = |part: &str| form_urlencoded::parse(part.as_bytes()).next().map(|(text, _)| text.into_owned());
    Some((decoded(id)?, decoded(secret)?))
}

fn code(desk: &Desk, habits: &Habits, sent: &Sent, client_id: &str, ledger: &mut Ledger) -> Result<Value, Refused> {
    let flow = ledger.codes.remove(sent.field("code").unwrap_or_default()).ok_or(INVALID_CODE)?;
    let verifier = sent.field("code_verifier").unwrap_or_default();
    if flow.client_id != client_id || sent.field("redirect_uri") != Some(&flow.redirect_uri) || s256(verifier) != flow.challenge {
        return Err(INVALID_CODE);
    }
    if sent.field("resource") != Some(&flow.resource) || flow.resource != desk.resource(habits) {
        return Err(INVALID_TARGET);
    }
    let gives_refresh = match habits.refresh {
        RefreshRule::Always => true,
        RefreshRule::OfflineParameters => flow.offline,
        RefreshRule::OfflineScope => flow.scopes.iter().any(|scope| scope == "offline_access"),
        RefreshRule::Never => false,
    };
    let refresh = gives_refresh.then(|| ledger.mint("refresh", habits));
    let family = Family {
        client_id: client_id.to_owned(),
        resource: flow.resource,
        scopes: flow.scopes,
        refresh: refresh.clone(),
        retired: std::collections::BTreeMap::new(),
        revoked: false,
    };
    ledger.families.push(family);
    let number = ledger.families.len() - 1;
    Ok(tokens(habits, ledger, number, refresh.as_deref()))
}

fn refresh(habits: &Habits, sent: &Sent, client_id: &str, ledger: &mut Ledger) -> Result<Value, Refused> {
    let given = sent.field("refresh_token").unwrap_or_default();
    let number = ledger.family_of(given).ok_or(INVALID_REFRESH)?;
    let family = &mut ledger.families[number];
    if family.revoked || family.client_id != client_id {
        return Err(INVALID_REFRESH);
    }
    if sent.field("resource") != Some(&family.resource) {
        return Err(INVALID_TARGET);
    }
    if let Some(reused) = family.retired.get_mut(given) {
        *reused += 1;
        if *reused > habits.reuse_grace {
            family.revoked = true;
            return Err(INVALID_REFRESH);
        }
    }
    if !habits.rotates {
        return Ok(tokens(habits, ledger, number, None));
    }
    let fresh = ledger.mint("refresh", habits);
    let family = &mut ledger.families[number];
    if let Some(old) = family.refresh.replace(fresh.clone()) {
        family.retired.entry(old).or_default();
    }
    Ok(tokens(habits, ledger, number, Some(&fresh)))
}

fn own(habits: &Habits, sent: &Sent, client_id: &str, ledger: &mut Ledger) -> Value {
    let asked = super::words(sent.field("scope").unwrap_or_default());
    ledger.families.push(Family {
        client_id: client_id.to_owned(),
        resource: sent.field("resource").unwrap_or_default().to_owned(),
        scopes: if asked.is_empty() { habits.default_scopes.clone() } else { asked },
        refresh: None,
        retired: std::collections::BTreeMap::new(),
        revoked: false,
    });
    let number = ledger.families.len() - 1;
    tokens(habits, ledger, number, None)
}

fn tokens(habits: &Habits, ledger: &mut Ledger, family: usize, refresh: Option<&str>) -> Value {
    let access = ledger.grant_access(family, habits);
    let scope = ledger.families[family].scopes.join(if habits.commas { "," } else { " " });
    let mut reply = json!({"access_token": access, "token_type": habits.token_type, "expires_in": habits.expires_in, "scope": scope});
    if let Some(refresh) = refresh {
        reply["refresh_token"] = refresh.into();
    }
    reply
}

/// RFC 7636 section 4.2.
fn s256(verifier: &str) -> String {
    BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes()))
}
