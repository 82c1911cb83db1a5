//! Making servers out of configuration: the gateway's own from `bailiwick.yml`, and those a manifest names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_mcp::client::{Authorization, EraSetting, HttpEndpoint, Launcher, Options, Probe, StdioCommand, Upstream};
use bailiwick_mcp::{Json, Revision};
use bailiwick_model::address::Cidr;
use bailiwick_model::config::{Limits, ServerConfig};
use bailiwick_model::manifest::ProxyConfig;
use bailiwick_model::registered::ServerEra;
use bailiwick_model::secret_text::SecretText;
use bailiwick_model::upstream::{EraChoice, Transport};
use bailiwick_model::{OrgId, Sensitive, ServerName};
use bailiwick_modules::egress::{Egress, Rules};
use bailiwick_store::RegisteredServer;
use bailiwick_store::ledger::redact::is_sensitive_key;
use http::{HeaderName, HeaderValue};

use super::{ProbeNote, Proxy, Reach, Server, Settings};
use crate::dependency::Dependency;
use crate::dial::GuardedDial;
use crate::mask::Mask;
use crate::oauth;
use crate::product::SERVER_INFO;

/// Variables of our own environment that a child gets; everything else it must be given (security reference section 12).
const INHERITED: &[&str] = &["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TZ", "USER"];

/// The default limit for opening and listing a server of the gateway.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// What older servers may ask in a session that many clients share; each call says again whether its own client can be asked.
const CLIENT_CAPABILITIES: &str = r#"{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}"#;

/// Everything a server is made with.
pub(crate) struct Workshop {
    pub(crate) egress: Egress,
    pub(crate) launcher: Option<Launcher>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) limits: Limits,
    pub(crate) name_max: usize,
    pub(crate) mask: Arc<Mask>,
    pub(crate) jitter_seed: u64,
}

/// What a server's address or command asks for that is not there.
#[derive(Debug)]
pub(crate) struct Unfit {
    pub(crate) message: String,
    pub(crate) remedy: String,
}

impl Workshop {
    /// A server of `bailiwick.yml`. `secret` finds `${secret:NAME}`; every value it gives is masked from then on.
    pub(crate) fn server(
        &self,
        config: &ServerConfig,
        org: Option<OrgId>,
        note: ProbeNote,
        known: Option<Probe>,
        secret: &dyn Fn(&str) -> Option<Sensitive>,
    ) -> Result<Arc<Server>, Unfit> {
        let settings = Settings {
            name: config.name.clone(),
            org,
            trust: config.trust,
            timeout: config.timeout.unwrap_or(Duration::from_secs(self.limits.call_deadline_seconds)),
            discovery_timeout: DISCOVERY_TIMEOUT,
            name_max: self.name_max,
            proxy: None,
            waits_for: None,
            note: Some(note),
            lends: lends(&config.transport),
        };
        let options = Options { known, ..self.options(config.era) };
        let upstream = self.upstream(&config.transport, options, &config.allow_private, secret)?;
        Ok(Server::new(settings, Reach::One(upstream), &self.limits))
    }

    /// The server of an `mcp_proxy` module, first discovered when what it `waits_for` is there.
    pub(crate) fn proxy(
        &self,
        key: &str,
        config: &ProxyConfig,
        waits_for: Option<Dependency>,
        secret: &dyn Fn(&str) -> Option<Sensitive>,
    ) -> Result<Arc<Server>, Unfit> {
        let name = ServerName::parse(key).map_err(|rule| Unfit { message: rule.to_string(), remedy: "rename the module".into() })?;
        let settings = Settings {
            name,
            org: None,
            trust: bailiwick_contract::TrustClass::ThirdParty,
            timeout: Duration::from_secs(self.limits.call_deadline_seconds),
            discovery_timeout: config.discovery_timeout,
            name_max: self.name_max,
            proxy: Some(Proxy {
                key: key.into(),
                allow: config.tool_allowlist.clone(),
                deny: config.tool_denylist.clone(),
                bound: !config.arguments.is_empty(),
                binary_bytes_max: config.binary_bytes_max,
            }),
            waits_for: waits_for.map(|dependency| (dependency, self.egress.clone())),
            note: None,
            lends: lends(&config.transport),
        };
        let upstream = self.upstream(&config.transport, self.options(config.era), &[], secret)?;
        Ok(Server::new(settings, Reach::One(upstream), &self.limits))
    }

    /// The way to a registered server, and where its token is put.
    pub(crate) fn registered(&self, record: &RegisteredServer, oauth: &oauth::Settings) -> Result<(Upstream, Authorization), Unfit> {
        let url = record.server_url.as_str();
        let endpoint =
            HttpEndpoint::parse(url, Vec::new()).map_err(|rule| Unfit { message: rule, remedy: "correct `server_url`".into() })?;
        let rules = oauth
            .rules_for(url)
            .map_err(|rule| Unfit { message: format!("`server_url` {rule}"), remedy: "correct `server_url`".into() })?;
        let era = match record.era {
            ServerEra::Auto => EraSetting::Auto,
            ServerEra::Legacy => EraSetting::Legacy,
            ServerEra::Modern => EraSetting::Modern,
        };
        let options = Options { era, ..self.options(EraChoice::Auto) };
        let upstream = Upstream::http(&endpoint, Arc::new(GuardedDial::new(self.egress.clone(), rules)), options)
            .map_err(|fault| Unfit { message: fault.detail, remedy: "correct `server_url`".into() })?;
        Ok((upstream, endpoint.authorization))
    }

    fn upstream(
        &self,
        transport: &Transport,
        options: Options,
        allow_private: &[Cidr],
        secret: &dyn Fn(&str) -> Option<Sensitive>,
    ) -> Result<Upstream, Unfit> {
        match transport {
            Transport::Http { url, headers } => {
                let headers = self.headers(headers, secret)?;
                let endpoint = HttpEndpoint::parse(url, headers).map_err(|rule| Unfit { message: rule, remedy: "correct `url`".into() })?;
                let rules = Rules::for_configured_host(&endpoint.target.host, allow_private.to_vec());
                Upstream::http(&endpoint, Arc::new(GuardedDial::new(self.egress.clone(), rules)), options)
                    .map_err(|fault| Unfit { message: fault.detail, remedy: "correct `url`".into() })
            }
            Transport::Stdio { command, args, env } => {
                let command = StdioCommand {
                    program: self.program(command)?,
                    args: args.iter().map(OsString::from).collect(),
                    env: self.child_environment(env, secret)?,
                    cwd: None,
                    launcher: self.launcher.clone(),
                };
                Ok(Upstream::stdio(command, options))
            }
        }
    }

    fn options(&self, era: EraChoice) -> Options {
        Options {
            era: era_setting(era),
            call_deadline: Duration::from_secs(self.limits.call_deadline_seconds),
            result_bytes_max: usize_of(self.limits.upstream_response_bytes_max),
            event_bytes_max: usize_of(self.limits.upstream_event_bytes_max),
            connections_max: usize_of(self.limits.in_flight_per_upstream_max),
            list_pages_max: usize_of(self.limits.list_pages_max),
            list_items_max: usize_of(self.limits.tools_per_upstream_max),
            jitter_seed: self.jitter_seed,
            client_capabilities: Json::from_static(CLIENT_CAPABILITIES),
            ..Options::new(Json::from_static(SERVER_INFO))
        }
    }

    fn headers(
        &self,
        headers: &[(String, SecretText)],
        secret: &dyn Fn(&str) -> Option<Sensitive>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Unfit> {
        let header = |(name, text): &(String, SecretText)| {
            let value = self.fill(text, secret)?;
            if is_credential(name) {
                // The scheme in front (`Bearer`) is no secret; what follows is.
                self.mask.learn([value.expose().rsplit(' ').next().unwrap_or_default()]);
            }
            let bad = || Unfit { message: format!("header `{name}` is not a valid header"), remedy: "use visible ASCII only".into() };
            let name = HeaderName::try_from(name.as_str()).map_err(|_| bad())?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| bad())?;
            value.set_sensitive(true);
            Ok((name, value))
        };
        headers.iter().map(header).collect()
    }

    /// The complete environment of a child: a few harmless variables of ours, then the declared ones.
    fn child_environment(
        &self,
        declared: &[(String, SecretText)],
        secret: &dyn Fn(&str) -> Option<Sensitive>,
    ) -> Result<Vec<(OsString, OsString)>, Unfit> {
        let inherited = INHERITED.iter().filter_map(|name| Some((OsString::from(*name), OsString::from(self.environment.get(*name)?))));
        let mut all: Vec<(OsString, OsString)> = inherited.collect();
        for (name, text) in declared {
            let value = self.fill(text, secret)?;
            if is_credential(name) {
                self.mask.learn([value.expose()]);
            }
            all.retain(|(known, _)| known != name.as_str());
            all.push((name.into(), value.expose().into()));
        }
        Ok(all)
    }

    fn fill(&self, text: &SecretText, secret: &dyn Fn(&str) -> Option<Sensitive>) -> Result<Sensitive, Unfit> {
        let masked = |name: &str| {
            let value = secret(name)?;
            self.mask.learn([value.expose()]);
            Some(value)
        };
        text.fill(&masked).map_err(|name| Unfit {
            message: format!("the secret `{name}` is not in the store"),
            remedy: format!("put it there: `bailiwick secret set {name}`"),
        })
    }

    /// An absolute path, or a name found in `PATH`; no shell is ever asked.
    fn program(&self, command: &str) -> Result<PathBuf, Unfit> {
        if command.contains('/') {
            return Ok(command.into());
        }
        let path = self.environment.get("PATH").map(String::as_str).unwrap_or_default();
        let found =
            path.split(':').filter(|dir| dir.starts_with('/')).map(|dir| PathBuf::from(dir).join(command)).find(|file| file.is_file());
        found.ok_or_else(|| Unfit {
            message: format!("the program `{command}` is not in PATH"),
            remedy: "install it, or write its absolute path".into(),
        })
    }
}

/// Whether a header or variable of this name carries a credential, wherever its value came from.
fn is_credential(name: &str) -> bool {
    is_sensitive_key(&name.replace('-', "_"), &[])
}

/// Whether a credential goes along with what is sent: one by its name, or a secret of the store.
fn lends(transport: &Transport) -> bool {
    let texts = match transport {
        Transport::Http { headers, .. } => headers,
        Transport::Stdio { env, .. } => env,
    };
    texts.iter().any(|(name, text)| is_credential(name) || text.names().next().is_some())
}

fn usize_of(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn era_setting(choice: EraChoice) -> EraSetting {
    match choice {
        EraChoice::Auto => EraSetting::Auto,
        EraChoice::Legacy => EraSetting::Legacy,
        EraChoice::Modern => EraSetting::Modern,
        EraChoice::Revision(text) => Revision::parse(text).map_or(EraSetting::Auto, EraSetting::Revision),
    }
}
