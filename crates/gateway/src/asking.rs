//! Questions to clients of older revisions that wait for their answers: a request of ours on the call's stream, answered by a message
//! of its own (protocol reference 3.1).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_mcp::client::Question;
use bailiwick_mcp::{Id, Json, Response, RpcError, encode};
use tokio::sync::mpsc;

use crate::call::ask_back::{Askable, can_answer};
use crate::lock::Lock;
use crate::replay::Said;
use crate::way::Way;

/// Questions open at one time, of all clients together.
const OPEN_MAX: usize = 10_000;
/// Questions of one call that wait to be sent.
pub(crate) const QUEUED_MAX: usize = 16;

type Table = Lock<HashMap<(Box<str>, Id), (Question, Way)>>;

/// The open questions by session and id. Session ids are secrets of their principal, so nobody answers another's question.
#[derive(Default)]
pub(crate) struct Asking {
    open: Table,
    asked: AtomicU64,
}

/// The questions of one call. Those that are open when it ends are answered for the client: nobody waits any more.
pub(crate) struct CallQuestions {
    asking: Arc<Asking>,
    session: Box<str>,
    capabilities: Json,
    receiver: mpsc::Receiver<Question>,
    open: Vec<Id>,
}

impl Asking {
    /// The two ends for a call of a client that declared `capabilities`; nothing for a client that can be asked nothing.
    pub(crate) fn begin(self: &Arc<Self>, session: &str, capabilities: &str) -> (Option<Askable>, Option<CallQuestions>) {
        let Ok(capabilities) = Json::check(capabilities.to_owned().into(), &bailiwick_mcp::Limits::RESULT) else { return (None, None) };
        if !["elicitation", "sampling", "roots"].iter().any(|name| capabilities.has(name)) {
            return (None, None);
        }
        let (questions, receiver) = mpsc::channel(QUEUED_MAX);
        let own =
            CallQuestions { asking: self.clone(), session: session.into(), capabilities: capabilities.clone(), receiver, open: Vec::new() };
        (Some(Askable { questions, capabilities }), Some(own))
    }

    /// Hands the client's answer on. An answer to nobody's question is ignored.
    pub(crate) fn answered(&self, session: &str, response: Response) {
        let Some(id) = response.id else { return };
        let question = self.open.lock().remove(&(session.into(), id));
        if let Some((question, way)) = question {
            // What the client answers goes to the server like an argument.
            let outcome = response.outcome.and_then(|answer| way.may_send(answer));
            question.answer(outcome);
        }
    }

    /// Whether a question still waits for its answer.
    pub(crate) fn is_open(&self, session: &str, id: &Id) -> bool {
        self.open.lock().contains_key(&(session.into(), id.clone()))
    }
}

impl CallQuestions {
    /// The next question as the request to send.
    pub(crate) fn poll_next(&mut self, way: &Way, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<Said>> {
        loop {
            match self.receiver.poll_recv(context) {
                std::task::Poll::Ready(Some(question)) => {
                    if let Some(said) = self.ask(question, way) {
                        return std::task::Poll::Ready(Some(said));
                    }
                }
                std::task::Poll::Ready(None) => return std::task::Poll::Ready(None),
                std::task::Poll::Pending => return std::task::Poll::Pending,
            }
        }
    }

    /// Enters a question. What the client did not declare is refused for it.
    fn ask(&mut self, mut question: Question, way: &Way) -> Option<Said> {
        if can_answer(&self.capabilities, &question.method, question.params.as_ref()).is_err() {
            question.answer(Err(RpcError::method_not_found()));
            return None;
        }
        if let Some(params) = question.params.take() {
            question.params = way.clean(params);
            if question.params.is_none() {
                question.answer(Err(RpcError::method_not_found()));
                return None;
            }
        }
        let id = Id::Text(format!("bailiwick-{}", self.asking.asked.fetch_add(1, Ordering::Relaxed)).into());
        let frame = encode::request(&id, &question.method, question.params.as_ref());
        let mut open = self.asking.open.lock();
        if open.len() >= OPEN_MAX {
            drop(open);
            question.answer(Err(RpcError::method_not_found()));
            return None;
        }
        open.insert((self.session.clone(), id.clone()), (question, way.clone()));
        self.open.push(id.clone());
        Some(Said { frame, asks: Some(id) })
    }
}

impl Drop for CallQuestions {
    fn drop(&mut self) {
        let mut open = self.asking.open.lock();
        for id in self.open.drain(..) {
            open.remove(&(self.session.clone(), id));
        }
    }
}
