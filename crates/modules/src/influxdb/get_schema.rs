//! `get_schema`: field keys and tag keys of one measurement.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use super::{Command, Influxdb, Job, bucket_property, flux, job, measurement_property, names, table};
use crate::arguments::decode;
use crate::context::CallContext;
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
            let fields = influxdb.keys("measurementFieldKeys", &bucket, &measurement, context).await?;
            let mut tags = influxdb.keys("measurementTagKeys", &bucket, &measurement, context).await?;
            tags.retain(|name| !name.starts_with('_'));
            ToolOutput::json(&json!({ "fields": fields, "tags": tags }))
        })
    })
}

impl Influxdb {
    /// What one function of the schema package lists, each name once.
    async fn keys(&self, function: &str, bucket: &str, measurement: &str, context: CallContext<'_>) -> Result<BTreeSet<String>, ToolFault> {
        let (bucket, measurement) = (flux::text(bucket), flux::text(measurement));
        let source = format!("import \"influxdata/influxdb/schema\"\nschema.{function}(bucket: {bucket}, measurement: {measurement})\n");
        let mut names = BTreeSet::new();
        table::rows(&self.server.query(&source, context).await?, |row| {
            names.insert(row.text("_value").to_owned());
            self.limits.check_rows(names.len() as u64)
        })?;
        Ok(names)
    }
}
