//! `bailiwick run --transport http`: the same agent over Streamable HTTP on this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bailiwick_gateway::{Gateway, SingleAgent};
use bailiwick_model::config::{Config, Listen, ShutdownConfig, endpoint_path};
use bailiwick_model::{AgentId, AgentType};
use secrecy::SecretString;

use super::health_file::HealthFile;
use crate::cli::args::{Transport, TransportArgs};
use crate::cli::serve::{announce, http_limits};
use crate::environment::Environment;
use crate::exit::{Exit, Failure};
use crate::http::{HttpLimits, Reserved};
use crate::serve::Serving;
use crate::signals::Signals;

/// Holds what clients present as bearer token.
const TOKEN_VARIABLE: &str = "SCOPED_MCP_BEARER_TOKEN";
/// Shorter tokens are guessed.
const TOKEN_CHARS_MIN: usize = 16;
/// The endpoint when nothing else is said.
const PATH_DEFAULT: &str = "/mcp";

/// An address taken for the agent, before anything is opened.
pub(super) struct HttpDoor {
    reserved: Reserved,
    path: String,
    limits: HttpLimits,
    shutdown: ShutdownConfig,
}

/// Takes the address and writes it into the configuration; `None` for stdio.
///
/// # Errors
/// [`Exit::Usage`] for options that do not fit, an address of another machine or no token; [`Exit::Unavailable`] when the port is taken.
pub(super) fn reserve(args: &TransportArgs, config: &mut Config, environment: &Environment) -> Result<Option<HttpDoor>, Failure> {
    if args.transport == Transport::Stdio {
        let given = [("--host", args.host.is_some()), ("--port", args.port.is_some()), ("--path", args.path.is_some())];
        return match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(usage(format!("`{option}` says nothing about stdio"), "add `--transport http`, or take it out")),
            None => Ok(None),
        };
    }
    token(environment)?;
    let path = endpoint_path(args.path.as_deref().unwrap_or(PATH_DEFAULT));
    let path = path.map_err(|rule| usage(format!("`--path`: {rule}"), "the default is `/mcp`"))?;
    let address = SocketAddr::new(host(args.host.as_deref())?, args.port.unwrap_or_default());
    let reserved = Reserved::bind(address)?;
    // The gateway derives the Host values that it admits from the real port.
    config.listen = Listen(reserved.address());
    config.path.clone_from(&path);
    Ok(Some(HttpDoor { reserved, path, limits: http_limits(&config.limits), shutdown: config.shutdown }))
}

fn host(written: Option<&str>) -> Result<IpAddr, Failure> {
    let address = match written {
        None | Some("localhost") => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Some(text) => text.trim_matches(['[', ']']).parse().ok(),
    };
    address.filter(|address: &IpAddr| address.to_canonical().is_loopback()).ok_or_else(|| {
        usage("`--host` must be an address of this machine", "for example `127.0.0.1` or `::1`; `bailiwick serve` is for other machines")
    })
}

fn token(environment: &Environment) -> Result<SecretString, Failure> {
    let token = environment.get(TOKEN_VARIABLE).map(|token| token.trim()).filter(|token| !token.is_empty());
    let Some(token) = token else {
        let text = format!("`{TOKEN_VARIABLE}` is not set: any process of this machine could call");
        return Err(usage(text, "set it to a long random text, and give the same to the client as bearer token"));
    };
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(usage(format!("`{TOKEN_VARIABLE}` holds characters that no header can carry"), "use letters and digits"));
    }
    if token.len() < TOKEN_CHARS_MIN {
        tracing::warn!(target: "ops", event = "bearer_token_short", characters_min = TOKEN_CHARS_MIN, "`{TOKEN_VARIABLE}` is short enough to be guessed");
    }
    Ok(SecretString::from(token))
}

/// The agent behind the door.
///
/// # Errors
/// [`Exit::Usage`] without a token.
pub(super) fn single_agent(environment: &Environment, agent_id: &AgentId, agent_type: &AgentType) -> Result<SingleAgent, Failure> {
    Ok(SingleAgent { agent_id: agent_id.clone(), agent_type: agent_type.clone(), bearer: token(environment)? })
}

impl HttpDoor {
    /// Opens the agent's modules, then the door, and serves until a signal comes.
    pub(super) async fn serve(
        self,
        gateway: Gateway,
        (agent_id, agent_type): (&AgentId, &AgentType),
        health: Option<HealthFile>,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        let Self { reserved, path, limits, shutdown } = self;
        let address = reserved.address();
        let opened = async { Ok::<_, Failure>((gateway.local_agent(agent_id, agent_type).await?, reserved.listen()?)) };
        let (caller, door) = match opened.await {
            Ok(opened) => opened,
            Err(failure) => {
                gateway.finish(Duration::ZERO).await;
                return Err(failure);
            }
        };
        let reporting = health.map(|health| tokio::spawn(health.keep(gateway.clone(), caller)));
        let serving = Serving::begin(gateway, door, path.clone(), limits);
        announce(address, &path, None);
        let served = serving.until_signal(signals, shutdown).await;
        if let Some(reporting) = reporting {
            reporting.abort();
        }
        served
    }
}

fn usage(text: impl Into<String>, hint: &str) -> Failure {
    Failure::new(Exit::Usage, text).hint(hint)
}
