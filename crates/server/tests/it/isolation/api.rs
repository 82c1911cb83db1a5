//! One operation of the management API: as its document describes it, or with something in it that is not the attacker's.

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::Full;
use serde_json::{Value, json};

use super::attack::{Attack, Hands};
use super::dice::Dice;
use super::document::Operation;
use super::faces::segment;
use super::fill::IDEMPOTENCY;
use super::pool::{HOSTILE, Kind, TWIN_PERCENT, TWINS, is_crew};
use super::tally::{Face, Outcome};
use super::world::{ACME, BELLUM};

/// Headers by which other systems choose an organisation.
const CHOOSERS: [&str; 4] = ["x-org", "x-tenant-id", "x-bailiwick-org", "x-roboto-org-id"];
/// Who is made somebody above organisations, and dismissed again; he has no key.
const RISING: &str = "carol";

/// A request.
struct Drawn {
    key: Option<String>,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    /// Whether the path names the other organisation.
    abroad: bool,
    /// Whether it names something that only the other organisation has.
    theirs: bool,
}

pub(crate) async fn one(attack: &Attack, hands: &mut Hands, dice: &mut Dice, number: usize) {
    let operation = &attack.operations[number % attack.operations.len()];
    let round = number / attack.operations.len();
    if round.is_multiple_of(2) {
        let drawn = honestly(attack, dice, operation);
        // What is put can be removed from the same place.
        let put = attack.operations.iter().find(|other| other.method == "PUT" && other.path == operation.path);
        if let Some(put) = put.filter(|_| operation.method == "DELETE") {
            let body = put.body.as_ref().map(|body| example(dice, body));
            let made =
                Drawn { key: drawn.key.clone(), target: drawn.target.clone(), headers: Vec::new(), body, abroad: false, theirs: false };
            send(attack, hands, put, made).await;
        }
        send(attack, hands, operation, drawn).await;
    } else {
        let drawn = hostilely(attack, dice, operation, round);
        send(attack, hands, operation, drawn).await;
    }
}

async fn send(attack: &Attack, hands: &mut Hands, operation: &Operation, drawn: Drawn) {
    let Drawn { key, target, headers, body, abroad, theirs } = drawn;
    let asked = format!("{} {target} {headers:?} {body:?}", operation.method);
    let mut request = hands.wire.request(key.as_deref()).method(operation.method.as_str());
    // Not every text is an address; those that are none go out as one name.
    let address: http::Uri = target.parse().unwrap_or_else(|_| format!("/{}", segment(&target)).parse().unwrap());
    request = request.uri(address);
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            request = request.header(name, value);
        }
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let told = hands.wire.send(request.body(Full::new(Bytes::from(body.unwrap_or_default()))).unwrap()).await;
    // Whoever is above organisations may see them all.
    let is_above = key.as_deref() == Some(attack.above.as_str());
    if !is_above {
        attack.check(&asked, &told.everything());
    }
    let shown = || format!("{asked} gave {}: {}", told.status, String::from_utf8_lossy(&told.body));
    attack.tally.answered(told.status, shown);
    // 403 would say that it is there.
    assert!(!abroad || (told.status >= 400 && told.status != 403), "{}", shown());
    assert!(!theirs || told.status >= 400, "{}", shown());
    assert!(is_above || !is_of_others(&told.json()), "{}", shown());
    attack.tally.note(Face::Api, &operation.name, Outcome::of(told.status < 300));
    if told.status < 300 && !is_above {
        attack.pool.harvest(&operation.path, &told.json());
    }
}

/// Whether an answer is, or lists, something that says itself whose it is.
fn is_of_others(answer: &Value) -> bool {
    let listed = answer["items"].as_array().into_iter().flatten();
    listed.chain([answer]).any(|one| one["org"] == BELLUM.org)
}

/// Who may, what is his own, and a body like the example.
fn honestly(attack: &Attack, dice: &mut Dice, operation: &Operation) -> Drawn {
    let who = dice.one(may(&operation.role));
    let key = if operation.is_above() { attack.above.clone() } else { attack.key(who).to_owned() };
    let mut target = operation.path.clone();
    let twin = attack.operations.iter().any(|other| other.method == "PUT" && other.path == operation.path);
    for (place, (name, kind)) in operation.places.iter().enumerate() {
        let is_last = place + 1 == operation.places.len();
        let value = match kind {
            Kind::Org => ACME.org.to_owned(),
            Kind::Sub if operation.is_above() => RISING.to_owned(),
            _ if operation.reads() => attack.pool.own(dice, *kind).unwrap_or_default(),
            Kind::Secret if operation.method == "PUT" || twin => dice.fresh().to_uppercase().replace('-', "_"),
            _ if operation.method == "DELETE" && is_last && !twin => attack.pool.taken(dice, *kind).unwrap_or_else(|| dice.fresh()),
            _ => attack.pool.expendable(dice, *kind).unwrap_or_else(|| dice.fresh()),
        };
        target = target.replace(&format!("{{{name}}}"), &segment(&value));
    }
    if operation.is_list() && dice.percent(60) {
        target.push_str(&format!("?limit={}", 1 + dice.below(60)));
    }
    let body = operation.body.as_ref().map(|body| example(dice, body));
    let named = operation.headers.iter().any(|name| name == "Idempotency-Key") && dice.percent(20);
    let headers = if named { vec![("idempotency-key".to_owned(), dice.fresh())] } else { Vec::new() };
    Drawn { key: Some(key), target, headers, body, abroad: false, theirs: false }
}

/// Who of the crew has a good chance of being let through.
fn may(role: &str) -> &'static [&'static str] {
    match role {
        "credential" | "member" => &["worker", "mia", "bob", "lee", "gil", "ann"],
        "person" => &["mia", "bob", "lee", "gil", "ann"],
        "himself" | "group" => &["gil", "ann", "ann"],
        "group_admin" => &["gil", "ann"],
        "registrar" | "org_admin" | "platform_admin" => &["ann"],
        other => panic!("the document knows a role that isolation/api.rs does not: {other}"),
    }
}

/// The example with names that nobody had before, or that somebody over there has.
fn example(dice: &mut Dice, body: &Value) -> String {
    let name = if dice.percent(TWIN_PERCENT) { dice.one(&TWINS).to_owned() } else { dice.fresh() };
    // A place that answers at once that nobody is there.
    body.to_string().replace("new-1", &name).replace("https://10.0.0.7/mcp", "http://127.0.0.1:1/mcp")
}

/// What is wrong with a hostile request: one thing only, so that nothing else stands in its way, or anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// Somebody who may do it at home does it at the other organisation.
    Org,
    /// Somebody who may do it at home names something that the other has.
    Name,
    Anything,
}

fn hostilely(attack: &Attack, dice: &mut Dice, operation: &Operation, round: usize) -> Drawn {
    let (who, key) = attack.in_round(dice, round);
    let powerless = !attack.is_crew(&who);
    let wrong = if powerless { Wrong::Anything } else { [Wrong::Org, Wrong::Name, Wrong::Anything][dice.below(3)] };
    let key = if wrong == Wrong::Anything { key } else { Some(attack.key(dice.one(may(&operation.role))).to_owned()) };
    let org = match (wrong, dice.below(10)) {
        (Wrong::Org, _) | (Wrong::Anything, 0..5) => BELLUM.org,
        (Wrong::Name, _) | (_, 5..9) => ACME.org,
        _ => dice.one(&HOSTILE),
    };
    let (mut target, mut theirs) = (operation.path.clone(), false);
    for (name, kind) in &operation.places {
        let value = if *kind == Kind::Org { org.to_owned() } else { strange(attack, dice, operation, *kind, (wrong, org)) };
        theirs |= kind.is_drawn() && attack.pool.is_theirs(*kind, &value);
        // Now and then as it is, so that it can be more than one name.
        let raw = wrong == Wrong::Anything && *kind != Kind::Org && dice.percent(10);
        target = target.replace(&format!("{{{name}}}"), &if raw { value } else { segment(&value) });
    }
    let headers = headers(dice, operation);
    if wrong == Wrong::Anything || operation.is_list() {
        target.push_str(&query(attack, dice, operation));
    }
    let twists = wrong == Wrong::Anything || operation.places.len() < 2;
    let body = operation.body.as_ref().map(|body| if twists { twisted(attack, dice, body) } else { example(dice, body) });
    Drawn { key, target, headers, body, abroad: org == BELLUM.org && operation.path.contains("{org}"), theirs }
}

fn headers(dice: &mut Dice, operation: &Operation) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for name in &operation.headers {
        let value = if name == "If-Match" { dice.one(&["\"1\"", "\"2\"", "\"7\"", "*"]) } else { dice.one(&IDEMPOTENCY) };
        if dice.percent(30) {
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }
    if dice.percent(20) {
        headers.push((dice.one(&CHOOSERS).to_owned(), BELLUM.org.to_owned()));
    }
    headers
}

/// A value for a place of the path; at home nothing is changed that the attackers need.
fn strange(attack: &Attack, dice: &mut Dice, operation: &Operation, kind: Kind, (wrong, org): (Wrong, &str)) -> String {
    let theirs = if wrong == Wrong::Anything { None } else { attack.pool.theirs(dice, kind) };
    let value = theirs.unwrap_or_else(|| attack.pool.any(dice, kind));
    // Whoever made one of the name that only they have would hide theirs behind it.
    let hides = operation.method == "PUT" && value.eq_ignore_ascii_case(BELLUM.only);
    let needed = hides || is_crew(&value) || (kind == Kind::Key && attack.pool.home.get(&kind).is_some_and(|home| home.contains(&value)));
    if org == ACME.org && !operation.reads() && needed { dice.fresh() } else { value }
}

fn query(attack: &Attack, dice: &mut Dice, operation: &Operation) -> String {
    let mut query = String::new();
    for name in &operation.query {
        if !dice.percent(35) {
            continue;
        }
        let value = match (Kind::of_member(&operation.path, name), name.as_str()) {
            (Some(kind), _) => attack.pool.any(dice, kind),
            (None, "limit") => dice.one(&["1", "5", "500", "0", "x"]).to_owned(),
            (None, "ok") => dice.one(&["true", "false", "1"]).to_owned(),
            _ => dice.one(&[BELLUM.org, "call", "key create", "2001-01-01T00:00:00Z", "reader", "x"]).to_owned(),
        };
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(&format!("{name}={}", segment(&value)));
    }
    if dice.percent(5) {
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str("org=bellum");
    }
    query
}

/// The example with members changed, added or left out.
fn twisted(attack: &Attack, dice: &mut Dice, body: &Value) -> String {
    let mut body: Value = serde_json::from_str(&example(dice, body)).unwrap();
    let Some(members) = body.as_object_mut() else { return body.to_string() };
    let names: Vec<String> = members.keys().cloned().collect();
    let name = dice.text(&names).unwrap_or_default();
    match dice.below(6) {
        0..3 => {
            let kind = Kind::of_member("", &name).unwrap_or(Kind::Sub);
            let value = attack.pool.any(dice, kind);
            members.insert(name, json!(if value == BELLUM.only { dice.fresh() } else { value }));
        }
        3 => {
            members.insert(dice.one(&["org", "tenant_id", "org_id", "sub", "group"]).to_owned(), json!(BELLUM.org));
        }
        4 if members.contains_key("owner") => {
            members.insert("owner".into(), json!({"group": attack.pool.any(dice, Kind::Group)}));
        }
        4 => drop(members.remove(&name)),
        _ => {}
    }
    body.to_string()
}
