//! `get`: reading from a service.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::query::Params;
use super::{Command, Job, Services, answer, path_property};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "get", access: Access::Read, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    service: String,
    path: String,
    #[serde(default)]
    params: Option<Params>,
}

fn spec(services: &Services) -> ToolSpec {
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Read from a service".into(),
        description:
            "Sends a GET request to one of the listed services, with the gateway's credential for it. Returns the JSON object of the \
                      answer, `{\"result\": …}` for other JSON, `{\"text\": …}` for everything else."
                .into(),
        input_schema: schema::object(
            &[("service", services.property()), ("path", path_property()), ("params", params_property())],
            &["service", "path"],
        ),
        output_schema: Some(answer::schema()),
        access: COMMAND.access,
        hints: Hints { open_world: true, ..Hints::READ },
    }
}

fn params_property() -> Value {
    let scalars = json!(["string", "number", "boolean", "null"]);
    let values = json!({ "type": ["string", "number", "boolean", "null", "array"], "items": { "type": scalars } });
    let text = "Query parameters, added to those in the path. An array gives one parameter for each value; null is left out.";
    let mut property = schema::property("object", text, json!({ "additionalProperties": values, "default": null }));
    property["type"] = json!(["object", "null"]);
    property
}

fn prepare<'a>(services: &'a Services, arguments: &str) -> Result<Job<'a>, ToolFault> {
    let Arguments { service, path, params } = decode(arguments)?;
    let service = services.get(&service)?;
    let request = service.request(Method::GET, &path, &params.unwrap_or_default())?;
    Ok(Job { service, request, finish: answer::output })
}
