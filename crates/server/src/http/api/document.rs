//! The OpenAPI 3.1 document, from the table: whatever the router serves stands in it, with the shapes that the operations really read and
//! write.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::envelope::{self, ErrorBody};
use super::named;
use super::operation::{Example, Facts, Operation, Shape, Verb};
use super::problem::ProblemDetails;
use super::route::{Route, is_nothing};

/// The extension that says which role an operation requires.
const REQUIRES: &str = "x-required-role";

/// The shapes of one operation, and an example of it.
pub(crate) struct Described {
    /// Schema of the parameters in the path, as an object.
    pub(crate) path: Value,
    /// The same of the query.
    pub(crate) query: Value,
    body: Option<Named>,
    answer: Option<Named>,
    /// An example of each parameter in the path.
    pub(crate) example_path: Value,
    /// An example of the body.
    pub(crate) example_body: Value,
    /// What the schemas refer to.
    parts: Vec<(String, Value)>,
}

/// A schema with the name under which others refer to it.
struct Named {
    name: String,
    schema: Value,
}

impl Described {
    /// What the types of an operation say.
    pub(crate) fn of<O: Operation>() -> Self {
        let mut parts = Vec::new();
        collect::<O::Path>(&mut parts);
        collect::<O::Query>(&mut parts);
        collect::<O::Body>(&mut parts);
        collect::<O::Answer>(&mut parts);
        let Example { path, body } = O::example();
        Self {
            path: schema::<O::Path>(),
            query: schema::<O::Query>(),
            body: named::<O::Body>(),
            answer: named::<O::Answer>(),
            example_path: path,
            example_body: body,
            parts,
        }
    }
}

fn value(of: &impl serde::Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

fn schema<T: Shape>() -> Value {
    value(&T::schema())
}

fn named<T: Shape>() -> Option<Named> {
    (!is_nothing::<T>()).then(|| Named { name: name::<T>(), schema: schema::<T>() })
}

/// The name of a type; `Page<Member>` is `MemberPage`.
fn name<T: Shape>() -> String {
    let last = |path: &str| path.rsplit("::").next().unwrap_or(path).trim_end_matches('>').to_owned();
    let whole = std::any::type_name::<T>();
    match whole.split_once('<') {
        Some((outer, inner)) => format!("{}{}", last(inner), last(outer)),
        None => T::name().into_owned(),
    }
}

fn collect<T: ToSchema>(parts: &mut Vec<(String, Value)>) {
    let mut found = Vec::new();
    T::schemas(&mut found);
    parts.extend(found.into_iter().map(|(name, schema)| (name, value(&schema))));
}

/// The document of these operations.
pub(crate) fn document(routes: &[Route]) -> Value {
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut problem = Vec::new();
    collect::<ProblemDetails>(&mut problem);
    collect::<ErrorBody>(&mut problem);
    schemas.extend(problem);
    schemas.insert("ProblemDetails".into(), schema::<ProblemDetails>());
    schemas.insert("ErrorBody".into(), schema::<ErrorBody>());
    for route in routes {
        let described = route.describe();
        schemas.extend(described.parts.iter().cloned());
        for named in described.body.iter().chain(&described.answer) {
            schemas.insert(named.name.clone(), named.schema.clone());
        }
        let method = route.facts.verb.method().as_str().to_ascii_lowercase();
        paths.entry(route.facts.path).or_default().insert(method, operation(&route.facts, &described));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bailiwick management API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": problems(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key, as `bailiwick key create` makes it."}},
        },
    })
}

const DESCRIPTION: &str = "Organisations, people, agents and their keys. Every change stands on the ledger before it happens. \
    An organisation that is not the caller's does not exist for him (404). A request that this document does not describe is refused with 400; one that \
    it describes, but that cannot be done as it stands, with 409, 412 or 422. `x-required-role` says what an operation requires; whoever \
    administers an organisation may what its members may, and a platform administrator may everything, inside the organisation he names.";

fn operation(facts: &Facts, described: &Described) -> Value {
    let mut operation = json!({
        "operationId": facts.id,
        "tags": [facts.noun],
        "summary": facts.summary,
        REQUIRES: facts.needs.as_str(),
        "parameters": parameters(facts, described),
        "responses": responses(facts, described),
    });
    if let Some(body) = &described.body {
        let content = json!({"application/json": {"schema": reference(&body.name), "example": described.example_body}});
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn parameters(facts: &Facts, described: &Described) -> Vec<Value> {
    let mut all = Vec::new();
    for (place, schema) in [("path", &described.path), ("query", &described.query)] {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let mut parameter = parameter(place, name, property);
            if let Some(example) = described.example_path.get(name).filter(|_| place == "path") {
                parameter["example"] = example.clone();
            }
            all.push(parameter);
        }
    }
    if envelope::covers(facts.path) {
        let description = "The organisation to act in; that of the caller when it is not given.";
        all.push(header("X-Roboto-Org-Id", description, &json!({"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"})));
    }
    if facts.verb == Verb::Post {
        let pattern = format!("^[!-~]{{1,{}}}$", named::NAME_CHARS_MAX);
        let description = "A fresh word for this request; sent again under the same word within a day, it is not done again.";
        all.push(header("Idempotency-Key", description, &json!({"type": "string", "pattern": pattern, "minLength": 1})));
    }
    if facts.versioned {
        let description = "Only if the present version is this one, as `ETag` gave it: a number in quotes.";
        all.push(header("If-Match", description, &json!({"type": "string"})));
    }
    all
}

fn header(name: &str, description: &str, schema: &Value) -> Value {
    json!({"name": name, "in": "header", "required": false, "description": description, "schema": schema})
}

/// A property of an object as a parameter. In a query there is no null: what is absent is absent.
fn parameter(place: &str, name: &str, property: &Value) -> Value {
    let mut schema = property.clone();
    if let Some(one) = schema["oneOf"].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null")).cloned() {
        let description = schema["description"].clone();
        schema = one;
        if schema.get("description").is_none() && !description.is_null() {
            schema["description"] = description;
        }
    }
    if let Some(kind) = schema["type"].as_array().and_then(|kinds| kinds.iter().find(|kind| *kind != "null")).cloned() {
        schema["type"] = kind;
    }
    let description = schema.as_object_mut().and_then(|members| members.remove("description")).unwrap_or_default();
    let mut parameter = json!({"name": name, "in": place, "required": place == "path", "schema": schema});
    if !description.is_null() {
        parameter["description"] = description;
    }
    parameter
}

fn responses(facts: &Facts, described: &Described) -> Value {
    let mut success = json!({"description": facts.status.canonical_reason().unwrap_or_default()});
    if let Some(answer) = &described.answer {
        let schema = if envelope::covers(facts.path) { data(&answer.name) } else { reference(&answer.name) };
        success["content"] = json!({"application/json": {"schema": schema}});
    }
    if facts.versioned && described.answer.is_some() {
        success["headers"] = json!({"ETag": {"description": "The version.", "schema": {"type": "string"}}});
    }
    let mut responses = Map::new();
    responses.insert(facts.status.as_str().to_owned(), success);
    if envelope::covers(facts.path) {
        for (key, name, _) in ERRORS {
            responses.insert((*key).to_owned(), json!({"$ref": format!("#/components/responses/{name}")}));
        }
        return Value::Object(responses);
    }
    for (key, name, _) in PROBLEMS.iter().filter(|(key, ..)| *key != "412" || facts.versioned) {
        responses.insert((*key).to_owned(), json!({"$ref": format!("#/components/responses/{name}")}));
    }
    Value::Object(responses)
}

/// The refusals that every operation may answer with, `412` where versions are known.
const PROBLEMS: &[(&str, &str, &str)] = &[
    ("400", "NotAsDescribed", "The request is not as described here."),
    ("401", "NoCredential", "No valid credential."),
    ("403", "RoleTooLow", "The caller's role is too low."),
    ("404", "NotFound", "Does not exist, or belongs to another organisation."),
    ("409", "Conflict", "Contradicts what exists."),
    ("412", "OtherVersion", "The present version is another."),
    ("422", "NotPossible", "As described here, but cannot be done as it stands."),
    ("429", "TooMany", "Too many requests; see `Retry-After`."),
    ("503", "NotAvailable", "Something that is needed is not available; see `Retry-After`."),
    ("default", "Refused", "Refused."),
];

/// The same in the shape of the seed.
const ERRORS: &[(&str, &str, &str)] = &[
    ("400", "ErrorInvalid", "The request is not as described here, or cannot be done as it stands."),
    ("401", "ErrorNoCredential", "No valid credential."),
    ("403", "ErrorRoleTooLow", "The caller's role is too low."),
    ("404", "ErrorNotFound", "Does not exist, or is not visible to the organisation."),
    ("409", "ErrorConflict", "Contradicts what exists, or the present version is another."),
    ("410", "ErrorExpired", "Was not finished in its time, or was finished already."),
    ("429", "ErrorTooMany", "Too many requests; see `Retry-After`."),
    ("502", "ErrorUpstream", "The server or its authorization server does not answer as it should."),
    ("503", "ErrorNotAvailable", "Something that is needed is not available; see `Retry-After`."),
    ("default", "ErrorRefused", "Refused."),
];

fn problems() -> Value {
    let one = |media_type: &str, name: &str, description: &str| json!({"description": description, "content": {media_type: {"schema": reference(name)}}});
    let problems =
        PROBLEMS.iter().map(|(_, name, description)| ((*name).to_owned(), one("application/problem+json", "ProblemDetails", description)));
    let errors = ERRORS.iter().map(|(_, name, description)| ((*name).to_owned(), one("application/json", "ErrorBody", description)));
    Value::Object(problems.chain(errors).collect())
}

/// A success in the shape of the seed.
fn data(name: &str) -> Value {
    json!({"type": "object", "required": ["data"], "properties": {"data": reference(name)}})
}

/// The document as text.
pub(crate) fn text(routes: &[Route]) -> String {
    let pretty = serde_json::to_string_pretty(&document(routes)).unwrap_or_default();
    pretty + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api::routes;

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document(&routes());
        let text = document.to_string();
        let named = text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next());
        let missing: Vec<&str> = named.filter(|name| document["components"]["schemas"].get(name).is_none()).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }
}
