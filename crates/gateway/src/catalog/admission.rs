//! From a server's tool definition to a tool: what is admitted, and under which name (security reference section 11).

use std::sync::Arc;

use bailiwick_contract::{Declared, Effective, Risk, TrustClass, effective};
use bailiwick_mcp::Json;
use bailiwick_mcp::encode::legacy_tool;
use bailiwick_mcp::exchange::ParamHeader;
use bailiwick_model::ToolName;
use bailiwick_model::manifest::Access;
use bailiwick_model::policy::Kind;
use bailiwick_store::ledger::redact::sensitive_properties;
use serde_json::Value;

use super::resource::{Resource, URI_BYTES_MAX};
use super::{Origin, Tool, revision};
use crate::product::META_ORIGINAL_NAME;
use crate::schema::{SCHEMA_BYTES_MAX, Schema, bounded};
use crate::servers::Server;

/// A definition that no agent sees.
#[derive(Clone, Debug)]
pub(crate) struct Rejected {
    /// The name, when it was fit to be shown.
    pub(crate) name: String,
    pub(crate) rule: String,
}

/// The tool's own name, if it may be one at all (protocol reference 5.6: 1 to 128 of `[A-Za-z0-9_.-]`).
pub(crate) fn original_name(definition: &Json) -> Result<Box<str>, Rejected> {
    let name = definition.text_of("name").unwrap_or_default();
    let fit = (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if fit {
        Ok(name.into())
    } else {
        Err(Rejected { name: "?".into(), rule: "the name is not 1 to 128 letters, digits, `_`, `.`, `-`".into() })
    }
}

/// Checks one definition and prepares everything that its calls need.
pub(crate) fn admit(server: &Arc<Server>, served: ToolName, original: &str, definition: &Json) -> Result<Tool, Rejected> {
    let reject = |rule: String| Rejected { name: original.to_owned(), rule };
    let (input, value) = schema(definition, "inputSchema").map_err(reject)?.ok_or_else(|| reject("`inputSchema` is missing".into()))?;
    let kind = input.text_of("type");
    if kind.as_deref() != Some("object") {
        return Err(reject("`inputSchema` is not an object schema".into()));
    }
    let output = schema(definition, "outputSchema").map_err(reject)?;
    let param_headers = ParamHeader::read(&input).map_err(|rule| reject(rule.to_string()))?;
    let facts = facts(original, definition, server.trust());
    let modern = renamed(definition, &served, original);
    let legacy = legacy_tool(&modern);
    Ok(Tool {
        kind: Kind::Tool,
        name: served.as_str().into(),
        source: source(server),
        access: access(&facts, definition, server.trust()),
        risk: facts.risk.value,
        origin: Origin::Server { server: server.clone(), tool: original.into(), proxy_key: server.proxy_key().cloned() },
        modern,
        legacy,
        plain: definition.clone(),
        input: Schema::new(input),
        output: output.map(|(output, _)| Schema::new(output)),
        param_headers,
        revision: revision(definition),
        lends: server.lends(),
        sensitive: sensitive_properties(&value),
        bound: None,
    })
}

/// Checks one prompt. What its arguments must be is the server's to say when it is asked for.
pub(crate) fn admit_prompt(server: &Arc<Server>, served: &ToolName, original: &str, definition: &Json) -> Tool {
    let modern = renamed(definition, served, original);
    Tool { modern: modern.clone(), legacy: modern, plain: definition.clone(), ..bare(Kind::Prompt, server, served.as_str(), original) }
}

/// Checks one resource (`uri`) or template (`uriTemplate`).
pub(crate) fn admit_resource(server: &Arc<Server>, definition: &Json, member: &str) -> Result<Resource, Rejected> {
    let uri = definition.text_of(member).filter(|uri| (1..=URI_BYTES_MAX).contains(&uri.len()) && !uri.contains(char::is_control));
    let uri = uri.ok_or_else(|| Rejected { name: "?".into(), rule: format!("`{member}` is not a text of 1 to {URI_BYTES_MAX} bytes") })?;
    Ok(Resource { server: server.clone(), uri: uri.into(), definition: definition.clone() })
}

impl Tool {
    /// The reading of one resource, or what else is asked of a server about `uri`.
    pub(crate) fn reading(server: &Arc<Server>, shown: &str, own: &str) -> Self {
        bare(Kind::Resource, server, shown, own)
    }
}

/// Something of a server that only reads and takes any arguments.
fn bare(kind: Kind, server: &Arc<Server>, name: &str, original: &str) -> Tool {
    let none = || Json::from_static("{}");
    Tool {
        kind,
        name: name.into(),
        source: source(server),
        access: Access::Read,
        risk: Risk::ReadOnly,
        origin: Origin::Server { server: server.clone(), tool: original.into(), proxy_key: server.proxy_key().cloned() },
        modern: none(),
        legacy: none(),
        plain: none(),
        input: Schema::new(none()),
        output: None,
        param_headers: Vec::new(),
        revision: "".into(),
        lends: server.lends(),
        sensitive: Vec::new(),
        bound: None,
    }
}

fn source(server: &Server) -> Arc<str> {
    server.proxy_key().cloned().unwrap_or_else(|| server.name().as_str().into())
}

fn schema(definition: &Json, member: &str) -> Result<Option<(Json, Value)>, String> {
    let Some(schema) = definition.member(member) else { return Ok(None) };
    if !schema.is_object() {
        return Err(format!("`{member}` is not an object"));
    }
    if schema.len() > SCHEMA_BYTES_MAX {
        return Err(format!("`{member}` is larger than {SCHEMA_BYTES_MAX} bytes"));
    }
    let value: Value = schema.decode().map_err(|fault| format!("`{member}`: {fault}"))?;
    bounded(&value).map_err(|rule| format!("`{member}` is {rule}"))?;
    Ok(Some((schema, value)))
}

fn facts(name: &str, definition: &Json, trust: TrustClass) -> Effective {
    let value = |member: &str| definition.member(member).and_then(|m| m.decode::<Value>().ok());
    let declared = Declared::read(value("annotations").as_ref(), value("_meta").as_ref(), &[]);
    effective(name, &declared, trust, None)
}

/// Reading is believed only of a server whose word counts, and only when it gave it; everything else may change something.
fn access(facts: &Effective, definition: &Json, trust: TrustClass) -> Access {
    let said = || {
        let annotations = definition.member("annotations");
        let hint = annotations.as_ref().and_then(|a| a.member("readOnlyHint")).and_then(|h| h.boolean());
        hint == Some(true) || facts.risk.source == bailiwick_contract::Source::Declared
    };
    if trust != TrustClass::ThirdParty && facts.risk.value == Risk::ReadOnly && said() { Access::Read } else { Access::Write }
}

/// The definition under its served name; the original stands in `_meta`, every other byte stays.
fn renamed(definition: &Json, served: &ToolName, original: &str) -> Json {
    let meta = definition.member("_meta").filter(Json::is_object).unwrap_or_else(|| Json::from_static("{}"));
    let meta = meta.edit(&[], &[(META_ORIGINAL_NAME, &Json::from_text(original))]);
    definition.edit(&[], &[("name", &Json::from_text(served.as_str())), ("_meta", &meta)])
}
