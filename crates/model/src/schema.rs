//! JSON Schemas and reference pages, made from the descriptions that the readers use.
//!
//! A schema accepts everything that the reader accepts (text may come out of a variable, absent may be written as null); it refuses what
//! an editor can know to be wrong, and the reader refuses more.

mod page;
mod shapes;

use serde_json::{Map, Value, json};

use crate::config::CONFIG;
use crate::manifest::{
    CREDENTIAL_MAP, CREDENTIAL_MAP_DOC, CREDENTIAL_MAP_SHAPE, ConfigKey, MANIFEST, MODULE, ModuleCatalog, PROXY, PROXY_KIND, config_shape,
};
use crate::shape::{Shape, formats};

pub use page::{ConfigLine, config_lines, configuration_page, manifest_page};
use shapes::{Definitions, described, of, present};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of `bailiwick.yml`, draft 2020-12.
#[must_use]
pub fn configuration() -> Value {
    document("Configuration of Bailiwick", &CONFIG, Definitions::default())
}

/// The schema of manifests with the module kinds of `kinds`, draft 2020-12.
#[must_use]
pub fn manifest(kinds: &dyn ModuleCatalog) -> Value {
    let mut definitions = Definitions::default();
    modules(kinds, &mut definitions);
    document("Manifest of Bailiwick", &MANIFEST, definitions)
}

fn document(title: &str, root: &'static crate::shape::Section, mut definitions: Definitions) -> Value {
    let mut schema = shapes::object(root, &mut definitions);
    schema["$schema"] = json!(DIALECT);
    schema["title"] = json!(title);
    schema["$defs"] = definitions.finish();
    // The order of members is not that of insertion in every build.
    schema.sort_all_objects();
    schema
}

/// Every kind that a manifest may name, sorted.
fn all_kinds(kinds: &dyn ModuleCatalog) -> Vec<&str> {
    let mut all = kinds.kinds();
    if !all.contains(&PROXY_KIND) {
        all.push(PROXY_KIND);
    }
    all.sort_unstable();
    all
}

/// The definition `modules`, and what it refers to: a module is configured as `type` says, or else as its key says.
fn modules(kinds: &dyn ModuleCatalog, definitions: &mut Definitions) {
    let all = all_kinds(kinds);
    let mut module = shapes::object(&MODULE, definitions);
    module["properties"]["type"] = described(&MODULE, "type", json!({ "anyOf": [{ "enum": all }, { "$ref": "#/$defs/variable" }] }));
    let mut named = Map::new();
    for kind in &all {
        let (configuration, needed) = match kinds.config_keys(kind) {
            _ if *kind == PROXY_KIND => (of(Shape::Section(&PROXY), definitions), true),
            keys => {
                (described_configuration(keys.unwrap_or_default(), definitions), keys.unwrap_or_default().iter().any(|key| key.required))
            }
        };
        definitions.put(&format!("config-{kind}"), configuration);
        definitions.put(&format!("module-{kind}"), configured(kind, needed));
        named.insert((*kind).to_owned(), json!({ "if": typed(), "then": { "$ref": "#/$defs/module" }, "else": one_of_kind(kind, needed) }));
    }
    let by_type = |kind: &&str| {
        let is = json!({ "type": "object", "required": ["type"], "properties": { "type": { "const": kind } } });
        json!({ "if": is, "then": { "$ref": format!("#/$defs/module-{kind}") } })
    };
    module["allOf"] = all.iter().map(by_type).collect();
    definitions.put("module", module);
    definitions.put(
        "modules",
        json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": formats::MODULE_KEY.pattern },
            "properties": named,
            "additionalProperties": { "allOf": [{ "$ref": "#/$defs/module" }, typed()] },
        }),
    );
}

/// A module that says its type.
fn typed() -> Value {
    json!({ "type": "object", "required": ["type"], "properties": { "type": { "type": "string" } } })
}

/// What a module must have besides its own keys when it is of this kind.
fn configured(kind: &str, needed: bool) -> Value {
    let reference = json!({ "$ref": format!("#/$defs/config-{kind}") });
    if needed {
        json!({ "required": ["config"], "properties": { "config": reference } })
    } else {
        json!({ "properties": { "config": { "anyOf": [reference, { "type": "null" }] } } })
    }
}

/// A module whose key names the kind; one that needs no configuration may be left empty.
fn one_of_kind(kind: &str, needed: bool) -> Value {
    let module = json!({ "allOf": [{ "$ref": "#/$defs/module" }, { "$ref": format!("#/$defs/module-{kind}") }] });
    if needed { module } else { json!({ "anyOf": [module, { "type": "null" }] }) }
}

/// The configuration of a kind from its own list of keys.
fn described_configuration(keys: &[ConfigKey], definitions: &mut Definitions) -> Value {
    let mut properties = Map::new();
    for key in keys {
        let schema = of(config_shape(key.kind), definitions);
        properties.insert(key.name.to_owned(), present(schema, key.doc, None, key.required));
    }
    let map = of(CREDENTIAL_MAP_SHAPE, definitions);
    properties.insert(CREDENTIAL_MAP.to_owned(), present(map, CREDENTIAL_MAP_DOC, None, false));
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties })
}
