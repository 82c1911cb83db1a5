//! Handles that come back from a client: only what was sealed for the same purpose opens. Input: purpose, a NUL, then a handle or a content.
#![no_main]

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock};

use bailiwick_fuzz::split_at_mark;
use bailiwick_mcp::{Json, Limits};
use bailiwick_model::time::{Clock, Random};
use bailiwick_model::{OrgId, ServerName, Timestamp};
use bailiwick_store::{AuditKey, DatabaseUrl, HANDLE_BYTES_MAX, Migrate, OpenOptions, RootKeySource, Store};
use serde::{Deserialize, Serialize};

/// Two organisations' keys, from a store as the program opens it.
static KEYS: LazyLock<[AuditKey; 2]> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(keys())
});

async fn keys() -> [AuditKey; 2] {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(OpenOptions {
        database: DatabaseUrl::sqlite(&dir.path().join("bw.db")).expect("a path"),
        root_key: RootKeySource::File { path: dir.path().join("root.key"), create: true },
        clock: Arc::new(Still),
        random: Arc::new(Changing(AtomicU8::new(0))),
        migrate: Migrate::Apply,
    });
    let store = store.await.expect("a store");
    let operator = store.platform("fuzz").expect("a scope");
    let mut keys = Vec::new();
    for name in ["acme", "globex"] {
        let org = OrgId::parse(name).expect("a name");
        store.orgs().ensure(&operator, &org).await.expect("an organisation");
        keys.push(store.audit_key(&operator.within(&org)).await.expect("a key"));
    }
    store.close().await;
    keys.try_into().expect("two keys")
}

struct Still;
impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_785_000_000_000_000)
    }
}

/// Bytes that are the same in every run, so that a found input fails again.
struct Counting;
impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.iter_mut().zip(1_u8..=u8::MAX).for_each(|(byte, number)| *byte = number);
    }
}

/// Other bytes with every call, so that the organisations have different keys.
struct Changing(AtomicU8);
impl Random for Changing {
    fn fill(&self, bytes: &mut [u8]) {
        let call = self.0.fetch_add(1, Ordering::Relaxed);
        Counting.fill(bytes);
        bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_mul(3).wrapping_add(call.wrapping_mul(101)));
    }
}

/// What a waiting call seals (`gateway::call::resume`).
#[derive(Serialize, Deserialize)]
struct State {
    inner: Json,
    expires: i64,
}

/// What a task seals (`gateway::call::task`).
#[derive(Serialize, Deserialize)]
struct Task {
    server: ServerName,
    tool: Box<str>,
    task: Box<str>,
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (purpose, rest) = split_at_mark(data, b"\0");
    let [key, other] = &*KEYS;
    if let Ok(text) = std::str::from_utf8(rest) {
        for key in [key, other] {
            assert_eq!(key.open_handle(purpose, text), None, "a handle that nobody sealed");
        }
    }
    let Some(handle) = key.seal_handle(purpose, rest, &Counting) else {
        assert!(rest.len() > HANDLE_BYTES_MAX);
        return;
    };
    assert_eq!(key.open_handle(purpose, &handle).as_deref(), Some(rest), "the round trip");
    assert_eq!(other.open_handle(purpose, &handle), None, "another organisation");
    assert_eq!(key.open_handle(&[purpose, b"x"].concat(), &handle), None, "another purpose");
    altered(key, purpose, &handle, rest);
    contents(rest);
});

/// One character changed, left out or added; every place in turn as far as the content chooses it.
fn altered(key: &AuditKey, purpose: &[u8], handle: &str, content: &[u8]) {
    let at = content.iter().fold(content.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % handle.len();
    let (before, behind) = handle.split_at(at);
    let replaced = if behind.starts_with('A') { "B" } else { "A" };
    for text in [
        format!("{before}{replaced}{}", &behind[1..]),
        format!("{before}{}", &behind[1..]),
        format!("{before}A{behind}"),
        format!("{before}\n{behind}"),
        format!("{handle}="),
        before.to_owned(),
    ] {
        // Adding an `A` beside an `A` changes nothing but the length; the length alone already fails.
        assert_eq!(key.open_handle(purpose, &text), None, "an altered handle opens");
    }
}

/// The JSON inside never brings in what the strict check refuses, and is written again as it was.
fn contents(content: &[u8]) {
    if let Ok(state) = serde_json::from_slice::<State>(content) {
        assert!(Json::check(state.inner.bytes().clone(), &Limits::RESULT).is_ok(), "unchecked text inside");
        let again = serde_json::to_vec(&state).expect("it can be written");
        let again: State = serde_json::from_slice(&again).expect("and read");
        assert_eq!((again.inner, again.expires), (state.inner, state.expires));
    }
    if let Ok(task) = serde_json::from_slice::<Task>(content) {
        let again: Task = serde_json::from_slice(&serde_json::to_vec(&task).expect("it can be written")).expect("and read");
        assert_eq!((again.server, again.tool, again.task), (task.server, task.tool, task.task));
    }
}
