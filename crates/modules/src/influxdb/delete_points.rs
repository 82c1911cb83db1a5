//! `delete_points`: points of one measurement within a range of time.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::time::Range;
use super::{Command, Influxdb, Job, bucket_property, flux, job, measurement_property, names, table, time_property};
use crate::arguments::decode;
use crate::context::CallContext;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "delete_points", access: Access::Write, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    bucket: String,
    measurement: String,
    start: String,
    stop: String,
    #[serde(default)]
    dry_run: bool,
}

fn spec(_: &str) -> ToolSpec {
    let about = "Deletes every point of one measurement from `start` to `stop`, both included. With `dry_run` nothing is deleted and the \
                 number of points (values of fields) in the range comes back as `points`.";
    let properties = [
        ("bucket", bucket_property()),
        ("measurement", measurement_property()),
        ("start", time_property("First moment to delete", None)),
        ("stop", time_property("Last moment to delete", None)),
        ("dry_run", schema::property("boolean", "Only count what would be deleted.", json!({ "default": false }))),
    ];
    let result = schema::property("boolean", "True once the points are deleted.", json!({ "const": true }));
    let points = schema::property("integer", "With `dry_run`: how many points lie in the range.", json!({ "minimum": 0 }));
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Delete points".into(),
        description: about.into(),
        input_schema: schema::object(&properties, &["bucket", "measurement", "start", "stop"]),
        output_schema: Some(schema::output(&[("result", result), ("points", points)])),
        access: COMMAND.access,
        hints: Hints { destructive: true, idempotent: false, open_world: false, content: ContentTrust::Trusted },
    }
}

fn prepare(influxdb: &Influxdb, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { bucket, measurement, start, stop, dry_run } = decode(arguments)?;
    influxdb.buckets.check(&bucket)?;
    names::measurement(&measurement)?;
    let range = Range::read(("start", "stop"), &start, &stop)?;
    job(move |influxdb, context| {
        Box::pin(async move {
            // The endpoint takes points in time only.
            let (start, stop) = range.on_clock(context.now)?;
            influxdb.buckets.reach(&bucket).await?;
            if dry_run {
                return ToolOutput::json(&json!({ "points": influxdb.count(&bucket, &measurement, (start, stop), context).await? }));
            }
            // The measurement is a name that needs no escape between quotes.
            let predicate = format!("_measurement=\"{measurement}\"");
            let selection = json!({ "start": start.to_string(), "stop": stop.to_string(), "predicate": predicate });
            influxdb.server.delete(&bucket, &selection, context).await?;
            Ok(ToolOutput::done())
        })
    })
}

impl Influxdb {
    async fn count(
        &self,
        bucket: &str,
        measurement: &str,
        (start, stop): (Timestamp, Timestamp),
        context: CallContext<'_>,
    ) -> Result<u64, ToolFault> {
        // `range` leaves its end out, deleting includes it.
        let stop = stop.checked_add(SignedDuration::from_nanos(1)).unwrap_or(stop);
        let source = format!(
            "from(bucket: {})\n  |> range(start: {start}, stop: {stop})\n  |> filter(fn: (r) => r[\"_measurement\"] == {})\n  |> count()\n  \
             |> group()\n  |> sum()\n",
            flux::text(bucket),
            flux::text(measurement),
        );
        let mut points = 0_u64;
        table::rows(&self.server.query(&source, context).await?, |row| {
            points = points.saturating_add(row.text("_value").parse().unwrap_or(0));
            Ok(())
        })?;
        Ok(points)
    }
}
