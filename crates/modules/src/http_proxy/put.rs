//! `post` and `put`: sending JSON to a service.

use http::Method;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::query::Params;
use super::{Command, Job, Services, answer, path_property};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const POST: Command = Command { name: "post", access: Access::Write, spec: post_spec, prepare: prepare_post };
pub(super) const PUT: Command = Command { name: "put", access: Access::Write, spec: put_spec, prepare: prepare_put };

/// Largest body.
const BODY_BYTES_MAX: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    service: String,
    path: String,
    /// As text: numbers keep their digits.
    #[serde(default)]
    body: Option<Box<RawValue>>,
}

fn post_spec(services: &Services) -> ToolSpec {
    ToolSpec {
        title: "Post to a service".into(),
        description: description("POST").into(),
        hints: Hints { destructive: false, idempotent: false, open_world: true, content: ContentTrust::Untrusted },
        ..shared_spec(&POST, services)
    }
}

fn put_spec(services: &Services) -> ToolSpec {
    ToolSpec {
        title: "Put to a service".into(),
        description: description("PUT").into(),
        hints: Hints { destructive: true, idempotent: true, open_world: true, content: ContentTrust::Untrusted },
        ..shared_spec(&PUT, services)
    }
}

fn description(method: &str) -> String {
    format!(
        "Sends a {method} request with a JSON body to one of the listed services, with the gateway's credential for it. Returns the JSON object \
         of the answer, `{{\"result\": …}}` for other JSON, `{{\"text\": …}}` for everything else."
    )
}

fn shared_spec(command: &Command, services: &Services) -> ToolSpec {
    let mut body = schema::property("object", "The JSON object to send; without one, an empty object is sent.", json!({ "default": null }));
    body["type"] = json!(["object", "null"]);
    ToolSpec {
        name: command.name.into(),
        title: "".into(),
        description: "".into(),
        input_schema: schema::object(&[("service", services.property()), ("path", path_property()), ("body", body)], &["service", "path"]),
        output_schema: Some(answer::schema()),
        access: command.access,
        hints: Hints::READ,
    }
}

fn prepare_post<'a>(services: &'a Services, arguments: &str) -> Result<Job<'a>, ToolFault> {
    prepare(Method::POST, services, arguments)
}

fn prepare_put<'a>(services: &'a Services, arguments: &str) -> Result<Job<'a>, ToolFault> {
    prepare(Method::PUT, services, arguments)
}

fn prepare<'a>(method: Method, services: &'a Services, arguments: &str) -> Result<Job<'a>, ToolFault> {
    let Arguments { service, path, body } = decode(arguments)?;
    let service = services.get(&service)?;
    let request = service.request(method, &path, &Params::default())?.with_body("application/json", text(body.as_deref())?);
    Ok(Job { service, request, finish: answer::output })
}

/// The body as it is given; `{}` for none.
fn text(body: Option<&RawValue>) -> Result<String, ToolFault> {
    let text = body.map_or("{}", RawValue::get);
    if !text.starts_with('{') {
        return Err(ToolFault::invalid("the body is not an object", "send a JSON object"));
    }
    if text.len() > BODY_BYTES_MAX {
        return Err(ToolFault::limit("body_bytes", BODY_BYTES_MAX as u64, "the body is too large", "send it in parts"));
    }
    Ok(text.to_owned())
}
