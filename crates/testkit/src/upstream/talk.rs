//! Asking back, in the way of each era.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::offer::FakeQuestion;
use super::wire;

/// Questions of the `initialize` era that wait for their answers.
#[derive(Default)]
pub(super) struct Questions {
    waiting: Mutex<HashMap<String, oneshot::Sender<Value>>>,
    next: AtomicU64,
}

impl Questions {
    /// The request to send and where its answer will come.
    fn ask(&self, question: &FakeQuestion) -> (Vec<u8>, oneshot::Receiver<Value>) {
        let id = format!("fake-ask-{}", self.next.fetch_add(1, Ordering::SeqCst));
        let (answer, hear) = oneshot::channel();
        let message = json!({"jsonrpc": "2.0", "id": id, "method": question.method, "params": question.params});
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
        (message.to_string().into_bytes(), hear)
    }

    /// Takes a response of the client: its result, or its error under `error`.
    pub(super) fn answered(&self, message: &Value) {
        let Some(id) = message["id"].as_str() else { return };
        if let Some(waiting) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id) {
            let answer = message.get("result").cloned().unwrap_or_else(|| json!({"error": message["error"]}));
            let _ = waiting.send(answer);
        }
    }
}

/// From the answers to the final message.
type Finish = Box<dyn FnOnce(&[Value]) -> Vec<u8> + Send>;

/// A conversation of the `initialize` era: questions round by round, then the answer.
pub(super) struct Talk {
    pub(super) id: String,
    pub(super) rounds: Vec<Vec<FakeQuestion>>,
    pub(super) finish: Finish,
}

impl Talk {
    /// Holds it. `send` says whether anybody still listens. Gives the final message, nothing when nobody listens.
    pub(super) async fn hold<F: Future<Output = bool>>(self, questions: &Questions, send: impl Fn(Vec<u8>) -> F) -> Option<Vec<u8>> {
        let mut answers = Vec::new();
        for round in &self.rounds {
            let (messages, waiting): (Vec<_>, Vec<_>) = round.iter().map(|question| questions.ask(question)).unzip();
            for message in messages {
                if !send(message).await {
                    return None;
                }
            }
            for answer in waiting {
                answers.push(answer.await.ok()?);
            }
        }
        Some((self.finish)(&answers))
    }
}

/// What the modern era's `requestState` says: how far the conversation is.
#[derive(Default, Serialize, Deserialize)]
struct State {
    round: usize,
    answers: Vec<Value>,
}

/// The next step of a conversation of the modern era.
pub(super) enum Step {
    /// The `input_required` result.
    Ask(String),
    /// All rounds are over.
    Finish(Vec<Value>),
    /// The state was not made here.
    Tampered,
}

pub(super) fn step(rounds: &[Vec<FakeQuestion>], request_state: Option<&str>, responses: Option<&str>) -> Step {
    let mut state = match request_state.map(serde_json::from_str::<State>) {
        None => State::default(),
        Some(Ok(state)) => state,
        Some(Err(_)) => return Step::Tampered,
    };
    let responses: Map<String, Value> = responses.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    if request_state.is_some()
        && let Some(round) = rounds.get(state.round)
    {
        let answers: Vec<Value> = (0..round.len()).filter_map(|number| responses.get(&key(state.round, number)).cloned()).collect();
        // With an answer missing the same questions are asked again.
        if answers.len() == round.len() {
            state.answers.extend(answers);
            state.round += 1;
        }
    }
    let Some(round) = rounds.get(state.round) else { return Step::Finish(state.answers) };
    let requests: Map<String, Value> = round
        .iter()
        .enumerate()
        .map(|(number, question)| (key(state.round, number), json!({"method": question.method, "params": question.params})))
        .collect();
    let state = serde_json::to_string(&state).expect("a state is JSON");
    Step::Ask(json!({"resultType": "input_required", "inputRequests": requests, "requestState": state}).to_string())
}

fn key(round: usize, number: usize) -> String {
    format!("ask-{round}-{number}")
}

/// The capabilities that the questions need and the client did not declare, as `{"sampling":{}}`; none when all is well.
pub(super) fn undeclared(rounds: &[Vec<FakeQuestion>], declared: Option<&str>) -> Option<String> {
    let declared: Value = declared.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let missing: Map<String, Value> = rounds
        .iter()
        .flatten()
        .filter(|question| declared.get(question.capability()).is_none())
        .map(|question| (question.capability().to_owned(), json!({})))
        .collect();
    (!missing.is_empty()).then(|| Value::Object(missing).to_string())
}

/// What a tool that asked says in the end: the only answer, or the list of all.
pub(super) fn summary(answers: &[Value]) -> String {
    let text = match answers {
        [only] => only.to_string(),
        all => Value::from(all.to_vec()).to_string(),
    };
    Value::from(text).to_string()
}

/// An error that names what is missing (protocol reference 2.9).
pub(super) fn missing_capability(id: &str, required: &str) -> Vec<u8> {
    wire::error(id, -32021, "Missing required client capability", Some(&format!(r#"{{"requiredCapabilities":{required}}}"#)))
}
