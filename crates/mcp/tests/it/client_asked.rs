//! Servers that ask back while they work on a call.

use std::time::Duration;

use bailiwick_mcp::client::{Cancel, Event, FaultKind, Options, Outgoing, Question, Upstream};
use bailiwick_mcp::{Json, RpcError};
use bailiwick_testkit::upstream::{Act, Behaviour, Eras, FakePrompt, FakeQuestion, FakeTool};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::client_fake::{options, text};
use crate::client_kit::{Server, ask, said};

fn asking(tool: &str, act: Act) -> Behaviour {
    let tools = vec![FakeTool::new(tool, act), FakeTool::new("echo", Act::Echo), FakeTool::new("sleep", Act::Sleep)];
    Behaviour { tools, eras: Eras::Legacy, ..Behaviour::default() }
}

fn form() -> Act {
    let FakeQuestion { method, params } = FakeQuestion::form("Who?");
    Act::Ask { method, params }
}

fn answer(text: &str) -> Result<Json, RpcError> {
    Ok(Json::from_serialize(&json!({"action": "accept", "content": {"answer": text}})).unwrap())
}

/// Calls `tool`, and answers the questions in order; a missing answer drops its question.
async fn converse(upstream: &Upstream, tool: &str, answers: Vec<Option<Result<Json, RpcError>>>) -> (Value, Vec<String>) {
    let (to, mut asked) = mpsc::channel::<Question>(8);
    let cancel = Cancel::new();
    let answering = async {
        let mut methods = Vec::new();
        for answer in answers {
            let question = asked.recv().await.unwrap();
            methods.push(question.method.to_string());
            if let Some(answer) = answer {
                question.answer(answer);
            }
        }
        methods
    };
    let call = upstream.call(Outgoing { questions: Some(to), ..ask("tools/call", Some(tool), &cancel) });
    let (result, methods) = tokio::join!(call, answering);
    (said(&result.unwrap()), methods)
}

#[tokio::test]
async fn a_question_is_passed_on_and_its_answer_brought_back() {
    for server in Server::both(&asking("asks", form())) {
        // One connection must be enough: the call holds it while the answer has to go out.
        let upstream = server.upstream_with(Options { connections_max: 1, ..options() });
        let (result, methods) = converse(&upstream, "asks", vec![Some(answer("me"))]).await;
        assert_eq!((&result["content"]["answer"], methods), (&json!("me"), vec!["elicitation/create".to_owned()]), "{}", server.name());
        let (result, _) = converse(&upstream, "asks", vec![Some(Err(RpcError::new(-1, "not today")))]).await;
        assert_eq!(result["error"], json!({"code": -1, "message": "not today"}));
        let (result, _) = converse(&upstream, "asks", vec![None]).await;
        assert_eq!(result["error"]["code"], -32601, "a dropped question is declined");
        upstream.close().await;
    }
}

#[tokio::test]
async fn nobody_to_ask_means_nobody_knows_the_method() {
    for server in Server::both(&asking("asks", form())) {
        let upstream = server.upstream();
        let cancel = Cancel::new();
        let result = upstream.call(ask("tools/call", Some("asks"), &cancel)).await.unwrap();
        assert_eq!(said(&result)["error"]["code"], -32601, "{}", server.name());
        let (full, _asked) = mpsc::channel(1);
        full.try_send(held_question(&upstream).await).unwrap();
        let result = upstream.call(Outgoing { questions: Some(full), ..ask("tools/call", Some("asks"), &cancel) }).await.unwrap();
        assert_eq!(said(&result)["error"]["code"], -32601, "nobody can be asked any more");
        upstream.close().await;
    }
}

/// The question of a call that is then given up.
async fn held_question(upstream: &Upstream) -> Question {
    let (to, mut asked) = mpsc::channel(1);
    let cancel = Cancel::new();
    let call = upstream.call(Outgoing { questions: Some(to), ..ask("tools/call", Some("asks"), &cancel) });
    tokio::select! {
        _ = call => panic!("answered by itself"),
        question = asked.recv() => question.unwrap(),
    }
}

#[tokio::test]
async fn an_answer_after_the_end_of_the_call_goes_nowhere() {
    for server in Server::both(&asking("asks", form())) {
        let upstream = server.upstream();
        let question = held_question(&upstream).await;
        question.answer(answer("late"));
        let (result, _) = converse(&upstream, "asks", vec![Some(answer("in time"))]).await;
        assert_eq!(result["content"]["answer"], "in time");
        let answers = server.arrivals().iter().filter(|arrival| arrival.method.is_empty()).count();
        assert_eq!(answers, 1, "{}", server.name());
        upstream.close().await;
    }
}

#[tokio::test]
async fn rounds_of_several_questions_and_the_time_they_take_count() {
    let rounds = vec![vec![FakeQuestion::roots(), FakeQuestion::sampling("a poem")], vec![FakeQuestion::form("Sure?")]];
    for server in Server::both(&asking("rounds", Act::AskRounds(rounds))) {
        let upstream = server.upstream();
        let roots = Json::from_static(r#"{"roots":[]}"#);
        let (result, methods) = converse(&upstream, "rounds", vec![Some(Ok(roots)), None, Some(answer("yes"))]).await;
        assert_eq!(methods, ["roots/list", "sampling/createMessage", "elicitation/create"]);
        assert_eq!(
            (&result[0], &result[1]["error"]["code"], &result[2]["content"]["answer"]),
            (&json!({"roots": []}), &json!(-32601), &json!("yes"))
        );
        let (to, asked) = mpsc::channel(4);
        let cancel = Cancel::new();
        let deadline = Duration::from_millis(100);
        let fault =
            upstream.call(Outgoing { deadline, questions: Some(to), ..ask("tools/call", Some("rounds"), &cancel) }).await.unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Timeout) && fault.sent, "{fault:?}");
        assert_eq!(asked.len(), 2);
        upstream.close().await;
    }
}

#[tokio::test]
async fn a_child_that_served_two_owners_asks_nobody_any_more() {
    let server = Server::stdio(&asking("asks", form()));
    let upstream = server.upstream();
    let cancel = Cancel::new();
    let (to, mut asked) = mpsc::channel(4);
    // It may be this owner whom a later question is meant for.
    upstream.call(Outgoing { owner: 7, ..ask("tools/call", Some("sleep"), &cancel) }).await.unwrap();
    let result = upstream.call(Outgoing { questions: Some(to), owner: 8, ..ask("tools/call", Some("asks"), &cancel) }).await.unwrap();
    assert_eq!(said(&result)["error"]["code"], -32601);
    assert!(asked.try_recv().is_err());
    upstream.close().await;
}

#[tokio::test]
async fn a_child_that_asks_during_two_such_calls_asks_nobody() {
    let server = Server::stdio(&asking("asks", form()));
    let upstream = server.upstream();
    let (to, mut asked) = mpsc::channel(4);
    let cancel = Cancel::new();
    let arguments = Json::from_static(r#"{"ms":60000}"#);
    let waiting = Outgoing { arguments: Some(&arguments), questions: Some(to.clone()), ..ask("tools/call", Some("sleep"), &cancel) };
    let plain = Outgoing { arguments: Some(&arguments), ..ask("tools/call", Some("sleep"), &cancel) };
    let asking = async {
        let result = upstream.call(Outgoing { questions: Some(to), ..ask("tools/call", Some("asks"), &cancel) }).await.unwrap();
        assert_eq!(said(&result)["error"]["code"], -32601);
    };
    tokio::select! {
        biased;
        _ = upstream.call(waiting) => panic!("answered"),
        () = asking => {}
    }
    assert!(asked.try_recv().is_err());
    // Calls that take no questions do not matter.
    tokio::select! {
        biased;
        _ = upstream.call(plain) => panic!("answered"),
        (result, _) = converse(&upstream, "asks", vec![Some(answer("me"))]) => assert_eq!(result["content"]["answer"], "me"),
    }
}

#[tokio::test]
async fn a_modern_server_asks_in_its_result_and_is_answered_by_a_second_call() {
    let behaviour = Behaviour {
        eras: Eras::Modern,
        prompts: vec![FakePrompt { ask: vec![vec![FakeQuestion::form("Who?")]], ..FakePrompt::new("greet") }],
        ..asking("asks", form())
    };
    for server in Server::both(&Behaviour { eras: Eras::Modern, ..behaviour.clone() }) {
        let upstream = server.upstream();
        let (to, asked) = mpsc::channel(1);
        let (cancel, can) = (Cancel::new(), Json::from_static(r#"{"elicitation":{}}"#));
        let meta = [("io.modelcontextprotocol/clientCapabilities", &can)];
        for (method, name) in [("tools/call", "asks"), ("prompts/get", "greet")] {
            let fault = upstream.call(ask(method, Some(name), &cancel)).await.unwrap_err();
            assert!(matches!(&fault.kind, FaultKind::Rpc(error) if error.code == -32021), "nothing was declared: {fault:?}");
            let first = Outgoing { meta: &meta, questions: Some(to.clone()), ..ask(method, Some(name), &cancel) };
            let first = upstream.call(first).await.unwrap();
            assert_eq!(first.text_of("resultType").as_deref(), Some("input_required"));
            let (requests, state) = (text(&first)["inputRequests"].clone(), first.member("requestState").unwrap());
            let key = requests.as_object().unwrap().keys().next().unwrap().clone();
            let responses = Json::from_serialize(&json!({key: {"action": "accept", "content": {"answer": "me"}}})).unwrap();
            let params = [("inputResponses", &responses), ("requestState", &state)];
            let second = upstream.call(Outgoing { meta: &meta, params: &params, ..ask(method, Some(name), &cancel) }).await.unwrap();
            assert_eq!(second.text_of("resultType").as_deref(), Some("complete"), "{}", second.as_str());
            assert!(method != "tools/call" || said(&second)["content"]["answer"] == "me");
        }
        assert!(asked.is_empty());
        upstream.close().await;
    }
}

#[tokio::test]
async fn the_end_of_an_elicitation_is_heard_by_the_call_and_by_everybody() {
    let done = json!({"method": "notifications/elicitation/complete", "params": {"elicitationId": "e-1"}});
    for server in Server::both(&asking("done", Act::Notify(vec![done]))) {
        let upstream = server.upstream();
        let mut notices = upstream.notices();
        let ((to, mut heard), (questions, _asked)) = (mpsc::channel(4), mpsc::channel(1));
        let cancel = Cancel::new();
        let call = Outgoing { events: Some(to), questions: Some(questions), ..ask("tools/call", Some("done"), &cancel) };
        upstream.call(call).await.unwrap();
        let Some(Event::ElicitationComplete(params)) = heard.recv().await else { panic!("no event") };
        assert_eq!(text(&params), json!({"elicitationId": "e-1"}));
        assert!(crate::client_kit::next(&mut notices).await.starts_with("ElicitationComplete"));
        upstream.close().await;
    }
}
