//! `docs/reference/modules.md`: every module kind of a build, from its own descriptions.

use bailiwick_model::schema::config_lines;
use bailiwick_modules::{Access, ModuleKind, ModuleRegistry, ToolSpec};
use serde_json::{Map, Value};

/// The page.
pub(crate) fn modules_page(modules: &ModuleRegistry) -> String {
    let mut page = "<!-- Made by `bailiwick schema modules`; change the descriptions in the source instead. -->\n\n# Modules\n\n\
        What a manifest may name under `modules`. Tools are served as `KEY_TOOL`, with the key of the module in the manifest. Tools marked\n\
        *write* are offered with `mode: write` or without a mode. The keys of `mcp_proxy` are in [manifest.md](manifest.md).\n"
        .to_owned();
    for kind in modules.names().filter_map(|name| modules.get(name)) {
        module(&mut page, kind.as_ref());
    }
    page
}

fn module(page: &mut String, kind: &dyn ModuleKind) {
    page.push_str(&format!("\n## `{}`\n", kind.name()));
    let keys = config_lines(kind.config_keys());
    if !keys.is_empty() {
        page.push_str("\n| Key of `config` | Value | Meaning |\n|---|---|---|\n");
        for key in keys {
            let required = if key.required { "Required. " } else { "" };
            page.push_str(&format!("| `{}` | {} | {required}{} |\n", key.key, cell(&key.value), cell(key.doc)));
        }
    }
    // Credentials may depend on the configuration; these are asked for under every one.
    let credentials = kind.credentials(&Map::new());
    if !credentials.is_empty() {
        page.push_str("\n| Credential | |\n|---|---|\n");
        for key in credentials {
            page.push_str(&format!("| `{}` | {} |\n", key.name, if key.required { "required" } else { "optional" }));
        }
    }
    kind.specs().iter().for_each(|tool| self::tool(page, tool));
}

fn tool(page: &mut String, tool: &ToolSpec) {
    let access = if tool.access == Access::Write { "write" } else { "read" };
    page.push_str(&format!("\n### `{}` ({access})\n\n{}\n", tool.name, tool.description));
    let Some(properties) = tool.input_schema["properties"].as_object().filter(|properties| !properties.is_empty()) else { return };
    let required = |name: &str| tool.input_schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    page.push_str("\n| Argument | Type | Default | Meaning |\n|---|---|---|---|\n");
    // Required ones first; the order of members is not that of insertion in every build.
    let mut arguments: Vec<_> = properties.iter().map(|(name, schema)| (!required(name), name, schema)).collect();
    arguments.sort_by_key(|(optional, name, _)| (*optional, *name));
    for (optional, name, schema) in arguments {
        let default =
            if optional { schema.get("default").map_or(String::new(), |value| format!("`{value}`")) } else { "required".to_owned() };
        let meaning = schema["description"].as_str().unwrap_or_default();
        page.push_str(&format!("| `{name}` | {} | {default} | {} |\n", type_of(schema), cell(meaning)));
    }
}

/// The type in words: `string`, `object or null`, or the words that are possible.
fn type_of(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array().filter(|words| !words.is_empty()) {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    match &schema["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
