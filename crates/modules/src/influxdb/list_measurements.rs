//! `list_measurements`: what a bucket holds.

use serde::Deserialize;
use serde_json::json;

use super::{Command, Influxdb, Job, bucket_property, flux, job, table};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "list_measurements", access: Access::Read, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    bucket: String,
}

fn spec(_: &str) -> ToolSpec {
    let about = "Lists the names of the measurements in one bucket that got points in the last 30 days.";
    ToolSpec {
        name: COMMAND.name.into(),
        title: "List measurements".into(),
        description: about.into(),
        input_schema: schema::object(&[("bucket", bucket_property())], &["bucket"]),
        output_schema: Some(schema::wrapped(schema::property("array", "The names.", json!({ "items": { "type": "string" } })))),
        access: COMMAND.access,
        hints: Hints::READ,
    }
}

fn prepare(influxdb: &Influxdb, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { bucket } = decode(arguments)?;
    influxdb.buckets.check(&bucket)?;
    job(move |influxdb, context| {
        Box::pin(async move {
            influxdb.buckets.reach(&bucket).await?;
            let source = format!("import \"influxdata/influxdb/schema\"\nschema.measurements(bucket: {})\n", flux::text(&bucket));
            let body = influxdb.server.query(&source, context).await?;
            let mut names = Vec::new();
            table::rows(&body, |row| {
                names.push(row.text("_value").to_owned());
                influxdb.limits.check_rows(names.len() as u64)
            })?;
            ToolOutput::json(&names)
        })
    })
}
