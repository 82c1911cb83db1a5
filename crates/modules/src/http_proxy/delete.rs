//! `delete`: removing something at a service.

use http::Method;
use serde::Deserialize;

use super::query::Params;
use super::{Command, Job, Services, answer, path_property};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "delete", access: Access::Write, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    service: String,
    path: String,
}

fn spec(services: &Services) -> ToolSpec {
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Delete at a service".into(),
        description: "Sends a DELETE request to one of the listed services, with the gateway's credential for it. Returns `{\"status\": \
                      \"deleted\"}` for an answer without content, otherwise the answer like `get`."
            .into(),
        input_schema: schema::object(&[("service", services.property()), ("path", path_property())], &["service", "path"]),
        output_schema: Some(answer::schema()),
        access: COMMAND.access,
        hints: Hints { destructive: true, idempotent: false, open_world: false, content: ContentTrust::Untrusted },
    }
}

fn prepare<'a>(services: &'a Services, arguments: &str) -> Result<Job<'a>, ToolFault> {
    let Arguments { service, path } = decode(arguments)?;
    let service = services.get(&service)?;
    let request = service.request(Method::DELETE, &path, &Params::default())?;
    Ok(Job { service, request, finish: answer::deleted })
}
