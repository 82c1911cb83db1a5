//! What the operator may set for one upstream server, and what the client learned of it.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::authorization::Authorization;
use super::dial::Target;
use crate::json::Json;
use crate::revision::Revision;

/// Which era to speak with a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EraSetting {
    /// Find out (reference, protocol section 4.2).
    #[default]
    Auto,
    /// `initialize` without asking.
    Legacy,
    /// Per-request metadata; a server that does not know it is a fault.
    Modern,
    /// Exactly this revision is asked for; a legacy server may still negotiate another legacy one.
    Revision(Revision),
}

/// Limits and settings of one upstream.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which era to speak.
    pub era: EraSetting,
    /// What an earlier [`super::Upstream::open`] found; saves the probe as long as it still holds.
    pub known: Option<Probe>,
    /// Time for one exchange that has no deadline of its own: a page of a list, a handshake message.
    pub call_deadline: Duration,
    /// Time a server has to answer the era probe.
    pub probe_deadline: Duration,
    /// Time for opening a connection (name, TCP, TLS), and, counted apart, for the whole handshake.
    pub open_deadline: Duration,
    /// Largest answer to one request, in bytes.
    pub result_bytes_max: usize,
    /// Largest single event of an event stream, in bytes.
    pub event_bytes_max: usize,
    /// Connections in use at once; more callers wait for at most a second.
    pub connections_max: usize,
    /// Pages of one list.
    pub list_pages_max: usize,
    /// Items of one list; what is beyond is cut, and [`super::Listed::cut`] says so.
    pub list_items_max: usize,
    /// The `Implementation` object we introduce ourselves with: `{"name":…,"version":…}`.
    pub client_info: Json,
    /// The `ClientCapabilities` object: what is declared to a legacy server for the whole session, and to a modern one with every request
    /// whose caller declares nothing himself (`io.modelcontextprotocol/clientCapabilities` in [`super::Outgoing::meta`]).
    pub client_capabilities: Json,
    /// Spreads the restarts of many gateways; any number, best a random one.
    pub jitter_seed: u64,
}

impl Options {
    /// The defaults of reference, security section 14, for a client that calls itself `client_info`.
    #[must_use]
    pub fn new(client_info: Json) -> Self {
        Self {
            era: EraSetting::Auto,
            known: None,
            call_deadline: Duration::from_secs(60),
            probe_deadline: Duration::from_secs(10),
            open_deadline: Duration::from_secs(30),
            result_bytes_max: 16 << 20,
            event_bytes_max: 4 << 20,
            connections_max: 64,
            list_pages_max: 100,
            list_items_max: 2_000,
            client_info,
            client_capabilities: Json::from_static("{}"),
            jitter_seed: 0,
        }
    }
}

/// What a server said of itself when it was opened. Kept by operators' tools and given back as [`Options::known`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probe {
    /// The revision spoken with the server.
    pub revision: Revision,
    /// Whether the server gave a legacy session id.
    pub session: bool,
    /// The server's capabilities, as it sent them; `{}` when it refused to say.
    pub capabilities: Json,
    /// The server's name and version as it sent them; `{}` when it did not. Self-reported: shown, never trusted.
    pub server_info: Json,
    /// What the server wants a model to know about it. Untrusted text.
    pub instructions: Option<String>,
}

impl Probe {
    /// Whether the server announces a capability: `tools`, `prompts`, `resources`, `completions`, `logging` or another one.
    #[must_use]
    pub fn offers(&self, capability: &str) -> bool {
        self.capabilities.member(capability).is_some_and(|offered| offered.is_object())
    }

    /// Whether the server announces a detail of a capability, as `resources` with `subscribe` or `tools` with `listChanged`.
    #[must_use]
    pub fn offers_also(&self, capability: &str, detail: &str) -> bool {
        let detail = self.capabilities.member(capability).and_then(|offered| offered.member(detail));
        detail.and_then(|detail| detail.boolean()) == Some(true)
    }
}

/// A server reached over HTTP. Its `Debug` form leaves out the values of headers: they may be secret.
#[derive(Clone)]
pub struct HttpEndpoint {
    /// Scheme, host and port.
    pub target: Target,
    /// Path with query, beginning with `/`.
    pub path: String,
    /// Sent with every request: credentials and what else the operator configured.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The `Authorization` header, where it changes while the server is in use; it counts before one among `headers`.
    pub authorization: Authorization,
}

impl HttpEndpoint {
    /// Takes an `http` or `https` address apart.
    ///
    /// # Errors
    /// One line naming the rule that `url` breaks: scheme, user information, fragment, missing host.
    pub fn parse(url: &str, headers: Vec<(HeaderName, HeaderValue)>) -> Result<Self, String> {
        let parsed = url::Url::parse(url).map_err(|error| format!("not an address: {error}"))?;
        let https = match parsed.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err("the scheme must be https or http".into()),
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err("user and password do not belong into the address; use a header".into());
        }
        if parsed.fragment().is_some() {
            return Err("an address with a fragment (`#`) is not an endpoint".into());
        }
        let host = parsed.host_str().ok_or("the address has no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = parsed.port_or_known_default().ok_or("the address has no port")?;
        let path = match parsed.query() {
            Some(query) => format!("{}?{query}", parsed.path()),
            None => parsed.path().to_owned(),
        };
        Ok(Self { target: Target { https, host, port }, path, headers, authorization: Authorization::default() })
    }

    /// The value of the `Host` header: the port only where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let Target { https, host, port } = &self.target;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if *port == if *https { 443 } else { 80 } { host } else { format!("{host}:{port}") }
    }
}

/// A server started as a child process. Its `Debug` form leaves out arguments and values of the environment: they may be secret.
#[derive(Clone)]
pub struct StdioCommand {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments, passed without a shell.
    pub args: Vec<OsString>,
    /// The complete environment: the child gets nothing else.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory; ours when `None`.
    pub cwd: Option<PathBuf>,
    /// A program put in front that confines itself and then executes the command.
    pub launcher: Option<Launcher>,
}

impl fmt::Debug for HttpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&HeaderName> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpEndpoint").field("target", &self.target).field("headers", &names).finish_non_exhaustive()
    }
}

impl fmt::Debug for StdioCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&OsString> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("StdioCommand").field("program", &self.program).field("env", &names).finish_non_exhaustive()
    }
}

/// `program args… COMMAND`: sets limits for itself and then becomes the command.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The executable.
    pub program: PathBuf,
    /// Arguments before the command.
    pub args: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<HttpEndpoint, String> {
        HttpEndpoint::parse(url, Vec::new())
    }

    #[test]
    fn takes_addresses_apart() {
        let plain = parse("https://mcp.example.com/mcp?x=1").unwrap();
        assert_eq!(plain.target, Target { https: true, host: "mcp.example.com".into(), port: 443 });
        assert_eq!((plain.path.as_str(), plain.authority().as_str()), ("/mcp?x=1", "mcp.example.com"));
        let six = parse("http://[::1]:8080").unwrap();
        assert_eq!((six.target.host.as_str(), six.authority().as_str(), six.path.as_str()), ("::1", "[::1]:8080", "/"));
        assert_eq!(six.target.to_string(), "http://[::1]:8080");
        assert_eq!(parse("http://h:80/").unwrap().authority(), "h");
        assert_eq!(parse("https://h:80/").unwrap().authority(), "h:80");
    }

    #[test]
    fn secrets_do_not_show() {
        let endpoint =
            HttpEndpoint::parse("https://h/?key=s3cret", vec![("authorization".parse().unwrap(), "Bearer s3cret".parse().unwrap())]);
        let command = StdioCommand {
            program: "/bin/x".into(),
            args: vec!["--token=s3cret".into()],
            env: vec![("TOKEN".into(), "s3cret".into())],
            cwd: None,
            launcher: None,
        };
        let shown = format!("{:?} {command:?}", endpoint.unwrap());
        assert!(!shown.contains("s3cret") && shown.contains("TOKEN") && shown.contains("authorization"), "{shown}");
    }

    #[test]
    fn refuses_what_is_no_endpoint() {
        for bad in ["ftp://h/", "https://u:p@h/", "https://h/#f", "nonsense", "file:///etc/passwd"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
