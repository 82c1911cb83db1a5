//! One message to the MCP endpoint, in either era: as an honest client would send it, or with something of the other organisation in it.

use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};

use super::attack::{Attack, Hands, POWERLESS_ROUND};
use super::dice::Dice;
use super::pool::Kind;
use super::tally::{Face, Outcome};
use super::tools;
use super::wire::Told;

/// Methods beside calls of tools, and the era in which alone they exist.
pub(crate) const METHODS: [(&str, Option<Era>); 16] = [
    ("tools/list", None),
    ("prompts/list", None),
    ("prompts/get", None),
    ("resources/list", None),
    ("resources/templates/list", None),
    ("resources/read", None),
    ("completion/complete", None),
    ("server/discover", Some(Era::Modern)),
    ("initialize", Some(Era::Legacy)),
    ("ping", Some(Era::Legacy)),
    ("logging/setLevel", Some(Era::Legacy)),
    ("resources/subscribe", Some(Era::Legacy)),
    ("resources/unsubscribe", Some(Era::Legacy)),
    ("notifications/cancelled", Some(Era::Legacy)),
    // Not of JSON-RPC: what is done to sessions and streams.
    ("GET", Some(Era::Legacy)),
    ("DELETE", Some(Era::Legacy)),
];
/// Tools are called so many times as often as any other method.
const CALLS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    Modern,
    Legacy,
}

/// A message on its way.
pub(crate) struct Message {
    /// As the tally names it.
    name: String,
    method: String,
    params: Value,
    era: Era,
    path: &'static str,
    who: String,
    key: Option<String>,
    session: Option<String>,
}

pub(crate) async fn one(attack: &Attack, hands: &mut Hands, dice: &mut Dice, number: usize) {
    let kinds = attack.tools.len() * CALLS + METHODS.len();
    let round = number / kinds;
    let honest = round.is_multiple_of(2);
    let (method, only) = match (number % kinds).checked_sub(attack.tools.len() * CALLS) {
        Some(other) => METHODS[other],
        None => ("tools/call", None),
    };
    let era = only.unwrap_or(if dice.percent(60) { Era::Modern } else { Era::Legacy });
    // Every other hostile message has one thing wrong with it only, so that nothing else stands in its way.
    let single = !honest && round % POWERLESS_ROUND != 1 && dice.percent(50);
    let (who, key) = if honest || single { ("ann".to_owned(), Some(attack.key("ann").to_owned())) } else { attack.in_round(dice, round) };
    let mut message = Message { name: method.into(), method: method.into(), params: json!({}), era, path: "/mcp", who, key, session: None };
    if method == "tools/call" {
        let tool = &attack.tools[number % attack.tools.len()];
        if honest { prepare(attack, hands, dice, &mut message, tool).await } else { call(attack, dice, &mut message, tool, single) }
    } else {
        message.params = params(attack, dice, method, honest);
    }
    if era == Era::Legacy {
        message.session = session(attack, hands, &message).await;
    }
    // One's own session and its stream are left in peace.
    if !honest && (matches!(method, "GET" | "DELETE" | "ping") || !single) {
        twist(attack, dice, &mut message);
    }
    if honest && matches!(method, "GET" | "DELETE") {
        // The stream would stay open, and the session is needed.
        return;
    }
    let told = send(attack, hands, dice, &message).await;
    attack.tally.note(Face::Mcp, &message.name, Outcome::of(is_done(&told)));
    harvest(attack, hands, &message, &told);
}

/// A call of `tool` that has everything it needs.
async fn prepare(attack: &Attack, hands: &mut Hands, dice: &mut Dice, message: &mut Message, tool: &str) {
    message.name = format!("tools/call {tool}");
    let arguments = tools::arguments(attack, dice, tool);
    for (tool, arguments) in tools::before(tool, &arguments) {
        let params = json!({"name": tool, "arguments": arguments});
        let (who, key) = (message.who.clone(), message.key.clone());
        let first =
            Message { name: tool.into(), method: "tools/call".into(), params, era: Era::Modern, path: "/mcp", who, key, session: None };
        send(attack, hands, dice, &first).await;
    }
    message.params = json!({"name": tool, "arguments": arguments});
}

/// A hostile call of `tool`, or, now and then, of one that only the other organisation has.
fn call(attack: &Attack, dice: &mut Dice, message: &mut Message, tool: &str, single: bool) {
    message.name = format!("tools/call {tool}");
    let arguments = tools::arguments(attack, dice, tool);
    let foreign = dice.percent(12);
    let tool = if foreign { dice.one(&["bellum-desk__tell", "bellum-desk__ask", "bellum-desk__echo", "desk__tell"]) } else { tool };
    if foreign {
        message.name = "tools/call of the other organisation".into();
    }
    message.params = json!({"name": tool, "arguments": tools::twisted(attack, dice, tool, arguments, single)});
    if let Some(state) = attack.pool.theirs(dice, Kind::State).filter(|_| !single && dice.percent(15)) {
        message.params["requestState"] = json!(state);
        message.params["inputResponses"] = json!({"1": {"action": "accept", "content": {}}});
    }
}

fn params(attack: &Attack, dice: &mut Dice, method: &str, honest: bool) -> Value {
    let server = if honest { "acme-desk" } else { "bellum-desk" };
    let uri = if honest { "note://one".to_owned() } else { format!("bailiwick://{server}/note://one") };
    match method {
        "prompts/get" => json!({"name": format!("{server}__greet"), "arguments": {"name": "x"}}),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => json!({"uri": uri}),
        "completion/complete" => {
            json!({"ref": {"type": "ref/prompt", "name": format!("{server}__greet")}, "argument": {"name": "name", "value": ""}})
        }
        "initialize" => json!({
            "protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}, "clientInfo": {"name": "attacker", "version": "1"},
        }),
        "logging/setLevel" => json!({"level": if honest { "error" } else { "bellum" }}),
        "notifications/cancelled" => json!({"requestId": dice.below(50), "reason": "guessed"}),
        _ if honest || dice.percent(30) => json!({}),
        _ => json!({"cursor": attack.pool.any(dice, Kind::Cursor)}),
    }
}

/// What is not one's own: sessions, runs, organisations, places.
fn twist(attack: &Attack, dice: &mut Dice, message: &mut Message) {
    if message.era == Era::Legacy && (dice.percent(40) || matches!(&*message.method, "GET" | "DELETE" | "ping")) {
        message.session = Some(attack.pool.theirs(dice, Kind::Session).unwrap());
    }
    if dice.percent(25) {
        message.params["_meta"]["dev.bailiwick/runId"] = json!(attack.pool.any(dice, Kind::Run));
    }
    if dice.percent(15) {
        message.params["_meta"][dice.one(&["dev.bailiwick/org", "dev.bailiwick/tenant", "org"])] = json!("bellum");
    }
    if dice.percent(20) {
        message.path = dice.one(&["/mcp/servers/bellum-desk", "/mcp/servers/acme-desk", "/mcp/servers/shared"]);
        if message.path.contains("bellum") {
            message.name = "anything at a server of the other organisation".into();
        }
    }
}

/// The member's own session at this attacker; a new one if there is none.
async fn session(attack: &Attack, hands: &mut Hands, message: &Message) -> Option<String> {
    if message.method == "initialize" || !attack.is_crew(&message.who) {
        return None;
    }
    if let Some(known) = hands.sessions.get(&message.who) {
        return Some(known.clone());
    }
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "attacker", "version": "1"}});
    let (who, key) = (message.who.clone(), message.key.clone());
    let opening =
        Message { name: String::new(), method: "initialize".into(), params, era: Era::Legacy, path: "/mcp", who, key, session: None };
    let told = deliver(attack, hands, 0, &opening).await;
    let id = told.header("mcp-session-id")?;
    let ready = Message { method: "notifications/initialized".into(), params: json!({}), session: Some(id.clone()), ..opening };
    deliver(attack, hands, 0, &ready).await;
    hands.sessions.insert(message.who.clone(), id.clone());
    Some(id)
}

async fn send(attack: &Attack, hands: &mut Hands, dice: &mut Dice, message: &Message) -> Told {
    let id = dice.below(1_000);
    deliver(attack, hands, id, message).await
}

async fn deliver(attack: &Attack, hands: &mut Hands, id: usize, message: &Message) -> Told {
    let is_message = !matches!(&*message.method, "GET" | "DELETE");
    let mut request =
        hands.wire.request(message.key.as_deref()).method(if is_message { "POST" } else { &message.method }).uri(message.path);
    request = request.header("accept", if message.method == "GET" { "text/event-stream" } else { "application/json, text/event-stream" });
    let mut params = message.params.clone();
    if message.era == Era::Modern {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {}});
        params["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({"name": "attacker", "version": "1"});
        request = request.header("mcp-protocol-version", "2026-07-28").header("mcp-method", &message.method);
        if let Some(name) = params["name"].as_str().or(params["uri"].as_str()) {
            request = request.header("mcp-name", name);
        }
    } else if message.method != "initialize" {
        request = request.header("mcp-protocol-version", "2025-11-25");
    }
    if let Some(session) = &message.session {
        request = request.header("mcp-session-id", session);
    }
    let mut body = json!({"jsonrpc": "2.0", "method": message.method, "params": params});
    if !message.method.starts_with("notifications/") {
        body["id"] = json!(id);
    }
    let body = if is_message { body.to_string() } else { String::new() };
    let asked = format!("{} by {} to {}, session {:?}: {body}", message.method, message.who, message.path, message.session);
    let request = request.header("content-type", "application/json").body(Full::new(Bytes::from(body))).unwrap();
    let told = hands.wire.send(request).await;
    attack.check(&asked, &told.everything());
    attack.tally.answered(told.status, || format!("{asked} gave {}: {}", told.status, String::from_utf8_lossy(&told.body)));
    told
}

fn is_done(told: &Told) -> bool {
    let answer = told.json();
    told.status < 300 && answer["error"].is_null() && answer["result"]["isError"] != true
}

/// Keeps runs that were begun, and forgets sessions that are no more.
fn harvest(attack: &Attack, hands: &mut Hands, message: &Message, told: &Told) {
    if told.status == 404 && message.session == hands.sessions.get(&message.who).cloned() {
        hands.sessions.remove(&message.who);
    }
    let answer = told.json();
    let result = &answer["result"];
    if let Some(run) = result["structuredContent"]["run_id"].as_str() {
        attack.pool.keep(Kind::Run, run);
    }
}
