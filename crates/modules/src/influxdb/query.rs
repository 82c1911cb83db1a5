//! `query`: rows of one bucket that pass filters.

use serde::Deserialize;
use serde_json::json;

use super::filter::{self, Filter, Logic};
use super::time::Range;
use super::{Command, Influxdb, Job, bucket_property, flux, job, table, time_property};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "query", access: Access::Read, spec, prepare };

const RANGE_START: &str = "-1h";
const RANGE_STOP: &str = "now()";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    bucket: String,
    filters: Vec<Filter>,
    #[serde(default = "range_start")]
    range_start: String,
    #[serde(default = "range_stop")]
    range_stop: String,
    #[serde(default)]
    logical_op: Logic,
    #[serde(default)]
    raw: bool,
}

fn range_start() -> String {
    RANGE_START.to_owned()
}

fn range_stop() -> String {
    RANGE_STOP.to_owned()
}

fn spec(_: &str) -> ToolSpec {
    let about = "Reads the points of one bucket within a range of time that pass the filters, and returns them as row objects with typed \
                 values; NaN and infinities come as null. More rows than allowed are an error, not a cut.";
    let properties = [
        ("bucket", bucket_property()),
        ("filters", filter::property()),
        ("range_start", time_property("Beginning of the range, included", Some(RANGE_START))),
        ("range_stop", time_property("End of the range, not included", Some(RANGE_STOP))),
        ("logical_op", schema::property("string", "How the filters are joined.", json!({ "enum": ["and", "or"], "default": "and" }))),
        ("raw", schema::property("boolean", "Also return the nameless column and `result`.", json!({ "default": false }))),
    ];
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Query points".into(),
        description: about.into(),
        input_schema: schema::object(&properties, &["bucket", "filters"]),
        output_schema: Some(schema::wrapped(schema::property("array", "The rows.", json!({ "items": { "type": "object" } })))),
        access: COMMAND.access,
        hints: Hints::READ,
    }
}

fn prepare(influxdb: &Influxdb, arguments: &str) -> Result<Job, ToolFault> {
    let arguments: Arguments = decode(arguments)?;
    influxdb.buckets.check(&arguments.bucket)?;
    let predicate = filter::predicate(&arguments.filters, arguments.logical_op)?;
    let range = Range::read(("range_start", "range_stop"), &arguments.range_start, &arguments.range_stop)?;
    let (bucket, raw) = (arguments.bucket, arguments.raw);
    job(move |influxdb, context| {
        Box::pin(async move {
            range.on_clock(context.now)?;
            influxdb.buckets.reach(&bucket).await?;
            // One row more than allowed, of each table: enough to see that there are too many.
            let source = format!(
                "from(bucket: {})\n  |> range(start: {}, stop: {})\n  |> filter(fn: (r) => {predicate})\n  |> limit(n: {})\n",
                flux::text(&bucket),
                flux::moment(&range.start),
                flux::moment(&range.stop),
                influxdb.limits.rows + 1,
            );
            let body = influxdb.server.query(&source, context).await?;
            Ok(ToolOutput { structured: table::objects(&body, &influxdb.limits, raw)?, text: None })
        })
    })
}
