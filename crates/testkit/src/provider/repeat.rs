//! What a provider says that says every credential back: in plain, and in the spellings in which programs put one into their texts.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::ledger::Sent;
use super::token::decode_basic;
use crate::upstream::{Act, Behaviour, FakePrompt, FakeQuestion, FakeResource, FakeTool, Fault};

/// Fields of a form that hold one.
const FIELDS: [&str; 6] = ["code", "code_verifier", "client_secret", "client_assertion", "refresh_token", "token"];

/// Every credential in a request.
pub(super) fn credentials(sent: &Sent) -> Vec<String> {
    let mut found: Vec<String> = FIELDS.iter().filter_map(|name| sent.field(name).map(str::to_owned)).collect();
    match sent.header("authorization").and_then(|value| value.split_once(' ')) {
        Some(("Basic", pair)) => found.extend(decode_basic(pair).map(|(_, secret)| secret)),
        Some((_, token)) => found.push(token.to_owned()),
        None => {}
    }
    found
}

/// The values in all spellings, in one line.
pub(super) fn told(values: &[String]) -> String {
    values.iter().flat_map(|value| spellings(value)).collect::<Vec<_>>().join(" ")
}

fn spellings(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let kept = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let in_address = bytes.iter().map(|b| if kept(*b) { char::from(*b).to_string() } else { format!("%{b:02X}") }).collect();
    let encoded = [BASE64.encode(bytes), BASE64URL_NOPAD.encode(bytes), HEXLOWER.encode(bytes)];
    [value.to_owned(), value.replace('/', "\\/"), in_address, byte_serialize(bytes).collect()].into_iter().chain(encoded).collect()
}

/// The behaviour of the MCP server, with the text wherever one may stand.
pub(super) fn behaviour(base: &Behaviour, told: &str) -> Behaviour {
    let mut behaviour = base.clone();
    behaviour.tools.extend(tools(told));
    for tool in &mut behaviour.tools {
        tool.definition["description"] = told.into();
    }
    let mut prompt = FakePrompt::new("repeat");
    prompt.definition["description"] = told.into();
    prompt.result = Some(json!({"description": told, "messages": [{"role": "user", "content": text(told)}]}));
    behaviour.prompts.push(prompt);
    let mut resource = FakeResource::text("note://repeat", told);
    resource.definition["description"] = told.into();
    behaviour.resources.push(resource);
    behaviour.completions.insert("name".into(), vec![told.to_owned()]);
    behaviour.logging = true;
    behaviour.progress = 2;
    behaviour.progress_message = Some(told.to_owned());
    let error = Fault::Rpc { code: -32603, message: told.to_owned(), data: Some(json!({"told": told, (told): 1})) };
    behaviour.faults.insert("tool:repeat_error".into(), error);
    behaviour
}

fn tools(told: &str) -> [FakeTool; 5] {
    let result =
        json!({"content": [text(told)], "structuredContent": {"told": told, (told): [told]}, "_meta": {"told": told}, "isError": false});
    let log = json!({"method": "notifications/message", "params": {"level": "error", "logger": told, "data": {"told": told}}});
    let FakeQuestion { method, params } = FakeQuestion::form(told);
    [
        FakeTool::new("repeat_result", Act::Result(result)).read_only(),
        FakeTool::new("repeat_failure", Act::Fail(told.to_owned())).read_only(),
        FakeTool::new("repeat_error", Act::Echo).read_only(),
        FakeTool::new("repeat_log", Act::Notify(vec![log])).read_only(),
        FakeTool::new("repeat_question", Act::Ask { method, params }).read_only(),
    ]
}

fn text(told: &str) -> Value {
    json!({"type": "text", "text": told})
}

/// Further parameters of a challenge.
pub(super) fn in_challenge(heard: &str) -> String {
    let told = told(&[heard.to_owned()]).replace('\\', "\\\\");
    format!("realm=\"{told}\", error_description=\"{told}\"")
}

/// Into an answer with tokens: as scopes, those that are in it as well.
pub(super) fn in_grant(reply: &mut Value, sent: &Sent, commas: bool) {
    let fresh = ["access_token", "refresh_token"].iter().filter_map(|name| reply[name].as_str().map(str::to_owned));
    let all: Vec<String> = credentials(sent).into_iter().chain(fresh).collect();
    let granted = reply["scope"].as_str().unwrap_or_default().to_owned();
    let scopes: Vec<String> = std::iter::once(granted).chain(all.iter().cloned()).collect();
    reply["scope"] = scopes.join(if commas { "," } else { " " }).into();
    reply["told"] = told(&all).into();
}

/// Into a refusal: in words, and for a code that was no good as the error's own word.
pub(super) fn in_refusal(reply: &mut Value, sent: &Sent) {
    let all = credentials(sent);
    reply["error_description"] = told(&all).into();
    reply["error_uri"] = format!("https://provider.example/?{}", told(&all)).into();
    if let Some(code) = sent.field("code") {
        reply["error"] = code.into();
    }
}
