//! Checks over the whole manifest: names that collide, patterns that match nothing.

use std::collections::BTreeMap;

use super::{Manifest, ModuleCatalog};
use crate::glob::Glob;
use crate::mistake::Report;
use crate::name::{NAME_CHARS_MAX, SEPARATOR, folded, module_tool_name};
use crate::reader::Table;

pub(super) fn check(root: &Table<'_>, manifest: &Manifest, kinds: &dyn ModuleCatalog) {
    let report = root.field.report();
    prefixes(manifest, report);
    let tools = tools(manifest, kinds);
    collisions(&tools, manifest, report);
    unmatched(root, manifest, &tools);
}

/// Two keys that hosts cannot tell apart would give two tools of one name.
fn prefixes(manifest: &Manifest, report: &Report) {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let modules = manifest.modules.iter().map(|module| (module.key.as_str(), "modules", module.place));
    let servers = manifest.servers.iter().map(|server| (server.name.as_str(), "servers", server.place));
    for (key, section, place) in modules.chain(servers) {
        if let Some(other) = seen.insert(folded(key), format!("{section}.{key}")) {
            let message = format!("the name is too close to `{other}`: letter case does not count, and `-` is `_`");
            report.error_hint(place, &format!("{section}.{key}"), message, "rename one of them");
        }
    }
}

/// Served name and index of the module, for every tool that is known beforehand and offered.
fn tools(manifest: &Manifest, kinds: &dyn ModuleCatalog) -> Vec<(String, usize)> {
    let mut tools = Vec::new();
    for (index, module) in manifest.modules.iter().enumerate() {
        for (tool, access) in kinds.tools(&module.kind) {
            if access.offered_in(module.access) {
                tools.push((module_tool_name(&module.key, &tool, NAME_CHARS_MAX).to_string(), index));
            }
        }
    }
    tools
}

fn collisions(tools: &[(String, usize)], manifest: &Manifest, report: &Report) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (name, index) in tools {
        let Some(other) = seen.insert(folded(name), *index).filter(|other| other != index) else { continue };
        let (module, other) = (&manifest.modules[*index], &manifest.modules[other]);
        let message = format!("its tool `{name}` has the same name as one of module `{}`", other.key);
        report.error_hint(module.place, &format!("modules.{}", module.key), message, "rename one of the modules");
    }
}

/// Warns about globs that can match no tool. Tools of servers and proxies are not known here; their prefixes are.
fn unmatched(root: &Table<'_>, manifest: &Manifest, tools: &[(String, usize)]) {
    let proxies = manifest.modules.iter().filter(|module| module.proxy.is_some()).map(|module| format!("{}_", module.key));
    let servers = manifest.servers.iter().map(|server| format!("{}{SEPARATOR}", server.name));
    let open: Vec<String> = proxies.chain(servers).collect();
    let may_match = |glob: &Glob| {
        let fixed = glob.as_str().split(['*', '?']).next().unwrap_or_default();
        let open = open.iter().any(|prefix| prefix.starts_with(fixed) || fixed.starts_with(prefix.as_str()));
        open || tools.iter().any(|(name, _)| glob.matches(name))
    };
    let warn = |glob: &Glob, path: String| {
        if !may_match(glob) {
            let message = format!("`{glob}` matches no tool of this manifest");
            root.field.report().warning(
                place_of(root, &path),
                &path,
                message,
                "tools are named `<module key>_<tool>` and `<server>__<tool>`",
            );
        }
    };
    for (glob, _) in &manifest.rate_limits.per_tool {
        warn(glob, format!("rate_limits.per_tool.{glob}"));
    }
    let lists = [
        ("hitl.approval_required", &manifest.hitl.approval_required),
        ("hitl.shadow", &manifest.hitl.shadow),
        ("policy.deny", &manifest.policy.deny),
    ];
    let allow = manifest.policy.allow.as_ref().map(|globs| ("policy.allow", globs));
    for (path, globs) in lists.into_iter().chain(allow) {
        for glob in globs {
            warn(glob, path.to_owned());
        }
    }
}

/// Where the section of `path` stands; a section that has warnings is there.
fn place_of(root: &Table<'_>, path: &str) -> crate::document::Place {
    let mut field = root.field.clone();
    for key in path.splitn(3, '.') {
        let Some(next) = field.member(key) else { break };
        field = next;
    }
    field.place()
}
