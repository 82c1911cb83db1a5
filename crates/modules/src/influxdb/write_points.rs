//! `write_points`: new points of one measurement.

use serde::Deserialize;
use serde_json::json;

use super::line::{self, Point};
use super::{Command, Influxdb, Job, bucket_property, job, measurement_property};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "write_points", access: Access::Write, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    bucket: String,
    measurement: String,
    points: Vec<Point>,
}

fn spec(_: &str) -> ToolSpec {
    let about = "Writes points of one measurement, at most 5,000 and 1 MiB in one call. Keys are a letter or `_`, then letters, digits, `_`. \
                 Whole numbers become integers, numbers with a fraction floats. Empty tag values are left out; line breaks in values, and tag \
                 values with a backslash at their end or before a space, `,` or `=`, are refused.";
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    let values = |about, extra| schema::property("object", about, extra);
    let point = schema::object(
        &[
            ("tags", values("Tags of the point.", json!({ "additionalProperties": scalar.clone(), "default": {} }))),
            ("fields", values("Fields of the point, at least one.", json!({ "additionalProperties": scalar, "minProperties": 1 }))),
            (
                "time",
                json!({ "type": ["integer", "null"], "default": null, "description": "Nanoseconds since 1970-01-01T00:00:00Z; without it the server's clock." }),
            ),
        ],
        &["fields"],
    );
    let points = json!({ "items": point, "minItems": 1, "maxItems": line::POINTS_MAX });
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Write points".into(),
        description: about.into(),
        input_schema: schema::object(
            &[
                ("bucket", bucket_property()),
                ("measurement", measurement_property()),
                ("points", schema::property("array", "The points to write.", points)),
            ],
            &["bucket", "measurement", "points"],
        ),
        output_schema: Some(schema::wrapped(schema::property("boolean", "Always true; a refusal is an error.", json!({ "const": true })))),
        access: COMMAND.access,
        hints: Hints { destructive: false, idempotent: false, open_world: false, content: ContentTrust::Trusted },
    }
}

fn prepare(influxdb: &Influxdb, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { bucket, measurement, points } = decode(arguments)?;
    influxdb.buckets.check(&bucket)?;
    let lines = line::lines(&measurement, &points)?;
    job(move |influxdb, context| {
        Box::pin(async move {
            influxdb.buckets.reach(&bucket).await?;
            influxdb.server.write(&bucket, lines, context).await?;
            Ok(ToolOutput::done())
        })
    })
}
