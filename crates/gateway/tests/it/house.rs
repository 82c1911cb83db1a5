//! A whole gateway in the test's own process, with as many agents as are let in: clock, randomness, environment and network are the test's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_gateway::{Gateway, LoadedManifest, Peer, Setup};
use bailiwick_mcp::Frame;
use bailiwick_model::config::Config;
use bailiwick_model::manifest::Manifest;
use bailiwick_model::time::{Clock, Random};
use bailiwick_model::{AgentId, AgentType, Timestamp};
use bailiwick_modules::ModuleRegistry;
use bailiwick_modules::egress::Network;
use bailiwick_store::ledger::{Ledger, LedgerOptions, Place, SigningKey};
use bailiwick_store::{DatabaseUrl, Keyring, Migrate, OpenOptions, RootKeySource, Store};
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Lines of the gateway that nobody reads.
const LINES_QUEUED_MAX: usize = 64;
/// How often a list is asked for until the servers are in it, and the pause between.
const LOOKS_MAX: u32 = 500;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

const MODERN_META: &str =
    r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// 2026-07-28T09:30:00Z, for ever.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_785_231_000_000_000)
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

/// The gateway.
pub(crate) struct House {
    pub(crate) gateway: Gateway,
    pub(crate) store: Store,
    pub(crate) agent_type: AgentType,
    dir: TempDir,
}

/// An agent's end of its line to the gateway.
pub(crate) struct Agent {
    gateway: Gateway,
    peer: Arc<Peer>,
    next_id: AtomicI64,
    /// What nobody reads, kept open.
    _outbox: mpsc::Receiver<Frame>,
}

/// What a house is built from.
pub(crate) struct Plan<'a> {
    /// Name and text of the manifest.
    pub(crate) manifest: (&'a str, &'a str),
    /// More lines of configuration.
    pub(crate) config: &'a str,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) network: Arc<dyn Network>,
}

impl House {
    pub(crate) async fn build(plan: Plan<'_>) -> Result<Self, String> {
        let dir = TempDir::new().unwrap();
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
        std::fs::create_dir(dir.path().join("ledger")).unwrap();
        let options = LedgerOptions::new(Place::Segments { dir: dir.path().join("ledger") }, Arc::new(key), clock.clone());
        let ledger = Ledger::open(options.with_index(Arc::new(store.clone()))).await.unwrap();
        let lookup = |name: &str| plan.environment.get(name).cloned();
        let (config, _) = Config::parse("bailiwick.yml", plan.config, &lookup).map_err(|mistakes| mistakes.to_string())?;
        let modules = ModuleRegistry::with_builtin();
        let (name, text) = plan.manifest;
        let (manifest, _) = Manifest::parse(name, text, &lookup, &modules).map_err(|mistakes| mistakes.to_string())?;
        let agent_type = manifest.agent_type.clone();
        let setup = Setup {
            config,
            manifests: vec![LoadedManifest { path: name.into(), manifest }],
            keyring: Keyring::start(store.clone()).await.unwrap(),
            store: store.clone(),
            ledger,
            modules,
            clock,
            random,
            network: plan.network,
            environment: plan.environment,
            launcher: None,
            call_log: None,
            own: Default::default(),
            single_agent: None,
        };
        let gateway = Gateway::start(setup).await.map_err(|fault| fault.to_string())?;
        Ok(Self { gateway, store, agent_type, dir })
    }

    /// Lets the agent `id` in, of the type that the manifest names.
    pub(crate) async fn agent(&self, id: &str) -> Result<Agent, String> {
        let agent = self.silent(id).await?;
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
        agent.ask("initialize", hello).await;
        agent.say(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        Ok(agent)
    }

    /// The same without a greeting, which the revision 2026-07-28 does not have.
    pub(crate) async fn silent(&self, id: &str) -> Result<Agent, String> {
        let agent_id = AgentId::parse(id).unwrap();
        let caller = self.gateway.local_agent(&agent_id, &self.agent_type).await.map_err(|fault| fault.to_string())?;
        let (sender, outbox) = mpsc::channel(LINES_QUEUED_MAX);
        let peer = Peer::new(&self.gateway, caller, sender);
        Ok(Agent { gateway: self.gateway.clone(), peer, next_id: AtomicI64::new(1), _outbox: outbox })
    }

    pub(crate) async fn close(self) -> TempDir {
        self.gateway.finish(Duration::ZERO).await;
        self.dir
    }
}

impl Agent {
    pub(crate) async fn say(&self, message: Value) -> Option<Value> {
        let frame = self.gateway.line(&self.peer, Bytes::from(message.to_string())).await?;
        Some(serde_json::from_slice(&frame.to_bytes()).unwrap())
    }

    /// The result of a request.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let answer = self.say(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await.unwrap();
        answer.get("result").cloned().unwrap_or(answer)
    }

    /// The names that the agent sees.
    pub(crate) async fn tools(&self) -> Vec<String> {
        let list = self.ask("tools/list", json!({})).await;
        list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The names that the agent sees, once those that are `wanted` are among them; servers come a little after the modules.
    pub(crate) async fn tools_with(&self, wanted: &[&str]) -> Vec<String> {
        for _ in 0..LOOKS_MAX {
            let tools = self.tools().await;
            if wanted.iter().all(|name| tools.iter().any(|tool| tool == name)) {
                return tools;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        self.tools().await
    }

    /// The answer to a tool call in the revision 2026-07-28 or an older one, the arguments byte for byte as they are here.
    pub(crate) async fn call_text(&self, modern: bool, tool: &str, arguments: &str) -> Value {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let meta = if modern { MODERN_META } else { "" };
        let line =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}{meta}}}}}"#);
        let frame = self.gateway.line(&self.peer, Bytes::from(line)).await.unwrap();
        serde_json::from_slice(&frame.to_bytes()).unwrap()
    }

    /// The result of a tool call.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await
    }
}
