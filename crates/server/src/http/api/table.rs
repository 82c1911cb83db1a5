//! From path and method to an operation.

use std::collections::BTreeMap;

use bailiwick_gateway::operations::Fault;
use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::operation::Verb;
use super::problem::Problem;
use super::route::Route;

/// The operations by path and method.
pub(crate) struct Table {
    paths: matchit::Router<BTreeMap<Verb, Route>>,
}

/// The operation of a request and its parameters in the path, each decoded once.
pub(crate) struct Found<'t> {
    pub(crate) route: &'t Route,
    pub(crate) path: Map<String, Value>,
}

impl Table {
    /// A table of `routes`. Two operations with one place are a mistake of ours that a test finds: the later one is not served.
    pub(crate) fn new(routes: Vec<Route>) -> Self {
        let mut by_path: BTreeMap<&'static str, BTreeMap<Verb, Route>> = BTreeMap::new();
        for route in routes {
            by_path.entry(route.facts.path).or_default().entry(route.facts.verb).or_insert(route);
        }
        let mut paths = matchit::Router::new();
        for (path, methods) in by_path {
            if let Err(cause) = paths.insert(path, methods) {
                tracing::error!(target: "ops", event = "route_broken", path, %cause, "a path of the API is not served");
            }
        }
        Self { paths }
    }

    /// The operation at `path`, which is as it came: percent-encoded, so that a `/` inside a name does not end it.
    pub(crate) fn find(&'static self, path: &str, method: &Method) -> Result<Found<'static>, Problem> {
        let matched = self.paths.at(path).map_err(|_| Fault::not_found("the address"))?;
        let methods = matched.value;
        let route = Verb::of(method).and_then(|verb| methods.get(&verb)).ok_or_else(|| Problem::method(method, methods.keys().copied()))?;
        let mut parameters = Map::new();
        for (name, raw) in matched.params.iter() {
            parameters.insert(name.to_owned(), Value::String(decoded(name, raw)?));
        }
        Ok(Found { route, path: parameters })
    }
}

/// Decodes once and never again: `%252F` is the three characters `%2F`.
fn decoded(name: &str, raw: &str) -> Result<String, Fault> {
    let broken = || Fault::invalid(name, "a percent sign is followed by two hexadecimal digits, and the whole is UTF-8");
    let bytes = raw.as_bytes();
    let hexadecimal = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    if bytes.iter().enumerate().any(|(at, byte)| *byte == b'%' && !(hexadecimal(at + 1) && hexadecimal(at + 2))) {
        return Err(broken());
    }
    percent_decode_str(raw).decode_utf8().map(Into::into).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{TABLE, routes};
    use super::*;

    #[test]
    fn every_operation_has_a_place_and_a_name_of_its_own() {
        let routes = routes();
        let places: BTreeSet<_> = routes.iter().map(|route| (route.facts.path, route.facts.verb)).collect();
        let names: BTreeSet<_> = routes.iter().map(|route| route.facts.id).collect();
        assert_eq!((places.len(), names.len()), (routes.len(), routes.len()));
        for route in &routes {
            let path = route.facts.path.replace(['{', '}'], "");
            assert_eq!(TABLE.find(&path, &route.facts.verb.method()).ok().unwrap().route.facts.id, route.facts.id);
            assert!(route.facts.summary.ends_with('.'), "{}", route.facts.id);
        }
    }

    #[test]
    fn names_in_a_path_are_decoded_once() {
        let sub = |raw: &str| decoded("sub", raw).map_err(|fault| fault.message.into_owned());
        assert_eq!(sub("a%2Fb").unwrap(), "a/b");
        assert_eq!(sub("a%252Fb").unwrap(), "a%2Fb");
        assert_eq!(sub("+").unwrap(), "+");
        for bad in ["%", "%2", "%zz", "a%ff"] {
            assert!(sub(bad).unwrap_err().contains("`sub`"), "{bad}");
        }
        let found = TABLE.find("/v1/orgs/acme/members/a%2Fb%20c", &Method::GET).ok().unwrap();
        assert_eq!(Value::Object(found.path), serde_json::json!({"org": "acme", "sub": "a/b c"}));
    }
}
