//! The table of paths: what each means to the four tools, and that nothing outside is ever read or changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Instant;

use bailiwick_model::Code;
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Agent, open};

/// Stands in every file outside the agent's root.
const CANARY: &str = "CANARY-7d1f";

/// Path, then the verdicts of `read_file`, `list_dir`, `write_file` and `delete_file`. `{base}` and `{root}` stand for the
/// host's paths, `{n*count}` for repetition. Verdicts: `+` done, `P` path_refused, `I` invalid_argument, `N` not_found,
/// `D` is_directory, `F` not_directory, `U` unsupported_file, `T` not_text, `L` limit_exceeded.
const PATHS: &[(&str, &str)] = &[
    // Allowed.
    ("hello.txt", "+F++"),
    ("./hello.txt", "+F++"),
    ("dir/../hello.txt", "+F++"),
    ("dir/inner.txt", "+F++"),
    ("dir//inner.txt", "+F++"),
    ("dir/./inner.txt", "+F++"),
    ("dir/deep/../../hello.txt", "+F++"),
    ("missing/../hello.txt", "+F++"),
    ("a/b/c/../../../hello.txt", "+F++"),
    ("hello.txt/", "+F++"),
    ("{root}/hello.txt", "+F++"),
    ("{root}//dir/../hello.txt", "+F++"),
    ("/{root}/hello.txt", "+F++"),
    ("dir", "D+DD"),
    ("dir/", "D+DD"),
    ("dir/deep", "D+DD"),
    ("empty", "D+DD"),
    (".", "D+DD"),
    ("./", "D+DD"),
    ("dir/..", "D+DD"),
    ("dir/deep/../..", "D+DD"),
    ("{root}", "D+DD"),
    ("{root}/", "D+DD"),
    ("{root}/.", "D+DD"),
    ("", "I+II"),
    // Missing: read, list and delete say so, write creates.
    ("missing", "NN+N"),
    ("dir/missing", "NN+N"),
    ("missing/dir/file", "NN+N"),
    ("empty/missing", "NN+N"),
    ("...", "NN+N"),
    ("....", "NN+N"),
    (".. ", "NN+N"),
    (" ..", "NN+N"),
    (" ", "NN+N"),
    ("..hidden", "NN+N"),
    ("a..b/c", "NN+N"),
    (".../x", "NN+N"),
    ("~", "NN+N"),
    ("~/x", "NN+N"),
    ("~root/x", "NN+N"),
    ("$HOME/x", "NN+N"),
    ("${HOME}", "NN+N"),
    ("%2e%2e/secret.txt", "NN+N"),
    ("%2e%2e%2fsecret.txt", "NN+N"),
    ("..%2fsecret.txt", "NN+N"),
    ("%252e%252e/x", "NN+N"),
    ("..\\secret.txt", "NN+N"),
    ("dir\\..\\..\\secret.txt", "NN+N"),
    ("C:\\Windows\\win.ini", "NN+N"),
    ("C:/x", "NN+N"),
    ("\\\\host\\share", "NN+N"),
    ("file:///etc/passwd", "NN+N"),
    ("file:..", "NN+N"),
    ("*", "NN+N"),
    ("*.txt", "NN+N"),
    ("{hello,x}", "NN+N"),
    ("`id`", "NN+N"),
    ("$(id)", "NN+N"),
    ("; ls", "NN+N"),
    ("|x", "NN+N"),
    ("-rf", "NN+N"),
    ("--help", "NN+N"),
    ("CON", "NN+N"),
    ("NUL", "NN+N"),
    ("hello.txt:stream", "NN+N"),
    ("HELLO.TXT", "NN+N"),
    ("．．/x", "NN+N"),
    ("‥/x", "NN+N"),
    ("․․/x", "NN+N"),
    ("∕etc∕passwd", "NN+N"),
    ("dir／inner.txt", "NN+N"),
    ("hello.txt\u{200b}", "NN+N"),
    ("\u{202e}txt.olleh", "NN+N"),
    ("caf\u{e9}", "NN+N"),
    ("cafe\u{301}", "NN+N"),
    ("日本語/ファイル", "NN+N"),
    ("{x*255}", "NN+N"),
    ("{ab/*60}f", "NN+N"),
    // Through a file.
    ("hello.txt/x", "FFFF"),
    ("hello.txt/dir/x", "FFFF"),
    ("hello.txt/../dir", "D+DD"),
    // Climbing out, existing or not.
    ("..", "PPPP"),
    ("../", "PPPP"),
    ("./..", "PPPP"),
    ("../.", "PPPP"),
    ("../..", "PPPP"),
    ("../a1", "PPPP"),
    ("../a1/hello.txt", "PPPP"),
    ("../a10", "PPPP"),
    ("../a10/secret.txt", "PPPP"),
    ("../a10/missing", "PPPP"),
    ("../a2/secret.txt", "PPPP"),
    ("../../secret.txt", "PPPP"),
    ("../../missing", "PPPP"),
    ("../../agents/a2/secret.txt", "PPPP"),
    ("dir/../..", "PPPP"),
    ("dir/../../a2/secret.txt", "PPPP"),
    ("dir/deep/../../../a2/secret.txt", "PPPP"),
    ("dir/../../a1/hello.txt", "PPPP"),
    ("missing/../../a2/secret.txt", "PPPP"),
    ("n1/../../victim/f", "PPPP"),
    ("n1/n2/../../../a2/new", "PPPP"),
    ("./././../a2/secret.txt", "PPPP"),
    ("dir//..//..//a2/secret.txt", "PPPP"),
    ("hello.txt/../../a2/secret.txt", "PPPP"),
    ("..//a2/secret.txt", "PPPP"),
    ("../{../*20}etc/passwd", "PPPP"),
    ("{../*200}etc/passwd", "PPPP"),
    ("a/b/{../*3}a2/secret.txt", "PPPP"),
    ("link-dir/../../a2/secret.txt", "PPPP"),
    ("fifo/../../x", "PPPP"),
    (".../../../x", "PPPP"),
    // Absolute and outside.
    ("/", "PPPP"),
    ("//", "PPPP"),
    ("/.", "PPPP"),
    ("/..", "PPPP"),
    ("/hello.txt", "PPPP"),
    ("/etc", "PPPP"),
    ("/etc/passwd", "PPPP"),
    ("/etc/missing", "PPPP"),
    ("//etc/passwd", "PPPP"),
    ("/etc/../etc/passwd", "PPPP"),
    ("/proc/self/environ", "PPPP"),
    ("/proc/self/root/etc/passwd", "PPPP"),
    ("/proc/self/cwd", "PPPP"),
    ("/proc/self/fd/0", "PPPP"),
    ("/proc/self/mem", "PPPP"),
    ("/dev/null", "PPPP"),
    ("/dev/zero", "PPPP"),
    ("/dev/stdin", "PPPP"),
    ("/dev/fd/3", "PPPP"),
    ("/sys/kernel", "PPPP"),
    ("/tmp", "PPPP"),
    ("{base}", "PPPP"),
    ("{base}/secret.txt", "PPPP"),
    ("{base}/agents", "PPPP"),
    ("{base}/agents/a10/secret.txt", "PPPP"),
    ("{base}/agents/a2/secret.txt", "PPPP"),
    ("{root}0/secret.txt", "PPPP"),
    ("{root}/..", "PPPP"),
    ("{root}/../a2/secret.txt", "PPPP"),
    ("{root}/../a1/hello.txt", "PPPP"),
    ("{root}/dir/../../a2/secret.txt", "PPPP"),
    ("{root}/../../../../../etc/passwd", "PPPP"),
    ("{base}/agents/a2/../a1/hello.txt", "PPPP"),
    ("{base}/./../{root}/hello.txt", "PPPP"),
    ("/proc/self/root{root}/hello.txt", "PPPP"),
    // Not a path.
    ("a\0b", "IIII"),
    ("hello.txt\0", "IIII"),
    ("hello.txt\0.png", "IIII"),
    ("../\0", "IIII"),
    ("a\nb", "IIII"),
    ("a\rb", "IIII"),
    ("\t", "IIII"),
    ("\u{1b}[2J", "IIII"),
    ("a\u{7f}", "IIII"),
    ("a\u{80}", "IIII"),
    ("a\u{9f}", "IIII"),
    ("{x*256}", "IIII"),
    ("dir/{x*256}", "IIII"),
    ("{é*128}", "IIII"),
    ("{x/*2049}", "IIII"),
    ("{./*2049}", "IIII"),
    ("{x/*129}", "LLLL"),
    // Links that stay inside: read through, never written through, deleted themselves.
    ("link-in", "+FP+"),
    ("dir/link-up-in", "+FP+"),
    ("link-dir", "D+P+"),
    ("link-dir/", "D+P+"),
    ("link-dir/inner.txt", "+F++"),
    ("link-dir/deep/x.txt", "+F++"),
    ("link-dir/missing", "NN+N"),
    ("link-chain", "+FP+"),
    ("link-dangling", "NNP+"),
    ("link-loop", "PPP+"),
    ("link-self-dir/hello.txt", "+F++"),
    ("link-self-dir/link-self-dir/hello.txt", "+F++"),
    // Links that lead out, to something or to nothing.
    ("link-out-file", "PPPP"),
    ("link-out-missing", "PPPP"),
    ("link-out-dir", "PPPP"),
    ("link-out-dir/secret.txt", "PPPP"),
    ("link-out-dir/missing", "PPPP"),
    ("link-out-dir/sub/new", "PPPP"),
    ("link-out-dir/../a1/hello.txt", "NN+N"),
    ("link-out-in", "PPPP"),
    ("link-parent", "PPPP"),
    ("link-parent/a2/secret.txt", "PPPP"),
    ("link-etc", "PPPP"),
    ("link-etc/passwd", "PPPP"),
    ("link-etc/missing", "PPPP"),
    ("link-abs-in", "PPPP"),
    ("link-abs-file", "PPPP"),
    ("link-proc", "PPPP"),
    ("link-proc/root/etc/passwd", "PPPP"),
    ("link-proc-root/etc/passwd", "PPPP"),
    ("link-proc-cwd/Cargo.toml", "PPPP"),
    ("link-fd/0", "PPPP"),
    ("link-dev-null", "PPPP"),
    ("link-chain-out", "PPPP"),
    ("dir/link-up-out", "PPPP"),
    ("link-dir/link-up-out", "PPPP"),
    ("dir/link-sibling/secret.txt", "PPPP"),
    // Not a regular file, or one with another name elsewhere.
    ("fifo", "UFUU"),
    ("socket", "UFUU"),
    ("link-fifo", "UFP+"),
    ("fifo/x", "FFFF"),
    ("hard", "UFUU"),
    ("hard-inside", "UFUU"),
    ("link-hard", "UFP+"),
    ("binary", "TF++"),
    ("big", "LF++"),
];

const TOOLS: [&str; 4] = ["read_file", "list_dir", "write_file", "delete_file"];

struct World {
    base: TempDir,
    agent: Agent,
}

impl World {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("agents/a1");
        for dir in ["agents/a1/dir/deep", "agents/a1/empty", "agents/a10", "agents/a2"] {
            fs::create_dir_all(base.path().join(dir)).unwrap();
        }
        for secret in ["secret.txt", "agents/a10/secret.txt", "agents/a2/secret.txt"] {
            fs::write(base.path().join(secret), CANARY).unwrap();
            fs::write(base.path().join(secret).with_file_name(CANARY), "").unwrap();
        }
        for inside in ["hello.txt", "dir/inner.txt", "dir/deep/x.txt", "hard-other"] {
            fs::write(root.join(inside), "inside").unwrap();
        }
        fs::write(root.join("binary"), b"\xff\x00").unwrap();
        fs::write(root.join("big"), vec![b'x'; 1025]).unwrap();
        fs::hard_link(base.path().join("secret.txt"), root.join("hard")).unwrap();
        fs::hard_link(root.join("hard-other"), root.join("hard-inside")).unwrap();
        mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        drop(UnixListener::bind(root.join("socket")).unwrap());
        let absolute = |name: &str| root.join(name).to_str().unwrap().to_owned();
        for (link, target) in [
            ("link-in", "hello.txt"),
            ("dir/link-up-in", "../hello.txt"),
            ("link-dir", "dir"),
            ("link-chain", "link-in"),
            ("link-dangling", "dir/nothing"),
            ("link-loop", "link-loop"),
            ("link-self-dir", "."),
            ("link-out-file", "../a2/secret.txt"),
            ("link-out-missing", "../a2/missing"),
            ("link-out-dir", "../a2"),
            ("link-out-in", "../a1/hello.txt"),
            ("link-parent", ".."),
            ("link-etc", "/etc"),
            ("link-abs-in", &absolute("dir")),
            ("link-abs-file", &absolute("hello.txt")),
            ("link-proc", "/proc/self"),
            ("link-proc-root", "/proc/self/root"),
            ("link-proc-cwd", "/proc/self/cwd"),
            ("link-fd", "/proc/self/fd"),
            ("link-dev-null", "/dev/null"),
            ("link-chain-out", "link-out-file"),
            ("dir/link-up-out", "../../a2/secret.txt"),
            ("dir/link-sibling", "../../a10"),
            ("link-fifo", "fifo"),
            ("link-hard", "hard"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let agent = open("filesystem", "a1", None, &json!({ "base_path": base.path(), "max_read_bytes": 1024 }));
        Self { base, agent }
    }

    fn expand(&self, template: &str) -> String {
        let base = self.base.path().to_str().unwrap();
        let mut path = template.replace("{root}", &format!("{base}/agents/a1")).replace("{base}", base);
        while let Some((before, rest)) = path.split_once('{')
            && let Some((inner, after)) = rest.split_once('}')
            && let Some((what, count)) = inner.split_once('*')
            && let Ok(count) = count.parse()
        {
            path = format!("{before}{}{after}", what.repeat(count));
        }
        path
    }

    /// Names and contents of everything outside the agent's root.
    fn outside(&self) -> Vec<(String, Option<String>)> {
        let mut seen = Vec::new();
        collect(self.base.path(), &self.base.path().join("agents/a1"), &mut seen);
        seen.sort();
        seen
    }
}

fn collect(dir: &Path, except: &Path, seen: &mut Vec<(String, Option<String>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path == except {
            continue;
        }
        seen.push((path.display().to_string(), fs::read_to_string(&path).ok()));
        if path.is_dir() {
            collect(&path, except, seen);
        }
    }
}

fn arguments(tool: &str, path: &str) -> Value {
    if tool == "write_file" { json!({ "path": path, "content": "written" }) } else { json!({ "path": path }) }
}

fn letter(outcome: &Result<Value, Code>) -> char {
    match outcome {
        Ok(_) => '+',
        Err(Code::PathRefused) => 'P',
        Err(Code::InvalidArgument) => 'I',
        Err(Code::NotFound) => 'N',
        Err(Code::IsDirectory) => 'D',
        Err(Code::NotDirectory) => 'F',
        Err(Code::UnsupportedFile) => 'U',
        Err(Code::NotText) => 'T',
        Err(Code::LimitExceeded) => 'L',
        Err(_) => '?',
    }
}

#[tokio::test]
async fn every_path_gets_its_verdict_and_nothing_outside_changes() {
    let mut wrong = Vec::new();
    let mut world = World::new();
    for (template, verdicts) in PATHS {
        let mut seen = String::new();
        for tool in TOOLS {
            let before = world.outside();
            let path = world.expand(template);
            let started = Instant::now();
            let outcome = world.agent.code(tool, &arguments(tool, &path)).await;
            assert!(started.elapsed().as_secs() < 5, "{tool} {template:?} hangs");
            assert!(!format!("{outcome:?}").contains(CANARY), "{tool} {template:?} reads outside");
            assert_eq!(world.outside(), before, "{tool} {template:?} changes something outside");
            seen.push(letter(&outcome));
            if outcome == Ok(json!(true)) {
                let read_back = world.agent.code("read_file", &json!({ "path": path })).await;
                let wanted = if tool == "write_file" { Ok(json!("written")) } else { Err(Code::NotFound) };
                assert_eq!(read_back, wanted, "{template:?}");
                world = World::new();
            }
        }
        if seen != *verdicts {
            wrong.push(format!("{template:?}: {seen}, not {verdicts}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(PATHS.len() >= 150);
}

#[tokio::test]
async fn extended_tools_refuse_the_same_escapes() {
    let world = World::new();
    let agent = open("filesystem", "a1", None, &json!({ "base_path": world.base.path(), "extended_tools": true }));
    let before = world.outside();
    for (template, verdicts) in PATHS.iter().filter(|(_, verdicts)| verdicts.starts_with("PPP") && verdicts.ends_with('P')) {
        let path = world.expand(template);
        let calls = [
            ("stat", json!({ "path": path })),
            ("read_range", json!({ "path": path, "offset": 0, "length": 64 })),
            ("append_file", json!({ "path": path, "content": "written" })),
            ("move_file", json!({ "from": path, "to": "taken" })),
            ("move_file", json!({ "from": "hello.txt", "to": path })),
            ("make_dir", json!({ "path": path })),
            ("delete_dir", json!({ "path": path })),
            ("search", json!({ "path": path })),
        ];
        for (tool, arguments) in calls {
            let outcome = agent.code(tool, &arguments).await;
            // A link itself is neither a directory to delete nor free to be a target.
            let also = match tool {
                "delete_dir" => Some(Code::NotDirectory),
                "move_file" => Some(Code::AlreadyExists),
                _ => None,
            };
            let code = outcome.expect_err(template);
            assert!(code == Code::PathRefused || Some(code) == also, "{tool} {template:?} ({verdicts}): {code}");
        }
    }
    assert_eq!(world.outside(), before);
}

#[tokio::test]
async fn existing_and_missing_targets_outside_are_told_apart_by_nothing() {
    let world = World::new();
    for (existing, missing) in [
        ("../a2/secret.txt", "../a2/missing"),
        ("/etc/passwd", "/etc/missing"),
        ("link-out-file", "link-out-missing"),
        ("link-out-dir/secret.txt", "link-out-dir/missing"),
        ("link-etc/passwd", "link-etc/missing"),
        ("link-etc/ssl/x", "link-etc/nothing/x"),
    ] {
        for tool in TOOLS {
            let mut shown = Vec::new();
            for path in [existing, missing] {
                let fault = world.agent.call(tool, &arguments(tool, path)).await.unwrap_err();
                shown.push((fault.code, fault.message.replace(path, ""), fault.remedy, fault.details));
            }
            assert_eq!(shown[0], shown[1], "{tool} {existing}");
        }
    }
}

#[tokio::test]
async fn a_search_follows_no_link_and_touches_no_pipe() {
    let world = World::new();
    let agent = open("filesystem", "a1", None, &json!({ "base_path": world.base.path(), "extended_tools": true }));
    let found = agent.call("search", &json!({ "text": CANARY })).await.unwrap();
    assert_eq!(found, json!({ "matches": [], "complete": true }));
    let found = agent.call("search", &json!({ "text": "inside" })).await.unwrap();
    let paths: Vec<&str> = found["matches"].as_array().unwrap().iter().map(|m| m["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["dir/deep/x.txt", "dir/inner.txt", "hello.txt"]);
}

/// The directory `/dev` as a root: devices are there, and other file systems are mounted in it.
#[tokio::test]
async fn devices_and_other_file_systems_are_refused() {
    use std::os::unix::fs::MetadataExt;
    let agent = open("filesystem", "dev", Some(bailiwick_modules::Access::Read), &json!({ "base_path": "/", "layout": "{agent_id}" }));
    for device in ["null", "zero", "tty"] {
        assert_eq!(agent.code("read_file", &json!({ "path": device })).await, Err(Code::UnsupportedFile), "{device}");
    }
    let device = |path: &str| fs::metadata(path).map(|m| m.dev()).ok();
    for mounted in ["pts", "shm", "mqueue"] {
        let path = format!("/dev/{mounted}");
        if device(&path).is_some_and(|d| Some(d) != device("/dev")) {
            assert_eq!(agent.code("list_dir", &json!({ "path": mounted })).await, Err(Code::PathRefused), "{path}");
        }
    }
}

#[tokio::test]
async fn agents_whose_names_begin_alike_never_meet() {
    let base = tempfile::tempdir().unwrap();
    for layout in ["agents/{agent_id}", "x-{agent_id}", "{agent_type}/{agent_id}/files", "{agent_id}"] {
        let config = json!({ "base_path": base.path().join("p"), "layout": layout });
        let ids = ["a", "a-", "a-b", "a-b-c", "ab"];
        let agents: Vec<_> = ids.iter().map(|id| open("filesystem", id, None, &config)).collect();
        for (agent, id) in agents.iter().zip(ids) {
            agent.call("write_file", &json!({ "path": format!("of-{id}"), "content": id })).await.unwrap();
        }
        for (agent, id) in agents.iter().zip(ids) {
            assert_eq!(agent.code("list_dir", &json!({})).await, Ok(json!([format!("of-{id}")])), "{layout}");
            for other in ids {
                let path = format!("{}/p/{}/of-{other}", base.path().display(), layout.replace("{agent_id}", other));
                let outcome = agent.code("read_file", &json!({ "path": path.replace("{agent_type}", "tester") })).await;
                assert_eq!(outcome, if other == id { Ok(json!(id)) } else { Err(Code::PathRefused) }, "{layout} {id} {other}");
            }
        }
        fs::remove_dir_all(base.path().join("p")).unwrap();
    }
}

const NAMES: &[&str] = &[
    "..",
    ".",
    "",
    "dir",
    "deep",
    "hello.txt",
    "secret.txt",
    "agents",
    "a1",
    "a2",
    "a10",
    "link-in",
    "link-dir",
    "link-out-dir",
    "link-out-file",
    "link-parent",
    "link-etc",
    "link-proc",
    "root",
    "passwd",
    "link-self-dir",
    "link-abs-in",
    "link-chain-out",
    "fifo",
    "hard",
    "{root}",
    "{base}",
    "x",
    "dir/link-sibling",
    "dir/link-up-out",
    "...",
    "%2e%2e",
    "\\..\\",
];

fn hostile_path() -> impl Strategy<Value = String> {
    (any::<bool>(), proptest::collection::vec(proptest::sample::select(NAMES), 1..9))
        .prop_map(|(absolute, names)| format!("{}{}", if absolute { "/" } else { "" }, names.join("/")))
}

#[test]
fn no_random_path_reaches_a_canary() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = World::new();
    let before = world.outside();
    let config = ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(template in hostile_path(), tool in proptest::sample::select(&TOOLS[..3]))| {
        let path = world.expand(&template);
        let outcome = runtime.block_on(world.agent.code(tool, &arguments(tool, &path)));
        let shown = format!("{outcome:?}");
        prop_assert!(!shown.contains(CANARY), "{tool} {path}: {shown}");
        prop_assert!(outcome != Err(Code::Internal), "{tool} {path}");
    });
    assert_eq!(world.outside(), before);
}
