//! Prompts, resources, completion: lists, reads, and what a server says that it offers.

use bailiwick_mcp::Json;
use bailiwick_mcp::client::{Cancel, FaultKind, List, Options, Outgoing, Probe};
use bailiwick_testkit::upstream::{Behaviour, FakePrompt, FakeUpstream};
use serde_json::json;

use crate::client_fake::{options, text};
use crate::client_kit::{Server, ask, http};

#[tokio::test]
async fn every_list_comes_from_all_its_pages() {
    for server in Server::all(&Behaviour { page: 1, ..Behaviour::rich() }) {
        let upstream = server.upstream();
        let modern = upstream.open().await.unwrap().revision.as_str() == "2026-07-28";
        for (list, count) in [(List::Tools, 5), (List::Prompts, 2), (List::Resources, 2), (List::Templates, 1)] {
            let listed = upstream.list(list).await.unwrap();
            assert_eq!((listed.items.len(), listed.cut), (count, false), "{list:?} over {}", server.name());
            assert_eq!(listed.ttl_ms, modern.then_some(60_000));
            assert_eq!(server.of(list.method()).len(), count, "one page each");
        }
        assert_eq!(upstream.list(List::Resources).await.unwrap().items[1].text_of("uri").unwrap(), "note://two");
        let cut = server.upstream_with(Options { list_items_max: 1, ..options() });
        let listed = cut.list(List::Prompts).await.unwrap();
        assert_eq!((listed.items.len(), listed.cut, cut.status().tools_cut), (1, true, false));
        assert!(cut.list(List::Tools).await.unwrap().cut && cut.status().tools_cut);
        upstream.close().await;
    }
}

#[tokio::test]
async fn prompts_resources_and_completion_are_asked_for_in_their_own_words() {
    for server in Server::all(&Behaviour::rich()) {
        let upstream = server.upstream();
        let cancel = Cancel::new();
        let arguments = Json::from_static(r#"{"name":"zoë"}"#);
        let prompt = Outgoing { arguments: Some(&arguments), ..ask("prompts/get", Some("greet"), &cancel) };
        let prompt = text(&upstream.call(prompt).await.unwrap());
        assert_eq!(prompt["messages"][0]["content"]["text"], r#"{"name":"zoë"}"#);
        let resource = text(&upstream.call(ask("resources/read", Some("note://one"), &cancel)).await.unwrap());
        assert_eq!(resource["contents"][0]["text"], "first");
        let made = text(&upstream.call(ask("resources/read", Some("file:///größe x"), &cancel)).await.unwrap());
        assert_eq!(made["contents"][0]["uri"], "file:///größe x");
        let params = [
            ("ref", &Json::from_static(r#"{"type":"ref/prompt","name":"greet"}"#)),
            ("argument", &Json::from_static(r#"{"name":"name","value":"al"}"#)),
            ("context", &Json::from_static(r#"{"arguments":{"a":"b"}}"#)),
        ];
        let completed = text(&upstream.call(Outgoing { params: &params, ..ask("completion/complete", None, &cancel) }).await.unwrap());
        assert_eq!(completed["completion"]["values"], json!(["alice", "albert"]));
        let arrived = server.of("completion/complete").pop().unwrap();
        assert_eq!(arrived.headers.get("mcp-name"), None);
        let mut params = arrived.message["params"].clone();
        params.as_object_mut().unwrap().remove("_meta");
        assert_eq!(
            params,
            json!({"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "name", "value": "al"}, "context": {"arguments": {"a": "b"}}})
        );
        let unknown = upstream.call(ask("resources/read", Some("note://none"), &cancel)).await.unwrap_err();
        assert!(matches!(unknown.kind, FaultKind::Rpc(_)), "{unknown:?}");
        upstream.close().await;
    }
}

#[tokio::test]
async fn what_the_other_fields_say_is_not_said_twice() {
    let fake = FakeUpstream::start(Behaviour::rich());
    let upstream = http(&fake, options());
    let (cancel, other, state) = (Cancel::new(), Json::from_static(r#""other""#), Json::from_static(r#""a\"b""#));
    let params = [("name", &other), ("arguments", &other), ("_meta", &other), ("requestState", &state), ("uri", &other)];
    let arguments = Json::from_static("{}");
    let call = Outgoing { arguments: Some(&arguments), params: &params, ..ask("tools/call", Some("echo"), &cancel) };
    upstream.call(call).await.unwrap();
    let params = fake.arrivals().pop().unwrap().message["params"].clone();
    assert_eq!(
        (&params["name"], &params["arguments"], &params["requestState"], &params["uri"]),
        (&json!("echo"), &json!({}), &json!("a\"b"), &json!("other"))
    );
    assert!(params["_meta"].is_object());
}

#[tokio::test]
async fn the_probe_tells_what_is_offered_and_survives_being_kept() {
    for server in Server::all(&Behaviour::rich()) {
        let upstream = server.upstream();
        let probe = upstream.open().await.unwrap();
        let kept: Probe = serde_json::from_str(&serde_json::to_string(&probe).unwrap()).unwrap();
        for offered in ["tools", "prompts", "resources", "completions", "logging"] {
            assert!(kept.offers(offered), "{offered}");
        }
        assert!(!kept.offers("tasks") && kept.offers_also("resources", "subscribe") && !kept.offers_also("prompts", "subscribe"));
        assert_eq!((kept.instructions.as_deref(), kept.server_info.text_of("name").as_deref()), (Some("A fake."), Some("fake")));
        upstream.close().await;
    }
    let plain = FakeUpstream::start(Behaviour::default());
    assert!(!http(&plain, options()).open().await.unwrap().offers("prompts"));
}

#[tokio::test]
async fn capabilities_are_declared_in_the_way_of_the_era() {
    let declared = Options { client_capabilities: Json::from_static(r#"{"roots":{}}"#), ..options() };
    for server in Server::all(&Behaviour { prompts: vec![FakePrompt::new("p")], ..Behaviour::default() }) {
        let upstream = server.upstream_with(declared.clone());
        let (cancel, own) = (Cancel::new(), Json::from_static(r#"{"sampling":{}}"#));
        upstream.call(ask("prompts/get", Some("p"), &cancel)).await.unwrap();
        let meta = [("io.modelcontextprotocol/clientCapabilities", &own)];
        upstream.call(Outgoing { meta: &meta, ..ask("prompts/get", Some("p"), &cancel) }).await.unwrap();
        let said: Vec<_> = server
            .of("prompts/get")
            .iter()
            .map(|arrival| arrival.message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"].clone())
            .collect();
        match server.of("initialize").first() {
            Some(initialize) => {
                assert_eq!(initialize.message["params"]["capabilities"], json!({"roots": {}}));
                assert_eq!(said, [json!(null), json!(null)]);
            }
            None => assert_eq!(said, [json!({"roots": {}}), json!({"sampling": {}})]),
        }
        upstream.close().await;
    }
}
