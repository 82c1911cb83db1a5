//! What one agent sees: the tools that the decision allows, and the rendered list.
//!
//! A view is made once for each state of the catalog and then served as bytes (performance reference section 3).

use std::collections::HashMap;
use std::sync::Arc;

use bailiwick_mcp::{Era, Json};
use bailiwick_model::policy::{Decision, Denial, Rules, decide};

use tracing::warn;

use super::Tool;
use super::render::render_list;

/// An immutable view.
pub(crate) struct View {
    generation: u64,
    tools: HashMap<Box<str>, Arc<Tool>>,
    hidden: HashMap<Box<str>, Denial>,
    modern: Json,
    legacy: Json,
}

impl View {
    /// Decides for each tool and renders the lists. Order: by name, so that it is the same on every replica.
    pub(crate) fn build(generation: u64, rules: &Rules, all: Vec<Arc<Tool>>, tools_max: usize) -> Self {
        let mut tools = HashMap::with_capacity(all.len());
        let mut hidden = HashMap::new();
        for tool in all {
            match decide(rules, &tool.facts()) {
                // Modules come first; a server's tool never takes over a name.
                Decision::Allow => drop(tools.entry(Box::from(tool.name())).or_insert(tool)),
                Decision::Deny(denial) => drop(hidden.insert(tool.name().into(), denial)),
            }
        }
        let mut listed: Vec<Arc<Tool>> = tools.values().cloned().collect();
        listed.sort_by(|a, b| a.name().cmp(b.name()));
        let cut = listed.split_off(listed.len().min(tools_max));
        if !cut.is_empty() {
            warn!(left_out = cut.len(), "the view has more tools than `limits.tools_per_view_max`");
        }
        for tool in cut {
            tools.remove(tool.name());
        }
        let modern = render_list(listed.iter().map(|t| &t.modern), Era::Modern);
        let legacy = render_list(listed.iter().map(|t| &t.legacy), Era::Legacy);
        Self { generation, tools, hidden, modern, legacy }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn tool(&self, name: &str) -> Option<Arc<Tool>> {
        self.tools.get(name).cloned()
    }

    /// The rule that hides a name; for the ledger only, the caller is never told.
    pub(crate) fn why_absent(&self, name: &str) -> &'static str {
        self.hidden.get(name).map_or("no_such_tool", |denial| denial.as_str())
    }

    /// The result of `tools/list`.
    pub(crate) fn list(&self, era: Era) -> &Json {
        match era {
            Era::Modern => &self.modern,
            Era::Legacy => &self.legacy,
        }
    }
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
    use crate::catalog::module_tools;
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

    fn listed(view: &View, era: Era) -> BTreeSet<String> {
        let list: Value = serde_json::from_str(view.list(era).as_str()).unwrap();
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
                all.extend(module_tools(&Arc::from(*key), &module, &places, 48));
            }
            let view = View::build(1, &rules_now, all.clone(), 5_000);
            let visible = listed(&view, Era::Modern);
            prop_assert_eq!(&visible, &listed(&view, Era::Legacy));
            for tool in &all {
                let allowed = decide(&rules_now, &tool.facts()) == Decision::Allow;
                prop_assert_eq!(visible.contains(tool.name()), allowed, "{}", tool.name());
                prop_assert_eq!(view.tool(tool.name()).is_some(), allowed, "{}", tool.name());
            }
            prop_assert!(view.tool("no_such").is_none());
            let mut stricter = deny.clone();
            stricter.push(further);
            let narrowed = listed(&View::build(2, &rules(&modes, allow.as_deref(), &stricter), all, 5_000), Era::Modern);
            prop_assert!(narrowed.is_subset(&visible));
        }
    }
}
