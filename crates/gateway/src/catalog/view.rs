//! What one agent sees: what the decision allows, and the rendered lists.
//!
//! A view is made once for each state of the catalog and then served as bytes (performance reference section 3).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bailiwick_mcp::client::List;
use bailiwick_mcp::encode::legacy_tool;
use bailiwick_mcp::{Era, Json};
use bailiwick_model::ServerName;
use bailiwick_model::policy::{Decision, Denial, Rules, Source, decide};
use tracing::warn;

use super::relabel::Relabel;
use super::render::{Definition, Pages, Press};
use super::resource::{Resource, Routes, admits};
use super::{Origin, Tool};
use crate::servers::Server;

/// Stands for a URI that no list names: a grant that admits it admits more than what is listed.
const ANY_URI: &str = "urn:any";

/// Everything that may be seen, before the decision.
#[derive(Default)]
pub(crate) struct Stock {
    pub(crate) tools: Vec<Arc<Tool>>,
    pub(crate) prompts: Vec<Arc<Tool>>,
    pub(crate) resources: Vec<Arc<Resource>>,
    pub(crate) templates: Vec<Arc<Resource>>,
    /// Tools that cannot be bound as the manifest says.
    pub(crate) withheld: Vec<Arc<Tool>>,
    /// The servers that the rest is of.
    pub(crate) servers: Vec<Arc<Server>>,
}

/// How views of one agent are made.
pub(crate) struct ViewSettings<'v> {
    pub(crate) rules: &'v Rules,
    /// A keyed digest, for cursors.
    pub(crate) code: &'v (dyn Fn(&[u8]) -> [u8; 32] + 'v),
    pub(crate) agent: &'v str,
    pub(crate) tools_max: usize,
    pub(crate) page_items: usize,
    /// Names as the server has them: the view of one server alone.
    pub(crate) transparent: bool,
    /// Whether tools of modules also answer to their name with the module's key once more in front (`compat.doubled_names`).
    pub(crate) doubled: bool,
}

/// An immutable view.
pub(crate) struct View {
    generation: u64,
    tools: Named,
    prompts: Named,
    routes: Routes,
    lists: [Pages; 4],
    servers: Vec<Arc<Server>>,
}

/// Tools or prompts by the names of this view.
#[derive(Default)]
struct Named {
    visible: HashMap<Box<str>, Arc<Tool>>,
    hidden: HashMap<Box<str>, Denial>,
    listed: Vec<Arc<Tool>>,
}

impl Named {
    /// Decides for each. Order: by name, so that it is the same on every replica; the view of one server keeps the server's own.
    fn of(settings: &ViewSettings<'_>, all: Vec<Arc<Tool>>) -> Self {
        let mut named = Self::default();
        let name = |tool: &Tool| Box::from(if settings.transparent { tool.original() } else { tool.name() });
        for tool in all {
            match decide(settings.rules, &tool.facts()) {
                Decision::Allow => {
                    // Modules come first; a server's tool never takes over a name.
                    if let Entry::Vacant(free) = named.visible.entry(name(&tool)) {
                        free.insert(tool.clone());
                        named.listed.push(tool);
                    }
                }
                Decision::Deny(denial) => drop(named.hidden.insert(name(&tool), denial)),
            }
        }
        if !settings.transparent {
            named.listed.sort_by(|a, b| a.name().cmp(b.name()));
        }
        for tool in named.listed.split_off(named.listed.len().min(settings.tools_max)) {
            named.visible.remove(&name(&tool));
            warn!(tool = tool.name(), "left out: the view is larger than `limits.tools_per_view_max`");
        }
        if settings.doubled && !settings.transparent {
            named.double();
        }
        named
    }
}

impl Named {
    /// Notes why tools are not there that policy may allow.
    fn withhold(&mut self, settings: &ViewSettings<'_>, tools: &[Arc<Tool>]) {
        for tool in tools {
            let name = if settings.transparent { tool.original() } else { tool.name() };
            self.hidden.insert(name.into(), Denial::Arguments);
        }
    }

    /// Lets tools of modules answer to their doubled names too; a name that is taken stays what it is.
    fn double(&mut self) {
        for tool in &self.listed {
            let Source::Module { key } = tool.facts().source else { continue };
            self.visible.entry(format!("{key}_{}", tool.name()).into()).or_insert_with(|| tool.clone());
        }
    }
}

impl View {
    /// A view of nothing.
    pub(crate) fn empty() -> Self {
        let (tools, prompts, routes, servers) = (Named::default(), Named::default(), Routes::default(), Vec::new());
        Self { generation: 0, tools, prompts, routes, lists: Default::default(), servers }
    }

    /// Decides and renders.
    pub(crate) fn build(generation: u64, settings: &ViewSettings<'_>, stock: Stock) -> Self {
        let Stock { tools, prompts, resources, templates, withheld, servers } = stock;
        let seen = |all: Vec<Arc<Resource>>| seen(settings, all);
        let (mut tools, prompts) = (Named::of(settings, tools), Named::of(settings, prompts));
        tools.withhold(settings, &withheld);
        let (resources, templates) = (seen(resources), seen(templates));
        let readable = |server: &&Arc<Server>| {
            let listed = resources.iter().chain(&templates).any(|resource| resource.server.name() == server.name());
            server.offer().announces("resources") && (listed || admits(settings.rules, server, ANY_URI))
        };
        let mut with_resources: Vec<Arc<Server>> = servers.iter().filter(readable).cloned().collect();
        with_resources.sort_by(|a, b| a.name().cmp(b.name()));
        let routes = Routes::new(with_resources, &resources, &templates, settings.transparent);
        let unavailable: Vec<String> =
            servers.iter().filter(|server| server.offer().failure.is_some()).map(|server| server.name().to_string()).collect();
        let (code, agent, page_items) = (settings.code, settings.agent, settings.page_items);
        let press = Press { code, agent, page_items, unavailable: &unavailable };
        let named = |named: &Named| -> Vec<Definition> { named.listed.iter().map(|tool| definition(settings, &routes, tool)).collect() };
        let listed = |all: &[Arc<Resource>], member: &str| -> Vec<Definition> {
            all.iter().map(|resource| resource_definition(&routes, resource, member)).collect()
        };
        let lists = [
            Pages::render(&press, List::Tools, &named(&tools)),
            Pages::render(&press, List::Prompts, &named(&prompts)),
            Pages::render(&press, List::Resources, &listed(&resources, "uri")),
            Pages::render(&press, List::Templates, &listed(&templates, "uriTemplate")),
        ];
        Self { generation, tools, prompts, routes, lists, servers }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn tool(&self, name: &str) -> Option<Arc<Tool>> {
        self.tools.visible.get(name).cloned()
    }

    /// The tool that `server` calls `original`.
    pub(crate) fn tool_of(&self, server: &ServerName, original: &str) -> Option<Arc<Tool>> {
        let is = |tool: &&Arc<Tool>| matches!(&tool.origin, Origin::Server { server: of, tool, .. } if of.name() == server && **tool == *original);
        self.tools.listed.iter().find(is).cloned()
    }

    pub(crate) fn prompt(&self, name: &str) -> Option<Arc<Tool>> {
        self.prompts.visible.get(name).cloned()
    }

    /// The reading of the resource that is called `uri` in this view. Whether the agent may is decided as for every tool.
    pub(crate) fn resource(&self, uri: &str) -> Option<Arc<Tool>> {
        let (server, own) = self.routes.find(uri)?;
        // Rules, rates and approvals know a resource by its own URI, whatever it is called in this view.
        Some(Arc::new(Tool::reading(server, &own, &own)))
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.routes
    }

    /// The rule that hides a tool or prompt; for the ledger only, the caller is never told.
    pub(crate) fn why_absent(&self, name: &str) -> &'static str {
        let hidden = self.tools.hidden.get(name).or_else(|| self.prompts.hidden.get(name));
        hidden.map_or("no_such_tool", |denial| denial.as_str())
    }

    /// The result of a list request; `None` for a cursor that was not given out.
    pub(crate) fn list(&self, listing: List, cursor: Option<&str>, era: Era) -> Option<&Json> {
        self.pages(listing)?.page(cursor, era)
    }

    fn pages(&self, list: List) -> Option<&Pages> {
        self.lists.get(list as usize)
    }

    /// Whether a list is the same in another view.
    pub(crate) fn same_list(&self, other: &Self, list: List) -> bool {
        self.pages(list).zip(other.pages(list)).is_some_and(|(ours, theirs)| ours.same_as(theirs))
    }

    /// Whether any of the servers announces `capability`.
    pub(crate) fn announces(&self, capability: &str) -> bool {
        self.servers.iter().any(|server| server.offer().announces(capability))
    }

    /// Whether any of the servers announces the extension.
    pub(crate) fn extends(&self, extension: &str) -> bool {
        self.servers.iter().any(|server| {
            let offer = server.offer();
            let extensions = offer.capabilities.as_ref().and_then(|all| all.member("extensions"));
            !offer.is_legacy && extensions.is_some_and(|extensions| extensions.has(extension))
        })
    }

    /// The servers behind this view.
    pub(crate) fn servers(&self) -> &[Arc<Server>] {
        &self.servers
    }
}

/// What the agent may read, by URI and server.
fn seen(settings: &ViewSettings<'_>, mut all: Vec<Arc<Resource>>) -> Vec<Arc<Resource>> {
    all.retain(|resource| admits(settings.rules, &resource.server, &resource.uri));
    if !settings.transparent {
        all.sort_by(|a, b| (a.server.name(), &a.uri).cmp(&(b.server.name(), &b.uri)));
    }
    all.truncate(settings.tools_max);
    all
}

fn definition(settings: &ViewSettings<'_>, routes: &Routes, tool: &Tool) -> Definition {
    if settings.transparent {
        return Definition { modern: tool.plain.clone(), legacy: legacy_tool(&tool.plain) };
    }
    let relabel = match &tool.origin {
        Origin::Server { server, .. } => Relabel::new(routes, server.name()),
        Origin::Module { .. } | Origin::House { .. } => None,
    };
    let shown = |definition: &Json| relabel.map_or_else(|| definition.clone(), |relabel| relabel.tool_definition(definition));
    Definition { modern: shown(&tool.modern), legacy: shown(&tool.legacy) }
}

fn resource_definition(routes: &Routes, resource: &Resource, member: &str) -> Definition {
    let relabel = Relabel::new(routes, resource.server.name());
    let shown = relabel.map_or_else(|| resource.definition.clone(), |relabel| relabel.definition(&resource.definition, member));
    Definition { modern: shown.clone(), legacy: shown }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bailiwick_model::Access;
    use bailiwick_model::config::Limits;
    use bailiwick_model::manifest::{ConfigKey, Manifest, ModuleCatalog};
    use bailiwick_modules::{CallContext, Hints, Pending, ToolFault, ToolModule, ToolOutput, ToolSpec};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::catalog::{OpenModule, module_tools};
    use crate::limits::Places;

    /// A module with tools of any name and access; it is never called.
    struct Fake(Vec<(String, Access)>);

    impl ToolModule for Fake {
        fn tools(&self) -> Vec<ToolSpec> {
            let spec = |(name, access): &(String, Access)| ToolSpec {
                name: name.clone().into(),
                title: "".into(),
                description: "".into(),
                input_schema: json!({"type": "object"}),
                output_schema: None,
                access: *access,
                hints: Hints::READ,
            };
            self.0.iter().map(spec).collect()
        }
        fn confine(&self, _: &str, _: &str) -> Result<(), ToolFault> {
            Ok(())
        }
        fn call<'a>(&'a self, _: &'a str, _: &'a str, _: CallContext<'a>) -> Pending<'a, Result<ToolOutput, ToolFault>> {
            Box::pin(async { Ok(ToolOutput::done()) })
        }
    }

    struct Kinds;

    impl ModuleCatalog for Kinds {
        fn config_keys(&self, kind: &str) -> Option<&[ConfigKey]> {
            (kind == "fake").then_some(&[])
        }
        fn kinds(&self) -> Vec<&str> {
            vec!["fake"]
        }
        fn tools(&self, _: &str) -> Vec<(String, Access)> {
            Vec::new()
        }
    }

    const KEYS: [&str; 4] = ["a", "b", "docs", "d1"];
    const GLOBS: [&str; 6] = ["*", "a_*", "*_get", "docs_?et", "b_put", "d*"];

    fn rules(modes: &[(usize, Option<bool>)], allow: Option<&[usize]>, deny: &[usize]) -> Rules {
        let modules: serde_json::Map<String, Value> = modes
            .iter()
            .map(|(key, write)| {
                let mode = write.map(|write| if write { "write" } else { "read" });
                (KEYS[*key].to_owned(), json!({"type": "fake", "mode": mode}))
            })
            .collect();
        let globs = |list: &[usize]| list.iter().map(|g| GLOBS[*g]).collect::<Vec<_>>();
        let mut policy = json!({"deny": globs(deny)});
        if let Some(allow) = allow {
            policy["allow"] = json!(globs(allow));
        }
        let text = json!({"agent_type": "t", "modules": modules, "policy": policy}).to_string();
        let (manifest, _) = Manifest::parse("t.yml", &text, &|_| None, &Kinds).unwrap();
        Rules::of(&manifest)
    }

    fn built(rules: &Rules, tools: Vec<Arc<Tool>>) -> View {
        let code = |_: &[u8]| [0; 32];
        let settings =
            ViewSettings { rules, code: &code, agent: "a", tools_max: 5_000, page_items: 5_000, transparent: false, doubled: true };
        View::build(1, &settings, Stock { tools, ..Stock::default() })
    }

    fn listed(view: &View, era: Era) -> BTreeSet<String> {
        let list: Value = serde_json::from_str(view.list(List::Tools, None, era).unwrap().as_str()).unwrap();
        list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    proptest! {
        #[test]
        fn what_is_listed_is_what_can_be_called_and_a_further_rule_never_widens_it(
            tools in prop::collection::btree_map((0..KEYS.len(), "[a-z]{1,3}|get|put"), any::<bool>(), 0..12),
            modes in prop::collection::btree_map(0..KEYS.len(), any::<Option<bool>>(), 1..4),
            allow in prop::option::of(prop::collection::vec(0..GLOBS.len(), 0..3)),
            deny in prop::collection::vec(0..GLOBS.len(), 0..3),
            further in 0..GLOBS.len(),
        ) {
            let modes: Vec<_> = modes.into_iter().collect();
            let rules_now = rules(&modes, allow.as_deref(), &deny);
            let places = Arc::new(Places::new("module", 1, &Limits::default()));
            let mut all = Vec::new();
            for (at, key) in KEYS.iter().enumerate() {
                let own: Vec<_> = tools.iter().filter(|((k, _), _)| *k == at)
                    .map(|((_, name), write)| (name.clone(), if *write { Access::Write } else { Access::Read })).collect();
                let module: Arc<dyn ToolModule> = Arc::new(Fake(own));
                all.extend(module_tools(&OpenModule { key: &Arc::from(*key), module: &module, places: &places, lends: false }, 48));
            }
            let view = built(&rules_now, all.clone());
            let visible = listed(&view, Era::Modern);
            prop_assert_eq!(&visible, &listed(&view, Era::Legacy));
            for tool in &all {
                let allowed = decide(&rules_now, &tool.facts()) == Decision::Allow;
                prop_assert_eq!(visible.contains(tool.name()), allowed, "{}", tool.name());
                prop_assert_eq!(view.tool(tool.name()).is_some(), allowed, "{}", tool.name());
                // A doubled name leads to the same tool, unless it is another's own.
                let key = tool.source();
                let doubled = view.tool(&format!("{key}_{}", tool.name()));
                let own = all.iter().any(|other| other.name() == format!("{key}_{}", tool.name()));
                prop_assert!(own || doubled.map(|tool| tool.name().to_owned()) == allowed.then(|| tool.name().to_owned()));
            }
            prop_assert!(view.tool("no_such").is_none());
            let mut stricter = deny.clone();
            stricter.push(further);
            let narrowed = listed(&built(&rules(&modes, allow.as_deref(), &stricter), all), Era::Modern);
            prop_assert!(narrowed.is_subset(&visible));
        }
    }
}
