//! What is relayed is what came, but for the named rewrites: definitions in lists and results, in both eras, in the views of several
//! servers and of one. Untouched members keep their bytes, not only their meaning.

mod any_json;
mod compare;
mod whole;

use std::sync::{Arc, LazyLock};

use bailiwick_contract::TrustClass;
use bailiwick_mcp::client::{Options, StdioCommand, Upstream};
use bailiwick_mcp::{Era, Id, Json, Limits};
use bailiwick_model::ServerName;
use bailiwick_model::config;
use bailiwick_model::manifest::{Access, ConfigKey, Manifest, ModuleCatalog};
use bailiwick_model::name::served_name;
use bailiwick_model::policy::Rules;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use self::any_json::{array, extended, known, maybe, token, value};
use self::compare::{Wanted, member, string};
use super::{List, Relabel, Stock, View, ViewSettings, admit, admit_prompt, admit_resource};
use crate::call::encode::Answer;
use crate::servers::{Offer, Reach, Server, Settings};

/// Cases of an ordinary run; `BAILIWICK_RELAY_CASES` sets another number.
const CASES: u32 = 256;
const NAME_MAX: usize = 64;

/// What each server lists. The first server in the order of names keeps a URI that both list.
const LISTED: [(&str, [&str; 3]); 2] =
    [("alpha", ["file:///a", "file:///shared", "ui://card/shared"]), ("beta", ["file:///b", "file:///shared", "ui://card/shared"])];
const TEMPLATES: [(&str, [&str; 2]); 2] =
    [("alpha", ["note://a/{id}", "note://both/{id}"]), ("beta", ["note://b/{id}", "note://both/{id}"])];
/// URIs in results: listed by one or both, made from templates, listed by nobody, and one that looks like ours.
const URIS: [&str; 9] = [
    "file:///a",
    "file:///b",
    "file:///shared",
    "ui://card/shared",
    "note://a/7",
    "note://b/7",
    "note://both/7",
    "other:é x",
    "bailiwick://alpha/file:///a",
];

/// What the URI of a server is called in the view of both.
fn shown(server: &str, uri: &str) -> String {
    let keeper = match uri {
        "file:///a" | "file:///shared" | "ui://card/shared" => Some("alpha"),
        "file:///b" => Some("beta"),
        _ if uri.starts_with("note://a/") || uri.starts_with("note://both/") => Some("alpha"),
        _ if uri.starts_with("note://b/") => Some("beta"),
        _ => None,
    };
    match uri.strip_prefix("ui://") {
        _ if keeper == Some(server) => uri.to_owned(),
        Some(rest) => format!("ui://bailiwick.{server}/{rest}"),
        None => format!("bailiwick://{server}/{uri}"),
    }
}

struct NoModules;
impl ModuleCatalog for NoModules {
    fn config_keys(&self, _: &str) -> Option<&[ConfigKey]> {
        None
    }
    fn kinds(&self) -> Vec<&str> {
        Vec::new()
    }
    fn tools(&self, _: &str) -> Vec<(String, Access)> {
        Vec::new()
    }
}

/// Rules that let everything of both servers through.
static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let (manifest, _) = Manifest::parse("t.yml", "agent_type: t\nservers: {alpha: {}, beta: {}}\n", &|_| None, &NoModules).unwrap();
    Rules::of(&manifest)
});

/// Two servers that are never asked, with the resources and templates they list.
static SERVERS: LazyLock<[Arc<Server>; 2]> = LazyLock::new(|| ["alpha", "beta"].map(server));

fn server(name: &str) -> Arc<Server> {
    let settings = Settings {
        name: ServerName::parse(name).unwrap(),
        org: None,
        trust: TrustClass::ThirdParty,
        timeout: std::time::Duration::from_secs(1),
        discovery_timeout: std::time::Duration::from_secs(1),
        name_max: NAME_MAX,
        proxy: None,
        waits_for: None,
        lends: false,
        note: None,
    };
    let command = StdioCommand { program: "/nonexistent".into(), args: Vec::new(), env: Vec::new(), cwd: None, launcher: None };
    let server =
        Server::new(settings, Reach::One(Upstream::stdio(command, Options::new(Json::from_static("{}")))), &config::Limits::default());
    server.set_offer(Offer { capabilities: Some(Json::from_static(r#"{"resources":{},"prompts":{}}"#)), ..Offer::default() });
    server
}

fn json(text: &str) -> Json {
    Json::inspect(text.to_owned().into(), &Limits::RESULT).unwrap()
}

fn quoted(texts: &[&str]) -> impl Strategy<Value = String> + use<> {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    (prop::sample::select(texts), prop::bool::weighted(0.2)).prop_map(|(text, escaped)| token(&text, escaped))
}

/// Some members, each there or not, and unknown ones around them.
fn object_of(members: Vec<BoxedStrategy<Option<(String, String)>>>) -> impl Strategy<Value = String> {
    members.prop_flat_map(|members| extended(members.into_iter().flatten().collect()))
}

fn always(name: &'static str, value: impl Strategy<Value = String> + 'static) -> BoxedStrategy<Option<(String, String)>> {
    known(name, value).prop_map(Some).boxed()
}

fn at_times(name: &'static str, value: impl Strategy<Value = String> + 'static) -> BoxedStrategy<Option<(String, String)>> {
    maybe(name, value).boxed()
}

fn tool() -> impl Strategy<Value = String> {
    let typed = |kinds: &[&str]| object_of(vec![always("type", quoted(kinds))]);
    let ui = object_of(vec![at_times("resourceUri", quoted(&URIS))]);
    let meta =
        object_of(vec![at_times("ui", ui), at_times("ui/resourceUri", quoted(&URIS)), at_times("dev.bailiwick/originalName", value())]);
    object_of(vec![
        always("name", quoted(&["search"])),
        always("inputSchema", typed(&["object"])),
        at_times("outputSchema", prop_oneof![typed(&["object", "array", "string"]), Just("{}".to_owned())]),
        at_times("_meta", meta),
    ])
}

fn prompt() -> impl Strategy<Value = String> {
    object_of(vec![always("name", quoted(&["greet"])), at_times("_meta", object_of(Vec::new()))])
}

fn with_uri(member: &'static str, uri: &'static str) -> impl Strategy<Value = String> {
    object_of(vec![always(member, quoted(&[uri])), at_times("name", value()), at_times("_meta", object_of(Vec::new()))])
}

fn block() -> impl Strategy<Value = String> {
    let resource = || object_of(vec![at_times("uri", quoted(&URIS)), at_times("name", value())]);
    prop_oneof![
        object_of(vec![always("type", quoted(&["text"])), at_times("text", quoted(&["a", "[1]", "null", "1.0"]))]),
        object_of(vec![always("type", quoted(&["resource_link"])), at_times("uri", quoted(&URIS)), at_times("name", value())]),
        object_of(vec![always("type", quoted(&["resource"])), at_times("resource", resource()), at_times("uri", quoted(&URIS))]),
        object_of(vec![at_times("type", quoted(&["other"])), at_times("uri", quoted(&URIS)), at_times("resource", resource())]),
    ]
}

/// What both eras may say of a result.
fn dress() -> Vec<BoxedStrategy<Option<(String, String)>>> {
    vec![
        at_times("resultType", quoted(&["complete"])),
        at_times("ttlMs", value()),
        at_times("cacheScope", quoted(&["public", "private"])),
        at_times("_meta", object_of(Vec::new())),
    ]
}

fn tool_result() -> impl Strategy<Value = String> {
    let blocks = vec(block(), 0..4).prop_map(|blocks| array(&blocks, " "));
    let mut members = dress();
    members.push(at_times("content", blocks));
    members.push(at_times("structuredContent", prop_oneof![value(), value(), Just("[1]".to_owned()), Just("1.0".to_owned())]));
    members.push(at_times("isError", prop::sample::select(vec!["true", "false"]).prop_map(str::to_owned)));
    object_of(members)
}

fn prompt_result() -> impl Strategy<Value = String> {
    let content = prop_oneof![block(), vec(block(), 0..3).prop_map(|blocks| array(&blocks, "\n"))];
    let message = object_of(vec![always("role", quoted(&["user"])), always("content", content)]);
    let mut members = dress();
    members.push(always("messages", vec(message, 0..3).prop_map(|messages| array(&messages, ""))));
    object_of(members)
}

fn contents() -> impl Strategy<Value = String> {
    let content = object_of(vec![always("uri", quoted(&URIS)), at_times("text", value())]);
    let mut members = dress();
    members.push(always("contents", vec(content, 0..3).prop_map(|contents| array(&contents, "\t"))));
    object_of(members)
}

/// An object with a text member renamed, when it is there.
fn renamed(text: &str, name: &str, server: &str) -> Wanted {
    let mut wanted = Wanted::object(text);
    if let Some(uri) = string(text, name) {
        let shown = shown(server, &uri);
        // A URI that keeps its name keeps its spelling too.
        if shown != uri {
            wanted.set_text(name, &shown);
        }
    }
    wanted
}

fn wanted_block(block: &str, server: &str) -> Wanted {
    match string(block, "type").as_deref() {
        Some("resource_link") => renamed(block, "uri", server),
        Some("resource") => {
            let mut wanted = Wanted::object(block);
            if let Some(resource) = member(block, "resource") {
                wanted.set("resource", renamed(&resource, "uri", server));
            }
            wanted
        }
        _ => Wanted::Bytes(block.to_owned()),
    }
}

/// The member of an object with a change of its own.
fn with(mut wanted: Wanted, name: &str, change: impl Fn(&str) -> Wanted) -> Wanted {
    if let Some(text) = wanted.text_of(name) {
        wanted.set(name, change(&text));
    }
    wanted
}

fn blocks(text: &str, server: &str) -> Wanted {
    if text.starts_with('[') { Wanted::array(text, |block| wanted_block(block, server)) } else { wanted_block(text, server) }
}

/// The dress of the era on a complete result.
fn dressed(mut wanted: Wanted, era: Era, cacheable: bool) -> Wanted {
    let names = ["ttlMs", "cacheScope", "resultType"];
    if era == Era::Legacy {
        names.into_iter().for_each(|name| wanted.remove(name));
        return wanted;
    }
    for (name, text) in names.into_iter().zip(["0", "\"private\"", "\"complete\""]) {
        if (cacheable || name == "resultType") && wanted.text_of(name).is_none() {
            wanted.set(name, Wanted::Bytes(text.to_owned()));
        }
    }
    wanted
}

/// Older clients get a structured value that is no object as text, unless a text block says it already.
fn without_plain_structure(mut wanted: Wanted, result: &str) -> Wanted {
    let Some(structured) = member(result, "structuredContent").filter(|structured| !structured.starts_with('{')) else { return wanted };
    wanted.remove("structuredContent");
    let meant: serde_json::Value = serde_json::from_str(&structured).unwrap();
    let says = |block: &str| {
        let text = string(block, "text").filter(|_| string(block, "type").as_deref() == Some("text"));
        text.is_some_and(|text| meant == text || serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|said| said == meant))
    };
    let content = member(result, "content");
    let elements: Vec<&serde_json::value::RawValue> = content.as_deref().map_or(Vec::new(), |c| serde_json::from_str(c).unwrap());
    if elements.iter().any(|block| says(block.get())) {
        return wanted;
    }
    let text = serde_json::to_string(&structured.replace(['\n', '\r'], " ")).unwrap();
    let block = Wanted::Object(vec![("type".into(), Wanted::Bytes("\"text\"".into())), ("text".into(), Wanted::Bytes(text))]);
    let Wanted::Object(members) = &mut wanted else { panic!("no object") };
    match members.iter_mut().find(|(name, _)| name == "content") {
        Some((_, Wanted::Array(blocks))) => blocks.push(block),
        _ => members.push(("content".into(), Wanted::Array(vec![block]))),
    }
    wanted
}

/// A result of a tool; `server` when URIs are renamed.
fn wanted_result(result: &str, server: Option<&str>, era: Era) -> Wanted {
    // Opened even where nothing is renamed, so that a block can be added at its end.
    let wanted = with(Wanted::object(result), "content", |content| match server {
        Some(server) => blocks(content, server),
        None => Wanted::array(content, |block| Wanted::Bytes(block.to_owned())),
    });
    dressed(if era == Era::Legacy { without_plain_structure(wanted, result) } else { wanted }, era, false)
}

fn wanted_tool(definition: &str, server: &str, aggregated: bool, era: Era) -> Wanted {
    let mut wanted = Wanted::object(definition);
    if aggregated {
        let mut meta = member(definition, "_meta").map_or(Wanted::Object(Vec::new()), |meta| {
            with(renamed(&meta, "ui/resourceUri", server), "ui", |ui| {
                if ui.starts_with('{') { renamed(ui, "resourceUri", server) } else { Wanted::Bytes(ui.to_owned()) }
            })
        });
        meta.set_text("dev.bailiwick/originalName", "search");
        wanted.set_text("name", served_name(&ServerName::parse(server).unwrap(), "search", NAME_MAX).as_str());
        wanted.set("_meta", meta);
    }
    let output = member(definition, "outputSchema");
    if era == Era::Legacy && output.is_some_and(|output| string(&output, "type").as_deref() != Some("object")) {
        wanted.remove("outputSchema");
    }
    wanted
}

fn wanted_prompt(definition: &str, server: &str, aggregated: bool) -> Wanted {
    let mut wanted = Wanted::object(definition);
    if aggregated {
        let mut meta = member(definition, "_meta").map_or(Wanted::Object(Vec::new()), |meta| Wanted::object(&meta));
        meta.set_text("dev.bailiwick/originalName", "greet");
        wanted.set_text("name", served_name(&ServerName::parse(server).unwrap(), "greet", NAME_MAX).as_str());
        wanted.set("_meta", meta);
    }
    wanted
}

/// One definition of each kind, by both servers alike.
#[derive(Clone, Debug)]
struct Definitions {
    tool: String,
    prompt: String,
    /// For each server, for each of its URIs.
    resources: [[String; 3]; 2],
    templates: [[String; 2]; 2],
}

fn definitions() -> impl Strategy<Value = Definitions> {
    let resources = LISTED.map(|(_, uris)| uris.map(|uri| with_uri("uri", uri).boxed()));
    let templates = TEMPLATES.map(|(_, uris)| uris.map(|uri| with_uri("uriTemplate", uri).boxed()));
    (tool(), prompt(), resources, templates).prop_map(|(tool, prompt, resources, templates)| Definitions {
        tool,
        prompt,
        resources,
        templates,
    })
}

/// The view of both servers, or of the second alone under its own names.
fn view(definitions: &Definitions, aggregated: bool) -> View {
    let mut stock = Stock::default();
    for (at, server) in SERVERS.iter().enumerate().skip(usize::from(!aggregated)) {
        let admitted = |text: &str, member: &str| Arc::new(admit_resource(server, &json(text), member).ok().unwrap());
        let name = |own: &str| served_name(server.name(), own, NAME_MAX);
        let tool = admit(server, name("search"), "search", &json(&definitions.tool));
        stock.tools.push(Arc::new(tool.unwrap_or_else(|rejected| panic!("{}: {}", rejected.rule, definitions.tool))));
        stock.prompts.push(Arc::new(admit_prompt(server, &name("greet"), "greet", &json(&definitions.prompt))));
        stock.resources.extend(definitions.resources[at].iter().map(|text| admitted(text, "uri")));
        stock.templates.extend(definitions.templates[at].iter().map(|text| admitted(text, "uriTemplate")));
        stock.servers.push(server.clone());
    }
    let code = |_: &[u8]| [7; 32];
    let settings = ViewSettings {
        rules: &RULES,
        code: &code,
        agent: "a",
        tools_max: 1_000,
        page_items: 1_000,
        transparent: !aggregated,
        doubled: false,
    };
    View::build(1, &settings, stock)
}

/// The text of a frame's `result`.
fn result_of(answer: Answer) -> String {
    let text = String::from_utf8(answer.into_frame().to_bytes().to_vec()).unwrap();
    assert!(!text.contains(['\n', '\r']), "a frame is one line: {text}");
    member(&text, "result").unwrap()
}

fn same(what: &str, wanted: &Wanted, text: &str) -> Result<(), TestCaseError> {
    match wanted.difference(text) {
        None => Ok(()),
        Some(difference) => Err(TestCaseError::fail(format!("{what}: {difference}"))),
    }
}

fn check<S: Strategy>(strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    check_share(1, strategy, test);
}

/// The same with a share of the cases only.
#[allow(clippy::disallowed_methods, reason = "the one place where the number of cases is set")]
fn check_share<S: Strategy>(share: u32, strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let cases: u32 = std::env::var("BAILIWICK_RELAY_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let config = Config { cases: cases.div_ceil(share), failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&strategy, test).unwrap_or_else(|fault| panic!("{fault}"));
}

#[test]
fn listed_definitions_are_what_the_servers_said_but_for_the_named_rewrites() {
    check(definitions(), |definitions| {
        for (aggregated, era) in [(true, Era::Modern), (true, Era::Legacy), (false, Era::Modern), (false, Era::Legacy)] {
            let view = view(&definitions, aggregated);
            let names = &["alpha", "beta"][usize::from(!aggregated)..];
            let listed = |list: List, wanted: Vec<Wanted>| -> Result<(), TestCaseError> {
                let page = view.list(list, None, era).unwrap();
                let text = result_of(Answer::rendered(Id::Integer(1), era, page.clone()));
                same(list.member(), &Wanted::Array(wanted), &member(&text, list.member()).unwrap())
            };
            listed(List::Tools, names.iter().map(|server| wanted_tool(&definitions.tool, server, aggregated, era)).collect())?;
            listed(List::Prompts, names.iter().map(|server| wanted_prompt(&definitions.prompt, server, aggregated)).collect())?;
            let each = |texts: &[String], server: &str, member: &str| -> Vec<Wanted> {
                let one = |text: &String| if aggregated { renamed(text, member, server) } else { Wanted::Bytes(text.clone()) };
                texts.iter().map(one).collect()
            };
            let of = |all: &dyn Fn(usize) -> Vec<Wanted>| (usize::from(!aggregated)..2).flat_map(all).collect::<Vec<_>>();
            listed(List::Resources, of(&|at| each(&definitions.resources[at], LISTED[at].0, "uri")))?;
            listed(List::Templates, of(&|at| each(&definitions.templates[at], TEMPLATES[at].0, "uriTemplate")))?;
        }
        Ok(())
    });
}

#[test]
fn results_are_what_the_servers_said_but_for_the_named_rewrites() {
    let plain = || "{}".to_owned();
    let definitions = Definitions {
        tool: r#"{"name":"search","inputSchema":{"type":"object"}}"#.into(),
        prompt: plain(),
        resources: LISTED.map(|(_, uris)| uris.map(|uri| format!(r#"{{"uri":"{uri}"}}"#))),
        templates: TEMPLATES.map(|(_, uris)| uris.map(|uri| format!(r#"{{"uriTemplate":"{uri}"}}"#))),
    };
    let views = [view(&definitions, true), view(&definitions, false)];
    check((0_usize..2, 0_usize..2, tool_result(), prompt_result(), contents()), |(alone, at, tool, prompt, read)| {
        let server = if alone == 1 { &SERVERS[1] } else { &SERVERS[at] };
        let (relabel, name) = (Relabel::new(views[alone].routes(), server.name()), server.name().as_str());
        prop_assert_eq!(relabel.is_some(), alone == 0);
        for era in [Era::Modern, Era::Legacy] {
            let id = || Id::Integer(1);
            let inner = |text: &str, member: &str, change: &dyn Fn(&str) -> Wanted| {
                let wanted = Wanted::object(text);
                if relabel.is_some() { with(wanted, member, change) } else { wanted }
            };
            let relayed = relabel.map_or_else(|| json(&tool), |relabel| relabel.tool_result(json(&tool)));
            same("tool", &wanted_result(&tool, relabel.map(|_| name), era), &result_of(Answer::result(id(), era, relayed)))?;

            let relayed = relabel.map_or_else(|| json(&prompt), |relabel| relabel.prompt_result(json(&prompt)));
            let wanted = inner(&prompt, "messages", &|messages| {
                Wanted::array(messages, |message| with(Wanted::object(message), "content", |content| blocks(content, name)))
            });
            same("prompt", &dressed(wanted, era, false), &result_of(Answer::result(id(), era, relayed)))?;

            let relayed = relabel.map_or_else(|| json(&read), |relabel| relabel.contents(json(&read)));
            let wanted = inner(&read, "contents", &|contents| Wanted::array(contents, |content| renamed(content, "uri", name)));
            same("resource", &dressed(wanted, era, true), &result_of(Answer::cacheable(id(), era, relayed)))?;
        }
        Ok(())
    });
}

#[test]
fn only_cursors_that_were_given_out_lead_to_a_page() {
    let tools: Vec<_> = (0..5)
        .map(|at| {
            let own = format!("t{at}");
            let definition = format!(r#"{{"name":"{own}","inputSchema":{{"type":"object"}}}}"#);
            Arc::new(admit(&SERVERS[0], served_name(SERVERS[0].name(), &own, NAME_MAX), &own, &json(&definition)).ok().unwrap())
        })
        .collect();
    let code = |text: &[u8]| std::array::from_fn(|at| text.iter().fold(at as u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte)));
    let settings = ViewSettings { rules: &RULES, code: &code, agent: "a", tools_max: 9, page_items: 2, transparent: false, doubled: false };
    let view = View::build(1, &settings, Stock { tools, ..Stock::default() });
    let mut given = Vec::new();
    while let Some(next) = view.list(List::Tools, given.last().map(String::as_str), Era::Modern).unwrap().text_of("nextCursor") {
        given.push(next.into_owned());
    }
    assert_eq!(given.len(), 2);
    let near = prop::sample::select(given.clone()).prop_flat_map(|cursor| (0..cursor.len(), "[A-Za-z0-9_=-]{0,2}", Just(cursor)));
    let altered = near.prop_map(|(at, put, cursor)| format!("{}{put}{}", &cursor[..at], &cursor[at + 1..]));
    check(prop_oneof!["\\PC{0,40}", altered], |cursor| {
        let led = view.list(List::Tools, Some(&cursor), Era::Modern).is_some();
        prop_assert_eq!(led, given.contains(&cursor));
        prop_assert!(view.list(List::Prompts, Some(&cursor), Era::Modern).is_none(), "the cursor of another list");
        Ok(())
    });
}
