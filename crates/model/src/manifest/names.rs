//! Checks over the whole manifest: names that collide, patterns that match nothing.

use std::collections::BTreeMap;

use super::{Manifest, ModuleCatalog, STATUS_KEY, STATUS_TOOL};
use crate::document::{Place, Value};
use crate::glob::Glob;
use crate::mistake::{Report, nearest};
use crate::name::{NAME_CHARS_MAX, SEPARATOR, folded, module_tool_name};
use crate::reader::{Table, element, member};

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
    if manifest.compat.status_tool {
        seen.insert(folded(STATUS_KEY), "compat.status_tool".to_owned());
    }
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
    let status = manifest.compat.status_tool.then(|| STATUS_TOOL.to_owned());
    let open: Vec<String> = proxies.chain(servers).chain(status).collect();
    let may_match = |glob: &Glob| {
        let fixed = glob.as_str().split(['*', '?']).next().unwrap_or_default();
        let open = open.iter().any(|prefix| prefix.starts_with(fixed) || fixed.starts_with(prefix.as_str()));
        open || tools.iter().any(|(name, _)| glob.matches(name))
    };
    let warn = |glob: &str, path: String, place: Place| {
        let Some(glob) = Glob::parse(glob).ok().filter(|glob| !may_match(glob)) else { return };
        let message = format!("`{glob}` matches no tool of this manifest");
        let hint = match nearest(glob.as_str(), tools.iter().map(|(name, _)| name.as_str())) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "tools are named `<module key>_<tool>` and `<server>__<tool>`".to_owned(),
        };
        root.field.report().warning(place, &path, message, hint);
    };
    let value = |section: &str, key: &str| root.field.member(section)?.member(key).map(|field| &field.node.value);
    if let Some(Value::Map(limits)) = value("rate_limits", "per_tool") {
        limits.iter().for_each(|limit| warn(&limit.key, member("rate_limits.per_tool", &limit.key), limit.key_place));
    }
    for (section, key) in [("hitl", "approval_required"), ("hitl", "shadow"), ("policy", "deny"), ("policy", "allow")] {
        let Some(Value::List(items)) = value(section, key) else { continue };
        for (index, item) in items.iter().enumerate() {
            if let Value::Text(text) = &item.value {
                warn(text, element(&format!("{section}.{key}"), index), item.place);
            }
        }
    }
}
