//! The same through a whole gateway: two servers over HTTP, a client of either era over lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_mcp::Era;
use bailiwick_model::config::Config;
use bailiwick_model::manifest::Manifest;
use bailiwick_model::time::{Clock, Random};
use bailiwick_model::{AgentId, AgentType, Timestamp};
use bailiwick_modules::ModuleRegistry;
use bailiwick_modules::egress::SystemNetwork;
use bailiwick_store::ledger::{Ledger, LedgerOptions, Place, SigningKey};
use bailiwick_store::{DatabaseUrl, Keyring, Migrate, OpenOptions, RootKeySource, Store};
use bailiwick_testkit::upstream::{Act, Behaviour, FakeResource, FakeTool, FakeUpstream};
use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::compare::member;
use super::{LISTED, NoModules, TEMPLATES, check_share, same, tool_result, wanted_result};
use crate::gateway::{Gateway, LoadedManifest, Setup};
use crate::peer::Peer;

/// A call through everything costs far more than its bytes: one case for so many of the others.
const SHARE: u32 = 16;
/// How often the list is asked for until both servers are in it, and the pause between.
const LOOKS_MAX: u32 = 500;
const LOOK_PAUSE: Duration = Duration::from_millis(20);
const LINES_QUEUED_MAX: usize = 16;

const MODERN_META: &str = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;

struct Still;
impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_785_000_000_000_000)
    }
}

/// Different bytes with every call.
struct Counting(AtomicU64);
impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }
}

fn upstream(at: usize) -> FakeUpstream {
    let resources = LISTED[at].1.map(|uri| FakeResource::text(uri, "x")).to_vec();
    let templates = TEMPLATES[at].1.map(|uri| json!({"uriTemplate": uri, "name": uri})).to_vec();
    FakeUpstream::start(Behaviour { tools: says("{}"), resources, templates, record: false, ..Behaviour::default() })
}

/// One tool, which answers with this text.
fn says(result: &str) -> Vec<FakeTool> {
    vec![FakeTool::new("search", Act::ResultText(result.to_owned()))]
}

struct Whole {
    gateway: Gateway,
    /// In the order of [`ERAS`].
    peers: [Arc<Peer>; 2],
    fakes: [FakeUpstream; 2],
    _outboxes: [mpsc::Receiver<bailiwick_mcp::Frame>; 2],
    _dir: TempDir,
}

const ERAS: [Era; 2] = [Era::Modern, Era::Legacy];

impl Whole {
    async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let fakes = [upstream(0), upstream(1)];
        let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (Arc::new(Still), Arc::new(Counting(AtomicU64::new(1))));
        let store = Store::open(OpenOptions {
            database: DatabaseUrl::sqlite(&dir.path().join("bw.db")).unwrap(),
            root_key: RootKeySource::File { path: dir.path().join("root.key"), create: true },
            clock: clock.clone(),
            random: random.clone(),
            migrate: Migrate::Apply,
        });
        let store = store.await.unwrap();
        let key = SigningKey::sealed(store.checkpoint_key().await.unwrap());
        let segments = Place::Segments { dir: dir.path().join("ledger") };
        std::fs::create_dir(dir.path().join("ledger")).unwrap();
        let options = LedgerOptions::new(segments, Arc::new(key), clock.clone()).with_index(Arc::new(store.clone()));
        let ledger = Ledger::open(options).await.unwrap();
        let servers = ["alpha", "beta"].into_iter().zip(&fakes);
        let servers: String =
            servers.map(|(name, fake)| format!("  {name}: {{url: '{}', allow_private: [127.0.0.0/8]}}\n", fake.url())).collect();
        let (config, _) = Config::parse("bailiwick.yml", &format!("servers:\n{servers}"), &|_| None).unwrap();
        let text = "agent_type: t\nservers: {alpha: {}, beta: {}}\n";
        let (manifest, _) = Manifest::parse("t.yml", text, &|_| None, &NoModules).unwrap();
        let setup = Setup {
            config,
            manifests: vec![LoadedManifest { path: "t.yml".into(), manifest }],
            keyring: Keyring::start(store.clone()).await.unwrap(),
            store,
            ledger,
            modules: ModuleRegistry::with_builtin(),
            clock,
            random,
            network: Arc::new(SystemNetwork),
            environment: [("PATH".to_owned(), "/usr/bin".to_owned())].into(),
            launcher: None,
            single_agent: None,
            call_log: None,
            own: Default::default(),
        };
        let gateway = Gateway::start(setup).await.unwrap();
        let caller = gateway.local_agent(&AgentId::parse("a").unwrap(), &AgentType::parse("t").unwrap()).await.unwrap();
        let ((modern, first), (legacy, second)) = (mpsc::channel(LINES_QUEUED_MAX), mpsc::channel(LINES_QUEUED_MAX));
        let peers = [modern, legacy].map(|outbox| Peer::new(&gateway, caller.clone(), outbox));
        let whole = Self { gateway, peers, fakes, _outboxes: [first, second], _dir: dir };
        whole.say(1, INITIALIZE.to_owned()).await;
        whole.say(1, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned()).await;
        whole.see_both().await;
        whole
    }

    async fn say(&self, peer: usize, line: String) -> String {
        let frame = self.gateway.line(&self.peers[peer], Bytes::from(line)).await;
        frame.map_or(String::new(), |frame| String::from_utf8(frame.to_bytes().to_vec()).unwrap())
    }

    async fn see_both(&self) {
        let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{MODERN_META}}}}}"#);
        for _ in 0..LOOKS_MAX {
            let list = self.say(0, line.clone()).await;
            if ["alpha__search", "beta__search"].iter().all(|name| list.contains(name)) {
                return;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        panic!("the servers do not appear");
    }

    /// The result of a call in one era.
    async fn call(&self, peer: usize, server: &str) -> String {
        let meta = if peer == 0 { format!(r#","_meta":{MODERN_META}"#) } else { String::new() };
        let params = format!(r#"{{"name":"{server}__search","arguments":{{}}{meta}}}"#);
        let answer = self.say(peer, format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#)).await;
        member(&answer, "result").unwrap_or(answer)
    }
}

#[test]
fn results_come_through_the_whole_gateway_but_for_the_named_rewrites() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let whole = runtime.block_on(Whole::start());
    check_share(SHARE, (0_usize..2, tool_result()), |(at, result)| {
        whole.fakes[at].set(|behaviour| behaviour.tools = says(&result));
        let server = LISTED[at].0;
        for (peer, era) in ERAS.into_iter().enumerate() {
            let relayed = runtime.block_on(whole.call(peer, server));
            same("whole", &wanted_result(&result, Some(server), era), &relayed)?;
        }
        Ok(())
    });
    runtime.block_on(whole.gateway.finish(Duration::ZERO));
}
