//! Calls while somebody else on the host exchanges names: they may fail, they never leave the root.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bailiwick_model::Code;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use serde_json::{Value, json};

use crate::support::open;

const CANARY: &str = "CANARY-51aa";
/// Calls made in each race.
const CALLS: usize = 1500;

/// Exchanges two names over and over until told to stop.
struct Swapper {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<u64>>,
}

impl Swapper {
    fn start(a: &Path, b: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, a, b) = (Arc::clone(&stop), a.to_owned(), b.to_owned());
        let thread = thread::spawn(move || {
            let mut count = 0;
            while !seen.load(Ordering::Relaxed) {
                renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).unwrap();
                count += 1;
                thread::yield_now();
            }
            count
        });
        Self { stop, thread: Some(thread) }
    }

    fn finish(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

/// A root with the real directory `d` and beside it the link `l`, which leads to another agent.
fn world() -> (tempfile::TempDir, std::path::PathBuf) {
    let base = tempfile::tempdir().unwrap();
    let root = base.path().join("agents/a1");
    fs::create_dir_all(root.join("d/sub")).unwrap();
    fs::create_dir_all(base.path().join("agents/a2/sub")).unwrap();
    for (file, content) in
        [("agents/a1/d/f", "inside"), ("agents/a2/f", CANARY), ("agents/a1/d/sub/f", "inside"), ("agents/a2/sub/f", CANARY)]
    {
        fs::write(base.path().join(file), content).unwrap();
    }
    symlink("../a2", root.join("l")).unwrap();
    (base, root)
}

#[tokio::test]
async fn a_directory_that_turns_into_a_link_leads_nowhere() {
    let (base, root) = world();
    let agent = open("filesystem", "a1", None, &json!({ "base_path": base.path(), "extended_tools": true }));
    let swapper = Swapper::start(&root.join("d"), &root.join("l"));
    let (mut inside, mut refused) = (0, 0);
    for n in 0..CALLS {
        let path = if n % 2 == 0 { "d/f" } else { "d/sub/f" };
        let outcome = match n % 5 {
            0 | 1 => agent.code("read_file", &json!({ "path": path })).await,
            2 => agent.code("write_file", &json!({ "path": path, "content": "inside" })).await,
            3 => agent.code("write_file", &json!({ "path": format!("d/new/{n}/f"), "content": "inside" })).await,
            _ => agent.code("append_file", &json!({ "path": "d/log", "content": "inside" })).await,
        };
        match outcome {
            Ok(value) => {
                assert!(value == json!("inside") || value == json!(true), "{value}");
                inside += 1;
            }
            Err(Code::PathRefused | Code::NotFound) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    let swaps = swapper.finish();
    assert!(swaps > 100 && inside > 0 && refused > 0, "no race took place: {swaps} {inside} {refused}");
    let other = base.path().join("agents/a2");
    assert_eq!(fs::read_to_string(other.join("f")).unwrap(), CANARY);
    assert_eq!(fs::read_to_string(other.join("sub/f")).unwrap(), CANARY);
    assert_eq!(fs::read_dir(&other).unwrap().count(), 2);
    assert_eq!(fs::read_dir(other.join("sub")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_file_that_turns_into_a_link_is_never_written_or_deleted_through() {
    let (base, root) = world();
    fs::write(root.join("f"), "inside").unwrap();
    symlink("../a2/f", root.join("lf")).unwrap();
    let agent = open("filesystem", "a1", None, &json!({ "base_path": base.path(), "extended_tools": true }));
    let swapper = Swapper::start(&root.join("f"), &root.join("lf"));
    for n in 0..CALLS {
        let outcome = match n % 3 {
            0 => agent.code("read_file", &json!({ "path": "f" })).await,
            1 => agent.code("append_file", &json!({ "path": "f", "content": "+" })).await,
            _ => agent.code("read_range", &json!({ "path": "f", "offset": 0, "length": 64 })).await,
        };
        assert!(!format!("{outcome:?}").contains(CANARY));
        assert!(!matches!(outcome, Err(Code::Internal)), "{outcome:?}");
    }
    assert!(swapper.finish() > 0);
    assert_eq!(fs::read_to_string(base.path().join("agents/a2/f")).unwrap(), CANARY);
}

/// The look before the opening can be raced; the opening itself must not wait for a writer then.
#[tokio::test]
async fn a_file_that_turns_into_a_pipe_never_hangs_a_call() {
    let (base, root) = world();
    fs::write(root.join("f"), "inside").unwrap();
    mknodat(CWD, root.join("p"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let agent = open("filesystem", "a1", None, &json!({ "base_path": base.path(), "extended_tools": true }));
    let swapper = Swapper::start(&root.join("f"), &root.join("p"));
    for n in 0..CALLS {
        let tool = if n % 3 == 0 { "append_file" } else { "read_file" };
        let arguments = if n % 3 == 0 { json!({ "path": "f", "content": "" }) } else { json!({ "path": "f" }) };
        let outcome = agent.code(tool, &arguments).await;
        let fine = matches!(&outcome, Ok(Value::String(text)) if text == "inside") || outcome == Ok(json!(true));
        assert!(fine || outcome == Err(Code::UnsupportedFile), "{tool}: {outcome:?}");
    }
    assert!(swapper.finish() > 0);
}

#[tokio::test]
async fn readers_see_the_old_or_the_new_content() {
    let base = tempfile::tempdir().unwrap();
    let agent = Arc::new(open("filesystem", "a1", None, &json!({ "base_path": base.path() })));
    let contents = ["a".repeat(100_000), "b".repeat(90_000)];
    agent.call("write_file", &json!({ "path": "f", "content": contents[0] })).await.unwrap();
    let writer = Arc::clone(&agent);
    let both = contents.clone();
    let writing = tokio::spawn(async move {
        for n in 0..40 {
            writer.call("write_file", &json!({ "path": "f", "content": both[n % 2] })).await.unwrap();
        }
    });
    while !writing.is_finished() {
        let seen = agent.call("read_file", &json!({ "path": "f" })).await.unwrap();
        assert!(contents.iter().any(|content| seen == json!(content)));
    }
    writing.await.unwrap();
    assert_eq!(agent.call("list_dir", &json!({})).await.unwrap(), json!(["f"]));
}
