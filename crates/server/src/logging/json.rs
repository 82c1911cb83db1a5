//! Log events as JSON lines: `timestamp`, `level`, `logger`, then the event's own fields in their order.

use std::fmt::Debug;
use std::sync::Arc;

use bailiwick_model::time::Clock;
use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::sink::LineSink;
use super::{OPS, OPS_FILE};
use crate::system::SystemClock;

/// Capacity of a line before it grows.
const LINE_BYTES_USUAL: usize = 256;

/// Writes every event it sees to one sink.
pub(super) struct JsonLines(Arc<LineSink>);

impl JsonLines {
    pub(super) fn new(sink: Arc<LineSink>) -> Self {
        Self(sink)
    }
}

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line(Vec::with_capacity(LINE_BYTES_USUAL));
        line.0.extend_from_slice(b"{\"timestamp\":");
        line.value(SystemClock.now().to_string());
        line.put("level", level(*event.metadata().level()));
        let target = event.metadata().target();
        line.put("logger", if target == OPS_FILE { OPS } else { target });
        event.record(&mut line);
        line.0.extend_from_slice(b"}\n");
        self.0.send(line.0);
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

struct Line(Vec<u8>);

impl Line {
    fn put(&mut self, name: &str, value: impl Serialize) {
        self.0.push(b',');
        self.value(name);
        self.0.push(b':');
        self.value(value);
    }

    fn value(&mut self, value: impl Serialize) {
        // Strings and numbers into memory: nothing that could fail.
        let _ = serde_json::to_writer(&mut self.0, &value);
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), format!("{value:?}"));
    }
}
