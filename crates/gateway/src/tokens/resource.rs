//! What a client is told about how to get in: the RFC 9728 documents and what challenges point to (protocol reference 7.1).

use std::net::IpAddr;

use bailiwick_model::config::Config;
use bailiwick_model::{OrgId, ServerName};
use serde_json::json;
use url::Url;

use crate::gateway::StartFault;

/// Where documents about resources stand (RFC 9728 section 3).
pub(crate) const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The endpoints of this gateway as clients name them.
pub(crate) struct Resource {
    /// Scheme and host, with port where it is not the scheme's own.
    origin: String,
    /// Path of `public_url`, without slash at the end.
    outer: String,
    /// Path of the endpoint.
    path: String,
    issuers: Vec<String>,
    /// Every scope that some issuer's tokens must have.
    scopes: Vec<String>,
}

impl Resource {
    pub(super) fn of(config: &Config) -> Result<Self, StartFault> {
        let (origin, outer) = address(config)?;
        let mut scopes: Vec<String> = Vec::new();
        for scope in config.issuers.iter().flat_map(|issuer| &issuer.scopes_required) {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        let issuers = config.issuers.iter().map(|issuer| issuer.issuer.clone()).collect();
        Ok(Self { origin, outer, path: config.path.clone(), issuers, scopes })
    }

    /// The identifier of the endpoint of `server`, or of the one of all: canonical, without slash at the end.
    pub(crate) fn identifier(&self, server: Option<&str>) -> String {
        match server {
            None => format!("{}{}{}", self.origin, self.outer, self.path),
            Some(server) => self.servers() + server,
        }
    }

    /// What the identifier of a server's own endpoint begins with.
    pub(super) fn servers(&self) -> String {
        format!("{}{}{}/servers/", self.origin, self.outer, self.path)
    }

    /// The scopes that a token needs, as a challenge has them.
    pub(crate) fn scope(&self) -> String {
        self.scopes.join(" ")
    }

    /// Where the document about an endpoint stands: the path of the resource follows the well-known one (RFC 9728 section 3.1).
    pub(crate) fn document_url(&self, server: Option<&str>) -> String {
        let own = format!("{}{WELL_KNOWN}{}{}", self.origin, self.outer, self.path);
        match server {
            // Nothing that came with a request is repeated unless it is a name.
            Some(server) if ServerName::parse(server).is_ok() => format!("{own}/servers/{server}"),
            _ => own,
        }
    }

    /// The document at `path`: without more for the gateway, else for the endpoint whose path follows, as clients or the gateway itself
    /// have it. Whether a server exists is not told.
    pub(crate) fn document(&self, path: &str) -> Option<String> {
        let rest = path.strip_prefix(WELL_KNOWN)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() {
            return Some(self.describe(None));
        }
        let inner = |rest: &str| match rest.strip_prefix(self.path.as_str())? {
            "" => Some(self.describe(None)),
            rest => {
                // A token for the gateway serves at the endpoint of each organisation.
                if let Some(rest) = rest.strip_prefix("/orgs/") {
                    let (org, server) = rest.split_once("/servers/").map_or((rest, None), |(org, server)| (org, Some(server)));
                    let fits = OrgId::parse(org).is_ok() && server.is_none_or(|server| ServerName::parse(server).is_ok());
                    return fits.then(|| self.describe(None));
                }
                let server = rest.strip_prefix("/servers/")?;
                ServerName::parse(server).ok().map(|_| self.describe(Some(server)))
            }
        };
        rest.strip_prefix(self.outer.as_str()).and_then(inner).or_else(|| inner(rest))
    }

    fn describe(&self, server: Option<&str>) -> String {
        let mut document = json!({
            "resource": self.identifier(server),
            "authorization_servers": self.issuers,
            "bearer_methods_supported": ["header"],
            "resource_name": "Bailiwick",
        });
        if !self.scopes.is_empty() {
            document["scopes_supported"] = json!(self.scopes);
        }
        document.to_string()
    }
}

/// Origin and path of the address that clients use.
fn address(config: &Config) -> Result<(String, String), StartFault> {
    let Some(written) = &config.public_url else {
        let listen = config.listen.0;
        if listen.ip().is_unspecified() || listen.port() == 0 {
            let message = "tokens are issued for the address that clients use, and the listener does not tell it";
            return Err(StartFault::new(message, "write `public_url`"));
        }
        let host = match listen.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let port = if listen.port() == 80 { String::new() } else { format!(":{}", listen.port()) };
        return Ok((format!("http://{host}{port}"), String::new()));
    };
    let fault = |_| StartFault::new("`public_url` is not an address", "write it as `https://gw.example.com`");
    let url = Url::parse(written).map_err(fault)?;
    Ok((url.origin().ascii_serialization(), url.path().trim_end_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(more: &str) -> Resource {
        let issuer =
            "auth: {issuers: [{name: c, issuer: 'https://id.example.com', org: acme, agent_type: a, scopes_required: ['mcp:tools']}]}";
        let (config, _) = Config::parse("b.yml", &format!("{more}\n{issuer}\n"), &|_| None).unwrap();
        Resource::of(&config).unwrap()
    }

    #[test]
    fn identifiers_are_canonical() {
        for (more, own) in [
            ("", "http://127.0.0.1:8700/mcp"),
            ("listen: '[::1]:80'", "http://[::1]/mcp"),
            ("public_url: 'HTTPS://GW.Example.com:443/'", "https://gw.example.com/mcp"),
            ("public_url: https://gw.example.com:8443/base/\npath: /agents/", "https://gw.example.com:8443/base/agents"),
            ("public_url: 'https://b\u{fc}cher.example'", "https://xn--bcher-kva.example/mcp"),
        ] {
            assert_eq!(resource(more).identifier(None), own);
            assert_eq!(resource(more).identifier(Some("t")), format!("{own}/servers/t"));
        }
    }

    #[test]
    fn documents_stand_where_clients_look() {
        let resource = resource("public_url: https://gw.example.com/base");
        let own = "https://gw.example.com/.well-known/oauth-protected-resource/base/mcp";
        assert_eq!(resource.document_url(None), own);
        assert_eq!(resource.document_url(Some("tickets")), format!("{own}/servers/tickets"));
        assert_eq!(resource.document_url(Some("a\"b")), own);
        for (path, named) in [
            ("", Some("/base/mcp")),
            ("/", Some("/base/mcp")),
            ("/base/mcp", Some("/base/mcp")),
            ("/base/mcp/", Some("/base/mcp")),
            ("/mcp", Some("/base/mcp")),
            ("/mcp/servers/tickets", Some("/base/mcp/servers/tickets")),
            ("/base/mcp/servers/tickets/", Some("/base/mcp/servers/tickets")),
            ("/mcp/servers/", None),
            ("/mcp/servers/a/b", None),
            ("/mcp/servers/..", None),
            ("/mcpx", None),
            ("/other", None),
            ("x", None),
        ] {
            let document = resource.document(&format!("{WELL_KNOWN}{path}"));
            let found = document.map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap());
            assert_eq!(
                found.as_ref().map(|found| found["resource"].as_str().unwrap().to_owned()),
                named.map(|n| format!("https://gw.example.com{n}")),
                "{path}"
            );
            if let Some(found) = found {
                assert_eq!(found["authorization_servers"], json!(["https://id.example.com"]));
                assert_eq!(found["scopes_supported"], json!(["mcp:tools"]));
            }
        }
    }
}
