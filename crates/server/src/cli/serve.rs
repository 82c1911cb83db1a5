//! `bailiwick serve`.

use std::net::SocketAddr;
use std::time::Duration;

use bailiwick_model::config::{Config, Limits, Listen};

use super::args::ServeArgs;
use super::context::Context;
use super::start;
use crate::app::{self, Plan};
use crate::exit::{Exit, Failure};
use crate::harden;
use crate::http::{HttpLimits, Reserved};
use crate::serve::Serving;
use crate::signals::Signals;

pub(super) async fn run(context: &Context, args: ServeArgs) -> Result<(), Failure> {
    let mut settings = context.settings()?;
    if let Some(address) = args.listen {
        settings.config.listen = Listen(address);
        check_listen(&settings.config)?;
    }
    let (mut guard, call_log) = start::streams(context, &settings.config, &args.streams)?;
    let outcome = serve(context, settings, args.strict, call_log).await;
    start::report(&outcome);
    guard.finish();
    outcome
}

async fn serve(context: &Context, mut settings: crate::settings::Settings, strict: bool, call_log: start::Log) -> Result<(), Failure> {
    harden::raise_open_files();
    let mut signals = Signals::catch()?;
    tracing::info!(target: "ops", event = "startup", version = env!("CARGO_PKG_VERSION"), "starting");
    let manifests = app::load_manifests(&settings.manifest_files()?, &settings.config, context.checks(strict))?;
    if manifests.is_empty() {
        tracing::warn!(target: "ops", event = "no_manifests", "no manifest is configured, so no agent can call; name some under `manifests`");
    }
    // Taken before anything is opened, so that a conflict leaves nothing behind; listened on last.
    let reserved = Reserved::bind(settings.config.listen.0)?;
    let address = reserved.address();
    // The gateway derives the Host values that it admits from the real port.
    settings.config.listen = Listen(address);
    let (path, limits, shutdown) = (settings.config.path.clone(), http_limits(&settings.config.limits), settings.config.shutdown);
    let public_url = settings.config.public_url.clone();
    let plan = Plan {
        settings,
        manifests,
        environment: context.environment.clone(),
        modules: context.modules.clone(),
        own: context.own.clone(),
        clock: context.clock.clone(),
        random: context.random.clone(),
        single_agent: None,
        call_log,
    };
    let gateway = app::start(plan).await?;
    let door = match reserved.listen() {
        Ok(door) => door,
        Err(failure) => {
            gateway.finish(Duration::ZERO).await;
            return Err(failure);
        }
    };
    let serving = Serving::begin(gateway, door, path.clone(), limits);
    announce(address, &path, public_url.as_deref());
    serving.until_signal(&mut signals, shutdown).await
}

/// One line that people and scripts can wait for.
pub(super) fn announce(address: SocketAddr, path: &str, public_url: Option<&str>) {
    eprintln!("listening on http://{address}{path}");
    tracing::info!(target: "ops", event = "server_ready", %address, path, public_url, "ready");
}

/// The rule of the configuration again, for an address from the command line.
fn check_listen(config: &Config) -> Result<(), Failure> {
    use bailiwick_model::config::AuthMode;
    if config.auth == AuthMode::None && !config.listen.is_loopback() {
        let text = format!("`auth: none` and the address `{}` do not go together: anybody who reaches it could call", config.listen.0);
        return Err(Failure::new(Exit::Usage, text).hint("use `auth: key`, or listen on a loopback address such as `127.0.0.1:8700`"));
    }
    Ok(())
}

pub(super) fn http_limits(limits: &Limits) -> HttpLimits {
    let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    HttpLimits {
        connections_max: count(limits.connections_max),
        connections_per_ip_max: count(limits.connections_per_source_max),
        head_bytes_max: count(limits.head_bytes_max),
        head_fields_max: count(limits.head_fields_max),
        head_read_max: Duration::from_secs(limits.head_read_seconds),
        idle_max: Duration::from_secs(limits.idle_seconds),
    }
}
