//! Every manifest in `examples/manifests`, and every one of scoped-mcp's own examples, as it stands: what the agent sees, and one call of
//! every tool that comes back with a result.
//!
//! | File | Holds |
//! |---|---|
//! | `manifests/scripts.rs` | the calls of our examples |
//! | `manifests/seed.rs` | the calls of the others, and where those are |
//! | `manifests/world.rs` | the services behind all of them |

mod scripts;
mod seed;
mod world;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bailiwick_testkit::needs::needs;
use bailiwick_testkit::service::FakeService;
use bailiwick_testkit::upstream::FakeUpstream;

use crate::house::{House, Plan};
use crate::town::certificate_pem;
use scripts::Script;
use world::{VAULT_LOGIN, VAULT_READ, environment, service, town, upstream};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/manifests")
}

/// Gives what the services were asked, method and target.
async fn play(folder: &Path, script: &Script, servers: &[&FakeUpstream; 3]) -> Vec<String> {
    let Script { file, agent, calls, refused } = script;
    let own = format!("agent-{agent}");
    let fake = FakeService::start(move |request| {
        let reply = service(request);
        // Grafana keeps the agent's dashboards in whatever folder the agent asked for.
        reply.map_body(|body| body.replace("{folder}", &own))
    })
    .await;
    let town = Arc::new(town(&fake, servers).await);
    let config = "servers:\n  tickets: {url: 'https://desk.example.com/mcp'}\n  search: {url: 'https://search.example.com/mcp', trust: first_party}\n";
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    let plan = Plan { manifest: (file, &text), config, environment: environment(), network: town.clone() };
    let house = House::build(plan).await.unwrap_or_else(|fault| panic!("{file}: {fault}"));
    let mut wanted: Vec<&str> = calls.iter().map(|(tool, _)| *tool).collect();
    let caller = house.agent(agent).await.unwrap_or_else(|fault| panic!("{file}: {fault}"));
    let seen = caller.tools_with(&wanted).await;
    wanted.sort_unstable();
    wanted.dedup();
    assert_eq!(seen, wanted, "{file}: the list");
    for (tool, arguments) in calls {
        let result = caller.call(tool, arguments.clone()).await;
        if let Some((_, word)) = refused.iter().find(|(refused, _)| refused == tool) {
            assert_eq!(result["structuredContent"]["code"], *word, "{file}: {tool}: {result}");
        } else {
            assert_eq!(result["isError"], false, "{file}: {tool}: {result} {:#?}", fake.received().last());
        }
    }
    house.close().await;
    assert!(town.strayed.lock().unwrap().is_empty(), "{file}: {:?}", town.strayed);
    fake.received().iter().map(|request| format!("{} {}", request.method, request.target)).collect()
}

/// What agents that only read are to find, where their manifests say.
const FOUND: [&str; 3] =
    ["/tmp/bailiwick-data/handbook/agents/docs-01/note.txt", "/tmp/bailiwick-data/agents/research-01/note.txt", seed::FOUND];

fn lay_out() {
    for file in FOUND.map(Path::new) {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "hello").unwrap();
    }
}

/// Plays every script; gives the files.
async fn play_all(folder: &Path, scripts: &[Script]) -> Vec<String> {
    let servers = [upstream(&["push", "purge_queue"]), upstream(&["find", "delete_all", "admin_reset", "bulk_close"]), upstream(&["web"])];
    let servers = [&servers[0], &servers[1], &servers[2]];
    lay_out();
    let mut played = Vec::new();
    for script in scripts {
        let asked = play(folder, script, &servers).await;
        if script.file == seed::VAULT {
            assert_eq!(asked, [format!("POST {VAULT_LOGIN}"), format!("GET {VAULT_READ}")], "the vault is asked");
        }
        played.push(script.file.to_owned());
    }
    played
}

fn block_on<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(task)
}

/// Run by the tests below in processes of their own, whose trust store is the certificate of the town.
#[test]
#[ignore = "started by every_example_runs_unchanged"]
fn inside_the_town() {
    let played = block_on(play_all(&examples(), &scripts::ours()));
    let mut present: Vec<String> =
        std::fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    present.sort();
    assert_eq!(played, present, "every example is played");
}

#[test]
#[ignore = "started by every_example_of_the_seed_runs_unchanged"]
fn seed_inside_the_town() {
    let folder = seed::folder().unwrap();
    let played = block_on(play_all(&folder, &seed::scripts()));
    assert_eq!(played, seed::present(&folder), "every example is played");
}

/// What the ignored test `name` says in a process whose trust store is the certificate of the town.
fn in_the_town(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let trust = dir.path().join("town.pem");
    std::fs::write(&trust, certificate_pem()).unwrap();
    let mut inside = Command::new(std::env::current_exe().unwrap());
    inside.args(["--exact", name, "--ignored", "--nocapture"]).env("SSL_CERT_FILE", &trust);
    let output = inside.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn every_example_runs_unchanged() {
    in_the_town("manifests::inside_the_town");
}

#[test]
fn every_example_of_the_seed_runs_unchanged() {
    let what = format!(
        "the example manifests of scoped-mcp 1.19.1 (interop/modules/seed.py fetches them, or {} names their folder)",
        seed::FOLDER
    );
    if needs(&what, seed::folder()).is_some() {
        in_the_town("manifests::seed_inside_the_town");
    }
}
