//! Who hears of every call.

use bailiwick_gateway::CallSink;
use bailiwick_store::event::EventRow;

/// A line for each call. A program that writes into its own table puts the row into a bounded queue here and returns.
pub(crate) struct Stderr;

impl CallSink for Stderr {
    fn call(&self, row: &EventRow) {
        let tool = row.tool.as_deref().unwrap_or("-");
        let run = row.run_id.as_ref().map_or("-", |run| run.as_str());
        eprintln!("call tool={tool} ok={} run={run}", row.ok);
    }
}
