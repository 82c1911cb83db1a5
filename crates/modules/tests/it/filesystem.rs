//! What the filesystem tools do for an agent that stays in its place.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Instant;

use bailiwick_model::Code;
use bailiwick_modules::{Access, Cancel};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Agent, mistakes_in, open, try_open};

struct Home {
    base: TempDir,
    agent: Agent,
}

fn home(extra: Value) -> Home {
    let base = tempfile::tempdir().unwrap();
    let mut config = json!({ "base_path": base.path(), "extended_tools": true });
    config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let agent = open("filesystem", "a1", None, &config);
    Home { base, agent }
}

impl Home {
    fn root(&self) -> PathBuf {
        self.base.path().join("agents/a1")
    }

    async fn ok(&self, tool: &str, arguments: Value) -> Value {
        self.agent.call(tool, &arguments).await.unwrap_or_else(|f| panic!("{tool} {arguments}: {f:?}"))
    }

    async fn code(&self, tool: &str, arguments: Value) -> Code {
        self.agent.code(tool, &arguments).await.expect_err(tool)
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn a_file_is_written_read_listed_and_deleted() {
    let home = home(json!({}));
    assert_eq!(home.ok("list_dir", json!({})).await, json!([]));
    assert_eq!(home.ok("write_file", json!({"path": "notes/today.md", "content": "grüß dich\n"})).await, json!(true));
    assert_eq!(home.ok("read_file", json!({"path": "notes/today.md"})).await, json!("grüß dich\n"));
    assert_eq!(home.ok("write_file", json!({"path": "notes/today.md", "content": ""})).await, json!(true));
    assert_eq!(home.ok("read_file", json!({"path": "./notes//today.md"})).await, json!(""));
    home.ok("write_file", json!({"path": "B", "content": "x"})).await;
    home.ok("write_file", json!({"path": "a", "content": "x"})).await;
    assert_eq!(home.ok("list_dir", json!({"path": "."})).await, json!(["B", "a", "notes"]));
    let absolute = home.root().join("a");
    assert_eq!(home.ok("delete_file", json!({"path": absolute})).await, json!(true));
    assert_eq!(home.ok("list_dir", json!({"path": ""})).await, json!(["B", "notes"]));
    assert_eq!(home.code("read_file", json!({"path": "a"})).await, Code::NotFound);
}

#[tokio::test]
async fn a_string_result_is_its_own_text_block() {
    let home = home(json!({}));
    home.ok("write_file", json!({"path": "a", "content": "\"q\""})).await;
    let cancel = Cancel::new();
    let context = crate::support::context(Instant::now() + std::time::Duration::from_secs(9), &cancel);
    let output = home.agent.0.call("read_file", r#"{"path":"a"}"#, context).await.unwrap();
    assert_eq!(output.text.as_deref(), Some("\"q\""));
    assert_eq!(output.structured, r#""\"q\"""#);
    let output = home.agent.0.call("list_dir", "{}", context).await.unwrap();
    assert_eq!((output.structured.as_str(), output.text), (r#"["a"]"#, None));
}

#[tokio::test]
async fn rights_are_for_the_owner_only() {
    let home = home(json!({}));
    home.ok("write_file", json!({"path": "d/f", "content": "x"})).await;
    home.ok("append_file", json!({"path": "d/g", "content": "x"})).await;
    home.ok("make_dir", json!({"path": "e"})).await;
    assert_eq!(mode(&home.root()), 0o700);
    assert_eq!(mode(&home.base.path().join("agents")), 0o700);
    assert_eq!(mode(&home.root().join("d")), 0o700);
    assert_eq!(mode(&home.root().join("e")), 0o700);
    assert_eq!(mode(&home.root().join("d/f")), 0o600);
    assert_eq!(mode(&home.root().join("d/g")), 0o600);
}

#[tokio::test]
async fn a_write_leaves_no_temporary_file_and_listings_hide_one() {
    let home = home(json!({}));
    fs::create_dir(home.root().join("taken")).unwrap();
    fs::write(home.root().join(".bailiwick-tmp-0000000000000000"), "left by a crash").unwrap();
    assert_eq!(home.code("write_file", json!({"path": "taken", "content": "x"})).await, Code::IsDirectory);
    home.ok("write_file", json!({"path": "f", "content": "x"})).await;
    assert_eq!(home.ok("list_dir", json!({})).await, json!(["f", "taken"]));
    assert_eq!(fs::read_dir(home.root()).unwrap().count(), 3);
    home.ok("delete_file", json!({"path": ".bailiwick-tmp-0000000000000000"})).await;
}

#[tokio::test]
async fn limits_have_names_and_are_exact() {
    let home = home(json!({"max_read_bytes": 10, "max_write_bytes": 20, "max_list_entries": 3}));
    fs::write(home.root().join("ten"), "0123456789").unwrap();
    fs::write(home.root().join("eleven"), "0123456789x").unwrap();
    assert_eq!(home.ok("read_file", json!({"path": "ten"})).await, json!("0123456789"));
    let fault = home.agent.call("read_file", &json!({"path": "eleven"})).await.unwrap_err();
    assert_eq!(fault.code, Code::LimitExceeded);
    assert_eq!(fault.details, Some(json!({"limit": "max_read_bytes", "value": 10})));
    home.ok("write_file", json!({"path": "w", "content": "x".repeat(20)})).await;
    assert_eq!(home.code("write_file", json!({"path": "w", "content": "x".repeat(21)})).await, Code::LimitExceeded);
    assert_eq!(home.code("append_file", json!({"path": "w", "content": "é".repeat(11)})).await, Code::LimitExceeded);
    assert_eq!(fs::read(home.root().join("w")).unwrap().len(), 20);
    assert_eq!(home.ok("list_dir", json!({})).await, json!(["eleven", "ten", "w"]));
    fs::write(home.root().join("fourth"), "").unwrap();
    assert_eq!(home.code("list_dir", json!({})).await, Code::LimitExceeded);
    assert_eq!(home.code("read_range", json!({"path": "w", "offset": 0, "length": 11})).await, Code::LimitExceeded);
}

#[tokio::test]
async fn the_quota_counts_what_is_there() {
    let home = home(json!({"quota_bytes": 100}));
    home.ok("write_file", json!({"path": "a", "content": "x".repeat(60)})).await;
    let refused = home.agent.call("write_file", &json!({"path": "b", "content": "x".repeat(41)})).await.unwrap_err();
    assert_eq!(refused.details, Some(json!({"limit": "quota_bytes", "value": 100})));
    assert!(!home.root().join("b").exists());
    // Replacing counts the difference, appending the sum.
    home.ok("write_file", json!({"path": "a", "content": "x".repeat(100)})).await;
    assert_eq!(home.code("append_file", json!({"path": "a", "content": "x"})).await, Code::LimitExceeded);
    home.ok("write_file", json!({"path": "a", "content": "x".repeat(50)})).await;
    home.ok("append_file", json!({"path": "a", "content": "x".repeat(50)})).await;
    // Room made by others and by ourselves is found.
    fs::write(home.root().join("a"), "x".repeat(10)).unwrap();
    home.ok("write_file", json!({"path": "d/b", "content": "x".repeat(90)})).await;
    home.ok("delete_file", json!({"path": "d/b"})).await;
    home.ok("write_file", json!({"path": "c", "content": "x".repeat(90)})).await;
    assert_eq!(home.code("write_file", json!({"path": "d/b", "content": "x"})).await, Code::LimitExceeded);
}

#[tokio::test]
async fn only_text_is_read() {
    let home = home(json!({}));
    fs::write(home.root().join("bin"), b"ok\xff\xfe").unwrap();
    assert_eq!(home.code("read_file", json!({"path": "bin"})).await, Code::NotText);
    assert_eq!(home.code("read_range", json!({"path": "bin", "offset": 0, "length": 10})).await, Code::NotText);
    fs::write(home.root().join("nul"), b"a\0b").unwrap();
    assert_eq!(home.ok("read_file", json!({"path": "nul"})).await, json!("a\0b"));
}

#[tokio::test]
async fn ranges_keep_characters_whole() {
    let home = home(json!({}));
    fs::write(home.root().join("t"), "aé€b").unwrap();
    let range = |offset: u64, length: u64| json!({"path": "t", "offset": offset, "length": length});
    let part = home.ok("read_range", range(0, 4)).await;
    assert_eq!(part, json!({"content": "aé", "offset": 0, "next_offset": 3, "bytes": 7}));
    let part = home.ok("read_range", range(2, 9)).await;
    assert_eq!(part, json!({"content": "€b", "offset": 3, "next_offset": null, "bytes": 7}));
    let part = home.ok("read_range", range(90, 9)).await;
    assert_eq!(part, json!({"content": "", "offset": 90, "next_offset": null, "bytes": 7}));
    assert_eq!(home.code("read_range", range(0, 3)).await, Code::InvalidArgument);
}

#[tokio::test]
async fn files_are_looked_at_moved_and_searched() {
    let home = home(json!({}));
    home.ok("append_file", json!({"path": "log/a.txt", "content": "one\ntwo needle\n"})).await;
    home.ok("append_file", json!({"path": "log/a.txt", "content": "three\nneedle needle"})).await;
    home.ok("write_file", json!({"path": "log/b.md", "content": "needle"})).await;
    let seen = home.ok("stat", json!({"path": "log/a.txt"})).await;
    assert_eq!((&seen["kind"], &seen["bytes"]), (&json!("file"), &json!(34)));
    assert_eq!(home.ok("stat", json!({"path": ""})).await["kind"], "directory");
    let found = home.ok("search", json!({"name": "*.txt", "text": "needle"})).await;
    let wanted = json!({"matches": [
        {"path": "log/a.txt", "line": 2, "content": "two needle"},
        {"path": "log/a.txt", "line": 4, "content": "needle needle"},
    ], "complete": true});
    assert_eq!(found, wanted);
    let names = home.ok("search", json!({"path": "log"})).await;
    assert_eq!(names["matches"], json!([{"path": "log/a.txt"}, {"path": "log/b.md"}]));
    assert_eq!(home.code("search", json!({"path": "log/b.md"})).await, Code::NotDirectory);
    assert_eq!(home.code("move_file", json!({"from": "log/a.txt", "to": "log/b.md"})).await, Code::AlreadyExists);
    home.ok("move_file", json!({"from": "log/a.txt", "to": "old/a.txt"})).await;
    assert_eq!(home.code("move_file", json!({"from": "log/a.txt", "to": "x"})).await, Code::NotFound);
    assert_eq!(home.code("move_file", json!({"from": "log", "to": "x"})).await, Code::IsDirectory);
    assert_eq!(fs::read_to_string(home.root().join("log/b.md")).unwrap(), "needle");
    assert_eq!(home.ok("list_dir", json!({"path": "old"})).await, json!(["a.txt"]));
}

#[tokio::test]
async fn directories_are_made_and_removed_when_empty() {
    let home = home(json!({}));
    home.ok("make_dir", json!({"path": "x/y/z"})).await;
    home.ok("make_dir", json!({"path": "x/y/z"})).await;
    assert_eq!(home.code("delete_dir", json!({"path": "x"})).await, Code::InvalidArgument);
    home.ok("delete_dir", json!({"path": "x/y/z"})).await;
    assert_eq!(home.code("delete_dir", json!({"path": "x/y/z"})).await, Code::NotFound);
    for root in [".", "x/.."] {
        assert_eq!(home.code("delete_dir", json!({"path": root})).await, Code::PathRefused);
    }
    home.ok("write_file", json!({"path": "f", "content": ""})).await;
    assert_eq!(home.code("delete_dir", json!({"path": "f"})).await, Code::NotDirectory);
    assert_eq!(home.code("make_dir", json!({"path": "f"})).await, Code::NotDirectory);
    assert_eq!(home.code("make_dir", json!({"path": "f/g"})).await, Code::NotDirectory);
}

#[tokio::test]
async fn faults_show_the_path_as_given_and_no_host_path() {
    let home = home(json!({}));
    symlink("/etc", home.root().join("out")).unwrap();
    let host = home.base.path().to_str().unwrap().to_owned();
    for (tool, arguments) in [
        ("read_file", json!({"path": "dir/../gone"})),
        ("read_file", json!({"path": "out/passwd"})),
        ("write_file", json!({"path": "../up", "content": ""})),
        ("list_dir", json!({"path": "gone"})),
        ("read_file", json!({"path": "/etc/passwd"})),
    ] {
        let fault = home.agent.call(tool, &arguments).await.unwrap_err();
        assert!(!fault.remedy.is_empty(), "{fault:?}");
        let shown = format!("{} {} {:?}", fault.message, fault.remedy, fault.details);
        assert!(!shown.contains(&host) && !shown.contains("os error"), "{shown}");
    }
    let fault = home.agent.call("read_file", &json!({"path": "dir/../gone"})).await.unwrap_err();
    assert!(fault.message.contains("`dir/../gone`"), "{}", fault.message);
}

#[tokio::test]
async fn confine_answers_like_call_without_touching_the_disk() {
    let home = home(json!({}));
    let module = &home.agent.0;
    let word = |tool: &str, text: &str| module.confine(tool, text).map_err(|f| f.code);
    assert_eq!(word("read_file", r#"{"path":"missing"}"#), Ok(()));
    assert_eq!(word("read_file", r#"{"path":"n1/../../victim/f"}"#), Err(Code::PathRefused));
    assert_eq!(word("move_file", r#"{"from":"a","to":"../b"}"#), Err(Code::PathRefused));
    assert_eq!(word("read_file", r#"{"path":""}"#), Err(Code::InvalidArgument));
    assert_eq!(word("read_file", r#"{"path":5}"#), Err(Code::InvalidArgument));
    assert_eq!(word("read_file", r#"{"path":"a","x":1}"#), Err(Code::InvalidArgument));
    assert_eq!(word("read_file", "{}"), Err(Code::InvalidArgument));
    assert_eq!(word("nonsense", "{}"), Err(Code::PolicyDenied));
    assert_eq!(word("write_file", r#"{"path":"n1/n2/f","content":""}"#), Ok(()));
    assert!(!home.root().join("n1").exists());
}

#[tokio::test]
async fn the_mode_decides_what_is_offered() {
    let base = tempfile::tempdir().unwrap();
    let names = |access, extended| {
        let config = json!({"base_path": base.path(), "extended_tools": extended});
        let agent = open("filesystem", "a1", access, &config);
        (agent.0.tools().into_iter().map(|t| t.name.into_owned()).collect::<Vec<_>>(), agent)
    };
    let (read, reader) = names(Some(Access::Read), false);
    assert_eq!(read, ["read_file", "list_dir"]);
    for tool in ["write_file", "delete_file", "stat", "append_file"] {
        assert_eq!(reader.code(tool, &json!({"path": "x", "content": ""})).await, Err(Code::PolicyDenied), "{tool}");
    }
    assert_eq!(names(Some(Access::Write), false).0, ["read_file", "list_dir", "write_file", "delete_file"]);
    assert_eq!(names(None, false).0, ["read_file", "list_dir", "write_file", "delete_file"]);
    assert_eq!(names(Some(Access::Read), true).0, ["read_file", "list_dir", "stat", "read_range", "search"]);
    assert_eq!(names(Some(Access::Write), true).0.len(), 11);
}

#[test]
fn configuration_faults_name_the_key() {
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("file");
    fs::write(&file, "").unwrap();
    symlink("a2", base.path().join("linked")).unwrap();
    let fault = |access, config: Value| try_open("filesystem", "linked", access, &config).err().and_then(|f| f.key);
    let at = base.path();
    for (config, key) in [
        (json!({}), "base_path"),
        (json!({"base_path": ""}), "base_path"),
        (json!({"base_path": 5}), "base_path"),
        (json!({"base_path": file}), "base_path"),
        (json!({"base_path": at, "layout": "{agent_id}"}), "base_path"),
        (json!({"base_path": at, "base_pth": "x"}), "base_pth"),
        (json!({"base_path": at, "layout": "../{agent_id}"}), "layout"),
        (json!({"base_path": at, "layout": "/{agent_id}"}), "layout"),
        (json!({"base_path": at, "layout": "shared"}), "layout"),
        (json!({"base_path": at, "layout": "{agent_type}-{agent_id}"}), "layout"),
        (json!({"base_path": at, "layout": "{agent_id.x}"}), "layout"),
        (json!({"base_path": at, "max_read_bytes": 0}), "max_read_bytes"),
        (json!({"base_path": at, "max_read_bytes": "1"}), "max_read_bytes"),
        (json!({"base_path": at, "quota_bytes": -1}), "quota_bytes"),
        (json!({"base_path": at, "hard_links": "maybe"}), "hard_links"),
        (json!({"base_path": at, "extended_tools": "yes"}), "extended_tools"),
    ] {
        assert_eq!(fault(None, config.clone()).as_deref(), Some(key), "{config}");
    }
    // What needs no disk to see is found by `validate`, too.
    for (config, keys) in [
        (json!({"base_path": at}), &[][..]),
        (json!({"base_path": "a\0b"}), &["base_path"]),
        (json!({"base_path": at, "layout": ""}), &["layout"]),
        (json!({"base_path": at, "layout": "x/../{agent_id}", "max_read_bytes": 0}), &["layout", "max_read_bytes"]),
        (json!({"base_path": at, "max_write_bytes": 9 << 20, "max_list_entries": 0}), &["max_write_bytes", "max_list_entries"]),
    ] {
        assert_eq!(mistakes_in("filesystem", None, &config, &[]), keys, "{config}");
    }
    assert!(mistakes_in("filesystem", Some(Access::Read), &json!({"base_path": at, "layout": "shared"}), &[]).is_empty());
    // A common directory is fine for agents that only look.
    assert_eq!(fault(Some(Access::Read), json!({"base_path": at, "layout": "shared/{agent_type}"})), None);
    assert!(at.join("shared/tester").is_dir());
}

#[tokio::test]
async fn hard_links_are_for_readers_or_by_configuration() {
    let base = tempfile::tempdir().unwrap();
    fs::create_dir_all(base.path().join("agents/a1")).unwrap();
    fs::write(base.path().join("other"), "x").unwrap();
    fs::hard_link(base.path().join("other"), base.path().join("agents/a1/hard")).unwrap();
    for (access, config, served) in [
        (Some(Access::Read), json!({}), true),
        (Some(Access::Read), json!({"hard_links": "refuse"}), false),
        (Some(Access::Write), json!({}), false),
        (None, json!({}), false),
        (Some(Access::Write), json!({"hard_links": "allow"}), true),
    ] {
        let mut all = json!({"base_path": base.path()});
        all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        let seen = open("filesystem", "a1", access, &all).code("read_file", &json!({"path": "hard"})).await;
        assert_eq!(seen, if served { Ok(json!("x")) } else { Err(Code::UnsupportedFile) }, "{access:?} {config}");
    }
}

#[tokio::test]
async fn deadline_and_cancel_are_honoured() {
    let home = home(json!({}));
    let cancel = Cancel::new();
    let write = json!({"path": "f", "content": "x"});
    let late = home.agent.call_until("write_file", &write, Instant::now(), &cancel).await.unwrap_err();
    assert_eq!(late.code, Code::Deadline);
    cancel.cancel();
    let far = Instant::now() + std::time::Duration::from_secs(60);
    let cancelled = home.agent.call_until("write_file", &write, far, &cancel).await.unwrap_err();
    assert_eq!(cancelled.code, Code::Cancelled);
    assert!(!home.root().join("f").exists());
}

#[tokio::test]
async fn refusals_say_what_is_meant() {
    let home = home(json!({}));
    symlink("round", home.root().join("round")).unwrap();
    for (tool, arguments, code, words) in [
        ("delete_dir", json!({"path": ""}), Code::InvalidArgument, "name a directory"),
        ("make_dir", json!({"path": ""}), Code::InvalidArgument, "name a directory"),
        ("read_file", json!({"path": ""}), Code::InvalidArgument, "name a file"),
        ("read_file", json!({"path": "round"}), Code::PathRefused, "`round` leads through symbolic links in a circle"),
        ("list_dir", json!({"path": "round"}), Code::PathRefused, "`round` leads through symbolic links in a circle"),
        ("read_file", json!({"path": "round/x"}), Code::PathRefused, "symbolic links in a circle"),
        ("read_file", json!({"path": "../x"}), Code::PathRefused, "outside the agent's directory"),
    ] {
        let fault = home.agent.call(tool, &arguments).await.unwrap_err();
        assert_eq!(fault.code, code, "{tool} {arguments}");
        assert!(format!("{}; {}", fault.message, fault.remedy).contains(words), "{tool} {arguments}: {fault:?}");
    }
}
