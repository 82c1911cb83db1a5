//! What a legacy server asks while it works on a call (reference, protocol section 3.1).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::compose::Parts;
use crate::encode;
use crate::error::RpcError;
use crate::json::Json;
use crate::message::{Id, Request};

/// Questions of one call that wait for their answers at once; further ones are answered with -32601.
const QUESTIONS_OPEN_MAX: usize = 16;

/// A server's own request during a call: `elicitation/create`, `sampling/createMessage`, `roots/list` or another one. Untrusted.
///
/// Dropped without an answer, the server hears that nobody knows the method (-32601).
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub method: Box<str>,
    /// Its parameters as they came.
    pub params: Option<Json>,
    reply: oneshot::Sender<Result<Json, RpcError>>,
}

impl Question {
    /// A question that does not come from a server's own request, and where its answer will be.
    #[must_use]
    pub fn new(method: &str, params: Option<Json>) -> (Self, oneshot::Receiver<Result<Json, RpcError>>) {
        let (reply, answer) = oneshot::channel();
        (Self { method: method.into(), params, reply }, answer)
    }

    /// Answers. When the call has ended meanwhile, nothing happens.
    pub fn answer(self, outcome: Result<Json, RpcError>) {
        let _ = self.reply.send(outcome);
    }
}

/// The questions of one call that wait for their answers; dropped with the call, after which nobody waits for an answer any more.
#[derive(Debug, Default)]
pub(crate) struct Open(Option<JoinSet<()>>);

impl Open {
    /// Asks whoever made the call. `reply` sends the answer, whenever it comes. A request that cannot be asked is given back.
    pub(crate) fn ask<F>(
        &mut self,
        to: &mpsc::Sender<Question>,
        request: Request,
        reply: impl FnOnce(Parts) -> F + Send + 'static,
    ) -> Result<(), Request>
    where
        F: Future<Output = ()> + Send,
    {
        if self.count() >= QUESTIONS_OPEN_MAX || tokio::runtime::Handle::try_current().is_err() {
            return Err(request);
        }
        let Ok(room) = to.try_reserve() else { return Err(request) };
        let (word, answer) = oneshot::channel();
        let Request { id, method, params } = request;
        room.send(Question { method: method.into(), params, reply: word });
        self.0.get_or_insert_default().spawn(async move {
            let outcome = answer.await.unwrap_or_else(|_| Err(RpcError::method_not_found()));
            reply(response(&id, outcome)).await;
        });
        Ok(())
    }

    /// Whether the server waits for us.
    pub(crate) fn is_empty(&mut self) -> bool {
        self.count() == 0
    }

    fn count(&mut self) -> usize {
        let Some(tasks) = &mut self.0 else { return 0 };
        while tasks.try_join_next().is_some() {}
        tasks.len()
    }
}

/// Whose calls were sent in one session or to one child.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    first: Option<u64>,
    /// There was more than one. It stays so: a late word may be meant for anybody.
    pub(crate) several: bool,
}

impl Owners {
    pub(crate) fn note(&mut self, owner: Option<u64>) {
        let Some(owner) = owner else { return };
        self.several |= *self.first.get_or_insert(owner) != owner;
    }
}

/// The calls on their way that take questions.
#[derive(Debug, Default)]
pub(crate) struct Askers(Mutex<OpenAskers>);

#[derive(Debug, Default)]
struct OpenAskers {
    calls: HashMap<u64, mpsc::Sender<Question>>,
    owners: Owners,
}

/// One call among them; leaves when dropped.
pub(crate) struct Asker<'a> {
    askers: &'a Askers,
    id: u64,
}

impl Askers {
    /// Enters the call `id`; it has a place if it takes questions.
    pub(crate) fn enter(&self, id: u64, owner: Option<u64>, questions: Option<&mpsc::Sender<Question>>) -> Option<Asker<'_>> {
        owner?;
        let mut open = self.open();
        open.owners.note(owner);
        open.calls.insert(id, questions?.clone());
        Some(Asker { askers: self, id })
    }

    /// Where the only call that takes questions wants them; nowhere, when calls of several owners were sent.
    pub(crate) fn only(&self) -> Option<mpsc::Sender<Question>> {
        let open = self.open();
        if open.owners.several {
            return None;
        }
        let mut all = open.calls.values();
        let first = all.next();
        if all.next().is_some() { None } else { first.cloned() }
    }

    fn open(&self) -> MutexGuard<'_, OpenAskers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        self.askers.open().calls.remove(&self.id);
    }
}

fn response(id: &Id, outcome: Result<Json, RpcError>) -> Parts {
    let frame = match outcome {
        Ok(result) => encode::result(id, &result),
        Err(error) => encode::error(Some(id), &error),
    };
    frame.to_bytes().into()
}

/// The answer to a request that nobody takes: we are here, and can do nothing else for it.
pub(crate) fn decline(request: &Request) -> Parts {
    let outcome = if request.method == "ping" { Ok(Json::from_static("{}")) } else { Err(RpcError::method_not_found()) };
    response(&request.id, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &'static str) -> Request {
        Request { id: Id::Text("a\"b".into()), method: method.into(), params: None }
    }

    #[test]
    fn only_a_ping_gets_a_result() {
        let answer = |method| String::from_utf8(decline(&request(method)).0.concat()).unwrap();
        assert_eq!(answer("ping"), r#"{"jsonrpc":"2.0","id":"a\"b","result":{}}"#);
        for method in ["roots/list", "sampling/createMessage", "elicitation/create", "no/such"] {
            assert!(answer(method).contains(r#""code":-32601"#), "{method}");
        }
    }

    #[tokio::test]
    async fn open_questions_are_counted_until_they_are_answered() {
        let (to, mut asked) = mpsc::channel(QUESTIONS_OPEN_MAX + 1);
        let (say, mut said) = mpsc::channel(QUESTIONS_OPEN_MAX + 1);
        let mut open = Open::default();
        let ask = |open: &mut Open| {
            let say = say.clone();
            open.ask(&to, request("roots/list"), |parts| async move { say.send(parts).await.unwrap() }).is_ok()
        };
        for _ in 0..QUESTIONS_OPEN_MAX {
            assert!(ask(&mut open));
        }
        assert!(!ask(&mut open), "no more than these at once");
        asked.recv().await.unwrap().answer(Ok(Json::from_static("{}")));
        drop(asked.recv().await.unwrap());
        let answers = [said.recv().await.unwrap(), said.recv().await.unwrap()].map(|parts| parts.0.concat());
        assert!(answers.iter().any(|answer| answer.ends_with(br#""result":{}}"#)));
        assert!(answers.iter().any(|answer| answer.windows(6).any(|part| part == b"-32601")));
        while open.count() > QUESTIONS_OPEN_MAX - 2 {
            tokio::task::yield_now().await;
        }
        assert!(ask(&mut open) && !open.is_empty());
    }
}
