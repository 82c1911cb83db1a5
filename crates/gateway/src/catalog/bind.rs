//! Arguments of servers' tools that a manifest binds to its agent (manifest key `arguments`).
//!
//! The rules are made for one agent when its bailiwick is opened. Whenever a server's list changes, each of its tools is bound anew, so
//! that a definition that changes keeps its rules or is not served any more. What is bound is a tool of its own: narrowed as the agent
//! sees it, with the server's whole schema for the arguments as they are sent.

mod level;
mod narrow;

pub(crate) use level::Level;

use std::collections::HashMap;
use std::sync::Arc;

use bailiwick_mcp::Json;
use bailiwick_mcp::encode::legacy_tool;
use bailiwick_model::binding::{Rule, Way};
use bailiwick_model::glob::Glob;
use bailiwick_model::manifest::{Manifest, ToolArguments};
use bailiwick_model::{AgentId, AgentType};

use super::Tool;

/// The rules of one agent, by the module or server that they are about.
#[derive(Default)]
pub(crate) struct Bindings(HashMap<Box<str>, Vec<Entry>>);

/// The rules for the tools of one glob.
struct Entry {
    tools: Glob,
    /// Or why they cannot hold for this agent.
    rules: Result<Vec<(Way, Rule)>, &'static str>,
}

impl Bindings {
    /// The rules of `manifest` with this agent's name in them.
    pub(crate) fn of(manifest: &Manifest, id: &AgentId, kind: &AgentType) -> Self {
        let servers = manifest.servers.iter().map(|grant| (grant.name.as_str(), &grant.arguments));
        let proxies = manifest.modules.iter().filter_map(|module| Some((module.key.as_str(), &module.proxy.as_ref()?.arguments)));
        let entry = |bound: &ToolArguments| {
            let rule = |(way, rule): &(Way, Rule)| Ok((way.clone(), rule.for_agent(id, kind)?));
            Entry { tools: bound.tools.clone(), rules: bound.rules.iter().map(rule).collect() }
        };
        let bound = servers.chain(proxies).filter(|(_, arguments)| !arguments.is_empty());
        Self(bound.map(|(source, arguments)| (source.into(), arguments.iter().map(entry).collect())).collect())
    }

    /// Whether `source` has any rules.
    pub(crate) fn concern(&self, source: &str) -> bool {
        self.0.contains_key(source)
    }

    /// The tool under its rules; the same one when there are none for it.
    ///
    /// # Errors
    /// Why the tool cannot be served: one line for operators.
    pub(crate) fn bind(&self, tool: &Arc<Tool>) -> Result<Arc<Tool>, String> {
        let Some(entries) = self.0.get(&**tool.source()) else { return Ok(tool.clone()) };
        let mut rules: Vec<(&[Box<str>], &Rule)> = Vec::new();
        let mut is_bound = false;
        for entry in entries.iter().filter(|entry| entry.tools.matches(tool.original())) {
            is_bound = true;
            rules.extend(entry.rules.as_ref().map_err(|cause| (*cause).to_owned())?.iter().map(|(way, rule)| (way.steps(), rule)));
        }
        if !is_bound {
            return Ok(tool.clone());
        }
        let schema = tool.plain.member("inputSchema").ok_or("it has no input schema")?;
        let narrowed = narrow::narrow(&schema, &rules)?;
        Ok(Arc::new(rebuilt(tool, &narrowed.schema, narrowed.level)))
    }

    /// Globs that none of these names match: a rule that holds for nothing is a slip, or the tool has another name by now.
    pub(crate) fn idle<'b>(&'b self, source: &str, tools: &[Arc<Tool>]) -> impl Iterator<Item = &'b Glob> {
        let idle = |entry: &&Entry| !tools.iter().any(|tool| entry.tools.matches(tool.original()));
        self.0.get(source).into_iter().flatten().filter(idle).map(|entry| &entry.tools).collect::<Vec<_>>().into_iter()
    }
}

/// The tool with another input schema in what is shown. Every other byte of the definition stays, and so does what is checked and sent.
fn rebuilt(tool: &Tool, schema: &Json, level: Level) -> Tool {
    let modern = tool.modern.edit(&[], &[("inputSchema", schema)]);
    let plain = tool.plain.edit(&[], &[("inputSchema", schema)]);
    Tool { legacy: legacy_tool(&modern), modern, plain, bound: Some(Arc::new(level)), ..tool.clone() }
}
