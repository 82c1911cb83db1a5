//! `bailiwick run`: one agent, over stdio or on a port of this machine.

mod health_file;
mod http;

use std::sync::Arc;
use std::time::Duration;

use bailiwick_gateway::{Gateway, Peer};
use bailiwick_mcp::Frame;
use bailiwick_model::{AgentId, AgentType};
use bytes::Bytes;

use super::args::RunArgs;
use super::context::Context;
use super::start;
use health_file::HealthFile;

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

async fn serve(context: &Context, mut settings: Settings, args: &RunArgs, call_log: start::Log) -> Result<(), Failure> {
    let mut signals = Signals::catch()?;
    tracing::info!(target: "ops", event = "startup", version = env!("CARGO_PKG_VERSION"), "starting");
    let (agent_id, agent_type) = environment::identity(&context.environment)?;
    tracing::info!(target: "ops", event = "identity_resolved", %agent_id, %agent_type, "who the agent is");
    let manifests = app::load_manifests(std::slice::from_ref(&args.manifest), &settings.config, context.checks(args.strict))?;
    let agent_type = manifest_type(args, &manifests, agent_type)?;
    // Taken before anything is opened, so that a conflict leaves nothing behind.
    let door = http::reserve(&args.transport, &mut settings.config, &context.environment)?;
    let single_agent = door.as_ref().map(|_| http::single_agent(&context.environment, &agent_id, &agent_type)).transpose()?;
    let health = HealthFile::wanted(&context.environment, &context.clock);
    let shutdown = settings.config.shutdown;
    let plan = Plan {
        settings,
        manifests,
        environment: context.environment.clone(),
        modules: context.modules.clone(),
        own: context.own.clone(),
        clock: context.clock.clone(),
        random: context.random.clone(),
        single_agent,
        call_log,
    };
    let gateway = app::start(plan).await?;
    if let Some(door) = door {
        return Box::pin(door.serve(gateway, (&agent_id, &agent_type), health, &mut signals)).await;
    }
    let mut again = Signals::catch()?;
    tokio::select! {
        done = talk_and_finish(&gateway, (&agent_id, &agent_type), health, &mut signals, shutdown.drain) => done,
        () = again.second() => Err(interrupted(&gateway).await),
    }
}

async fn talk_and_finish(
    gateway: &Gateway,
    agent: (&AgentId, &AgentType),
    health: Option<HealthFile>,
    signals: &mut Signals,
    drain: Duration,
) -> Result<(), Failure> {
    let talked = talk(gateway, agent, health, signals, drain).await;
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
    (agent_id, agent_type): (&AgentId, &AgentType),
    health: Option<HealthFile>,
    signals: &mut Signals,
    drain: Duration,
) -> Result<Closed, Failure> {
    let caller = gateway.local_agent(agent_id, agent_type).await?;
    let reporting = health.map(|health| tokio::spawn(health.keep(gateway.clone(), Arc::clone(&caller))));
    let (sender, receiver) = stdio::outbox();
    let line = Line { gateway: gateway.clone(), peer: Peer::new(gateway, caller, sender.clone()) };
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
    if let Some(reporting) = reporting {
        reporting.abort();
    }
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
