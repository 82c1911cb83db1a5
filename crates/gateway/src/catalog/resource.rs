//! Resources and templates as agents see them, and the way of a URI to its server and back.
//!
//! In a view of several servers a URI stays as it is when reading it leads to the server that gave it. When it would lead to another
//! one, it is given out with the server's name in front: `bailiwick://{server}/{uri}`, and `ui://bailiwick.{server}/...` for apps, whose
//! hosts look at the scheme (protocol reference 5.6 and 6.2).

use std::collections::HashMap;
use std::sync::Arc;

use bailiwick_mcp::Json;
use bailiwick_model::ServerName;
use bailiwick_model::manifest::Access;
use bailiwick_model::policy::{Decision, Kind, Rules, Source, ToolFacts, decide};

use crate::servers::Server;

/// Longest URI that is routed.
pub(crate) const URI_BYTES_MAX: usize = 4 << 10;
const SCHEME: &str = "bailiwick://";
const APP_SCHEME: &str = "ui://";
const APP_PREFIX: &str = "ui://bailiwick.";

/// One listed resource, or a template of resources.
pub(crate) struct Resource {
    pub(crate) server: Arc<Server>,
    /// The server's own URI, or its template.
    pub(crate) uri: Box<str>,
    /// The server's own definition.
    pub(crate) definition: Json,
}

impl Resource {
    /// Whether a new discovery brought nothing new for it.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self.definition.bytes() == other.definition.bytes()
    }
}

/// Whether the agent may read `uri` at `server`: the same decision as for the list.
pub(crate) fn admits(rules: &Rules, server: &Server, uri: &str) -> bool {
    if !server.offers_resources() {
        return false;
    }
    let source = match server.proxy_key() {
        Some(key) => Source::Module { key },
        None => Source::Server { name: server.name(), tool: uri },
    };
    decide(rules, &ToolFacts { kind: Kind::Resource, served_name: uri, source, access: Access::Read }) == Decision::Allow
}

/// Where the URIs of one view lead.
#[derive(Default)]
pub(crate) struct Routes {
    /// Servers with resources, by name.
    servers: Vec<Arc<Server>>,
    /// Listed URIs and the first server, in the order of names, that lists each.
    listed: HashMap<Box<str>, Arc<Server>>,
    templates: Vec<(Pattern, Arc<Server>)>,
    /// One server alone, under its own names: nothing is ever rewritten.
    transparent: bool,
}

impl Routes {
    /// `resources` and `templates` are those that the agent may see; their order decides which server keeps a doubled URI.
    pub(crate) fn new(servers: Vec<Arc<Server>>, resources: &[Arc<Resource>], templates: &[Arc<Resource>], transparent: bool) -> Self {
        let mut listed: HashMap<Box<str>, Arc<Server>> = HashMap::with_capacity(resources.len());
        for resource in resources {
            listed.entry(resource.uri.clone()).or_insert_with(|| resource.server.clone());
        }
        let templates = templates.iter().filter_map(|template| Some((Pattern::new(&template.uri)?, template.server.clone()))).collect();
        Self { servers, listed, templates, transparent }
    }

    /// The server behind a URI that a caller names, and the server's own URI.
    pub(crate) fn find<'u>(&self, uri: &'u str) -> Option<(&Arc<Server>, std::borrow::Cow<'u, str>)> {
        if uri.len() > URI_BYTES_MAX {
            return None;
        }
        if !self.transparent
            && let Some((name, own)) = unwrapped(uri)
        {
            return Some((self.servers.iter().find(|server| server.name().as_str() == name)?, own.into()));
        }
        Some((self.route(uri)?, uri.into()))
    }

    fn route(&self, uri: &str) -> Option<&Arc<Server>> {
        if let Some(server) = self.listed.get(uri) {
            return Some(server);
        }
        let by_template = self.templates.iter().find(|(pattern, _)| pattern.matches(uri)).map(|(_, server)| server);
        // A URI that nobody listed, such as one from a result, can only belong to a server that stands alone.
        by_template.or_else(|| if let [only] = &self.servers[..] { Some(only) } else { None })
    }

    /// What `server`'s own `uri` is called in this view; `None` when it keeps its name.
    pub(crate) fn shown(&self, server: &ServerName, uri: &str) -> Option<String> {
        let leads_home = || self.route(uri).is_some_and(|found| found.name() == server) && unwrapped(uri).is_none();
        // What the agent may not read anyway keeps its name as well.
        let readable = self.servers.iter().any(|known| known.name() == server);
        if self.transparent || self.servers.len() < 2 || !readable || leads_home() {
            return None;
        }
        Some(match uri.strip_prefix(APP_SCHEME) {
            Some(rest) => format!("{APP_PREFIX}{server}/{rest}"),
            None => format!("{SCHEME}{server}/{uri}"),
        })
    }

    /// Whether any URI of this view may have another name than at its server.
    pub(crate) fn rewrites(&self) -> bool {
        !self.transparent && self.servers.len() > 1
    }
}

/// The server's name and its own URI, when `text` is one of ours.
fn unwrapped(text: &str) -> Option<(&str, String)> {
    if let Some(rest) = text.strip_prefix(SCHEME) {
        return rest.split_once('/').map(|(server, own)| (server, own.to_owned()));
    }
    let rest = text.strip_prefix(APP_PREFIX)?;
    rest.split_once('/').map(|(server, own)| (server, format!("{APP_SCHEME}{own}")))
}

/// What the URIs of a template begin and end with (RFC 6570). It only finds the server, which then decides itself.
struct Pattern {
    prefix: Box<str>,
    suffix: Box<str>,
}

impl Pattern {
    /// `None` for a template that does not say at least a scheme: it would draw everything to its server.
    fn new(template: &str) -> Option<Self> {
        let (prefix, rest) = template.split_once('{').unwrap_or((template, ""));
        let suffix = rest.rsplit_once('}').map_or("", |(_, suffix)| suffix);
        prefix.contains(':').then(|| Self { prefix: prefix.into(), suffix: suffix.into() })
    }

    fn matches(&self, uri: &str) -> bool {
        uri.len() >= self.prefix.len() + self.suffix.len() && uri.starts_with(&*self.prefix) && uri.ends_with(&*self.suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_uris_come_back() {
        for uri in ["file:///a b?c#d", "test://x/{id}/data", "x:y"] {
            assert_eq!(unwrapped(&format!("{SCHEME}wiki/{uri}")), Some(("wiki", uri.to_owned())));
        }
        assert_eq!(unwrapped("ui://bailiwick.wiki/card/a"), Some(("wiki", "ui://card/a".to_owned())));
        for own in ["file:///a", "ui://card/a", "bailiwick:/x", "bailiwick://wiki"] {
            assert_eq!(unwrapped(own), None, "{own}");
        }
    }

    #[test]
    fn a_template_is_known_by_its_ends() {
        let matches = |template: &str, uri: &str| Pattern::new(template).is_some_and(|pattern| pattern.matches(uri));
        assert!(matches("test://template/{id}/data", "test://template/7/data"));
        assert!(matches("file:///{+path}", "file:///a/b"));
        assert!(!matches("test://template/{id}/data", "test://other/7/data"));
        assert!(!matches("a://{x}/a", "a://a") && !matches("{+x}", "a://a") && !matches("a{x}", "a://a"));
    }
}
