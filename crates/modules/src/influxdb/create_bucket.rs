//! `create_bucket`: a bucket of the agent's own.

use serde::Deserialize;
use serde_json::json;

use super::server;
use super::{Command, Influxdb, Job, bucket, job};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "create_bucket", access: Access::Write, spec, prepare };

const RETENTION_DAYS: u64 = 30;
const RETENTION_DAYS_MAX: u64 = 3_650;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    name: String,
    #[serde(default = "retention_days")]
    retention_days: u64,
}

fn retention_days() -> u64 {
    RETENTION_DAYS
}

fn spec(prefix: &str) -> ToolSpec {
    let about = format!(
        "Creates a bucket of your own. The other tools know it by its whole name, `{}<name>`, from then on. A name that is taken is an error.",
        prefix
    );
    let name = "Last part of the bucket's name: 1 to 64 letters, digits, `_` and `-`.";
    let days = "How many days points are kept; 0 keeps them for ever.";
    let days_extra = json!({ "minimum": 0, "maximum": RETENTION_DAYS_MAX, "default": RETENTION_DAYS });
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Create a bucket".into(),
        description: about.into(),
        input_schema: schema::object(
            &[
                ("name", schema::property("string", name, json!({ "minLength": 1, "maxLength": bucket::OWN_NAME_BYTES_MAX }))),
                ("retention_days", schema::property("integer", days, days_extra)),
            ],
            &["name"],
        ),
        output_schema: Some(schema::wrapped(schema::property("boolean", "Always true; a refusal is an error.", json!({ "const": true })))),
        access: COMMAND.access,
        hints: Hints { destructive: false, idempotent: false, open_world: false, content: ContentTrust::Trusted },
    }
}

fn prepare(influxdb: &Influxdb, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { name, retention_days } = decode(arguments)?;
    let whole = influxdb.buckets.name(&name)?;
    let older = influxdb.buckets.older(&name);
    if retention_days > RETENTION_DAYS_MAX {
        return Err(ToolFault::invalid("`retention_days` is too large", format!("write a number from 0 to {RETENTION_DAYS_MAX}")));
    }
    job(move |influxdb, context| {
        Box::pin(async move {
            influxdb.buckets.ready().await?;
            if let Some(older) = &older
                && influxdb.server.has_bucket(older, context).await?
            {
                return Err(server::exists());
            }
            influxdb.server.create_bucket(&whole, retention_days, context).await?;
            influxdb.buckets.created(&whole).await?;
            Ok(ToolOutput::done())
        })
    })
}
