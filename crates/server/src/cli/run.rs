//! `bailiwick run`: one agent over stdio.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_gateway::{Gateway, Peer};
use bailiwick_mcp::Frame;
use bailiwick_model::{AgentId, AgentType};
use bytes::Bytes;

use super::args::RunArgs;
use super::context::Context;
use super::start;
use crate::app::{self, Plan};
use crate::environment;
use crate::exit::{Exit, Failure};
use crate::serve::interrupted;
use crate::settings::Settings;
use crate::signals::Signals;
use crate::stdio::{self, Answerer, Closed};

pub(super) async fn run(context: &Context, args: RunArgs) -> Result<(), Failure> {
    let settings = context.settings()?;
    let (mut guard, call_log) = start::streams(context, &settings.config, &args.streams)?;
    let outcome = serve(context, settings, &args, call_log).await;
    start::report(&outcome);
    guard.finish();
    outcome
}

async fn serve(context: &Context, settings: Settings, args: &RunArgs, call_log: start::Log) -> Result<(), Failure> {
    let mut signals = Signals::catch()?;
    tracing::info!(target: "ops", event = "startup", version = env!("CARGO_PKG_VERSION"), "starting");
    let (agent_id, agent_type) = environment::identity(&context.environment)?;
    tracing::info!(target: "ops", event = "identity_resolved", %agent_id, %agent_type, "who the agent is");
    let manifests = app::load_manifests(std::slice::from_ref(&args.manifest), &settings.config, context.checks(args.strict))?;
    let agent_type = manifest_type(args, &manifests, agent_type)?;
    let shutdown = settings.config.shutdown;
    let plan = Plan {
        settings,
        manifests,
        environment: context.environment.clone(),
        modules: context.modules.clone(),
        clock: context.clock.clone(),
        random: context.random.clone(),
        call_log,
    };
    let gateway = app::start(plan).await?;
    let mut again = Signals::catch()?;
    tokio::select! {
        done = talk_and_finish(&gateway, &agent_id, &agent_type, &mut signals, shutdown.drain) => done,
        () = again.second() => Err(interrupted(&gateway).await),
    }
}

async fn talk_and_finish(
    gateway: &Gateway,
    agent_id: &AgentId,
    agent_type: &AgentType,
    signals: &mut Signals,
    drain: Duration,
) -> Result<(), Failure> {
    let talked = talk(gateway, agent_id, agent_type, signals, drain).await;
    gateway.finish(if talked.is_ok() { drain } else { Duration::ZERO }).await;
    let closed = talked?;
    tracing::info!(target: "ops", event = "stopped", ?closed, "stopped");
    Ok(())
}

/// The type that the agent acts as. A manifest for another type is a mistake unless it is allowed in so many words: then the
/// manifest decides, since it is what was meant to be served.
fn manifest_type(args: &RunArgs, manifests: &[bailiwick_gateway::LoadedManifest], agent_type: AgentType) -> Result<AgentType, Failure> {
    let Some(loaded) = manifests.first() else { return Ok(agent_type) };
    let Err(mistakes) = loaded.manifest.check_agent_type(&agent_type) else { return Ok(agent_type) };
    if !args.allow_type_mismatch {
        let hint = "`--allow-type-mismatch` serves the manifest all the same";
        return Err(Failure::new(Exit::Usage, format!("the manifest does not fit `AGENT_TYPE`\n{mistakes}")).hint(hint));
    }
    tracing::warn!(target: "ops", event = "agent_type_mismatch", %agent_type, manifest = %loaded.manifest.agent_type, "served although the types differ");
    Ok(loaded.manifest.agent_type.clone())
}

async fn talk(
    gateway: &Gateway,
    agent_id: &AgentId,
    agent_type: &AgentType,
    signals: &mut Signals,
    drain: Duration,
) -> Result<Closed, Failure> {
    let caller = gateway.local_agent(agent_id, agent_type).await?;
    let (sender, receiver) = stdio::outbox();
    let line = Line { gateway: gateway.clone(), peer: Peer::new(caller, sender.clone()) };
    let announcing = tokio::spawn({
        let (gateway, peer) = (gateway.clone(), Arc::clone(&line.peer));
        async move { gateway.announce_changes(peer).await }
    });
    tracing::info!(target: "ops", event = "server_ready", transport = "stdio", "ready");
    let stop = async {
        let ending = signals.next().await;
        tracing::info!(target: "ops", event = ending.event(), "stopping");
    };
    let served = stdio::serve(line, tokio::io::stdin(), tokio::io::stdout(), (sender, receiver), stop, drain).await;
    announcing.abort();
    served.map_err(|cause| Failure::new(Exit::Failed, format!("cannot read standard input: {cause}")))
}

/// Lines of one client go to the gateway.
#[derive(Clone)]
struct Line {
    gateway: Gateway,
    peer: Arc<Peer>,
}

impl Answerer for Line {
    fn line(&self, line: Bytes) -> impl Future<Output = Option<Frame>> + Send + 'static {
        self.gateway.line(&self.peer, line)
    }
}
