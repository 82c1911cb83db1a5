//! `get_schema`: field keys and tag keys of one measurement.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use super::{Command, Influxdb, Job, bucket_property, flux, job, measurement_property, names, table};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "get_schema", access: Access::Read, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    bucket: String,
    measurement: String,
}

fn spec(_: &str) -> ToolSpec {
    let about = "Lists the field keys and the tag keys that one measurement got in the last 30 days. Columns of the system, which begin with \
                 `_`, are left out of the tags.";
    let names = |about| schema::property("array", about, json!({ "items": { "type": "string" } }));
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Show a measurement's schema".into(),
        description: about.into(),
        input_schema: schema::object(&[("bucket", bucket_property()), ("measurement", measurement_property())], &["bucket", "measurement"]),
        output_schema: Some(schema::output(&[("fields", names("Field keys, sorted.")), ("tags", names("Tag keys, sorted."))])),
        access: COMMAND.access,
        hints: Hints::READ,
    }
}

fn prepare(influxdb: &Influxdb, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { bucket, measurement } = decode(arguments)?;
    names::measurement(&measurement)?;
    influxdb.buckets.check(&bucket)?;
    job(move |influxdb, context| {
        Box::pin(async move {
            influxdb.buckets.reach(&bucket).await?;
            let place = format!("bucket: {}, measurement: {}", flux::text(&bucket), flux::text(&measurement));
            // Two results of one query, told apart by the column `result`.
            let source = format!(
                "import \"influxdata/influxdb/schema\"\nschema.measurementFieldKeys({place})\n  |> yield(name: \"fields\")\n\
                 schema.measurementTagKeys({place})\n  |> yield(name: \"tags\")\n"
            );
            let body = influxdb.server.query(&source, context).await?;
            let (mut fields, mut tags) = (BTreeSet::new(), BTreeSet::new());
            table::rows(&body, |row| {
                let name = row.text("_value");
                match row.text("result") {
                    "fields" => fields.insert(name.to_owned()),
                    _ => !name.starts_with('_') && tags.insert(name.to_owned()),
                };
                influxdb.limits.check_rows((fields.len() + tags.len()) as u64)
            })?;
            ToolOutput::json(&json!({ "fields": fields, "tags": tags }))
        })
    })
}
