//! Every limit that applies (reference, security section 14), in one table: key, default, range, meaning.

use crate::reader::Field;
use crate::shape::{Choice, Key, Section, Shape};

macro_rules! limits {
    ($($key:ident = $default:literal in $min:literal ..= $max:literal, $doc:literal;)*) => {
        /// The `limits` section.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $(#[doc = $doc] pub $key: u64),*
        }

        /// Every key of the section, in the order of the documentation.
        pub const LIMITS: &[LimitKey] = &[$(LimitKey { name: stringify!($key), default: $default, min: $min, max: $max, doc: $doc }),*];

        /// The section as the reader wants it.
        pub(super) static SECTION: Section = Section {
            path: "limits",
            doc: "Everything that is bounded, with its default.",
            keys: &[$(
                Key::new(stringify!($key), Shape::Integer { min: $min, max: $max }, $doc).or(stringify!($default))
            ),*],
            needs: &[],
            choice: Choice::Free,
        };

        impl Default for Limits {
            fn default() -> Self {
                Self { $($key: $default),* }
            }
        }

        impl Limits {
            /// The field that belongs to key `name`.
            pub(super) fn field(&mut self, name: &str) -> Option<&mut u64> {
                match name {
                    $(stringify!($key) => Some(&mut self.$key),)*
                    _ => None,
                }
            }
        }
    };
}

/// One limit as documented.
#[derive(Clone, Copy, Debug)]
pub struct LimitKey {
    /// Key under `limits`; its last word is the unit.
    pub name: &'static str,
    /// Value when the key is absent.
    pub default: u64,
    /// Smallest accepted value.
    pub min: u64,
    /// Largest accepted value.
    pub max: u64,
    /// One line for people.
    pub doc: &'static str,
}

limits! {
    connections_max = 10_000 in 1..=1_000_000, "Open connections. Beyond it none is accepted.";
    connections_per_source_max = 200 in 1..=1_000_000, "Open connections from one address. Beyond it: 429.";
    head_bytes_max = 32_768 in 1_024..=1_048_576, "Request line and headers together. Beyond it: 431.";
    head_fields_max = 100 in 10..=1_000, "Headers of a request. Beyond it: 431.";
    head_read_seconds = 10 in 1..=300, "Time to send the headers. Beyond it: 408, closed.";
    body_read_seconds = 30 in 1..=3_600, "Time to send the body. Beyond it: 408, closed.";
    idle_seconds = 75 in 1..=3_600, "Time between two requests on a connection. Beyond it: closed.";
    request_bytes_max = 4_194_304 in 1_024..=67_108_864, "Request body. Beyond it: 413.";
    json_depth_max = 64 in 8..=128, "Nesting of JSON. Beyond it: -32600.";
    json_tokens_max = 200_000 in 1_000..=10_000_000, "Values and keys in a request. Beyond it: -32600.";
    in_flight_per_principal_max = 32 in 1..=10_000, "Running calls of one agent; as many again wait. Beyond it: 429.";
    in_flight_per_org_max = 256 in 1..=100_000, "Running calls of one organisation; as many again wait. Beyond it: 429.";
    in_flight_per_upstream_max = 64 in 1..=10_000, "Running calls to one server; as many again wait. Beyond it: 429.";
    in_flight_per_module_max = 16 in 1..=10_000, "Running calls of one module of one agent; as many again wait. Beyond it: 429.";
    queue_wait_milliseconds = 1_000 in 0..=60_000, "Longest wait for a free place. Beyond it: 429.";
    call_deadline_seconds = 60 in 1..=900, "Deadline of a call to a server. Beyond it: cancelled.";
    call_deadline_cap_seconds = 900 in 1..=3_600, "Longest deadline anyone may set.";
    module_deadline_seconds = 30 in 1..=900, "Deadline of a call to a built-in module. Beyond it: cancelled.";
    upstream_response_bytes_max = 16_777_216 in 1_024..=268_435_456, "Response of a server. Beyond it: limit_exceeded.";
    upstream_event_bytes_max = 4_194_304 in 1_024..=67_108_864, "One server-sent event of a server. Beyond it: limit_exceeded.";
    result_text_bytes_max = 1_048_576 in 1_024..=67_108_864, "Text in a result shown to a client. Beyond it: limit_exceeded.";
    argument_filter_milliseconds = 10 in 1..=60_000, "Processor time of the filters over one call's arguments. Beyond it: denied.";
    argument_filter_decoded_bytes_max = 1_048_576 in 0..=67_108_864, "Decoded forms of one call's arguments. Beyond it: denied.";
    response_filter_milliseconds = 250 in 1..=60_000, "Processor time of the filters over one result. Beyond it: held back.";
    response_filter_decoded_bytes_max = 4_194_304 in 0..=67_108_864, "Decoded forms of one result. Beyond it: held back.";
    tools_per_upstream_max = 2_000 in 1..=20_000, "Tools of one server. Beyond it: cut and flagged.";
    tools_per_view_max = 5_000 in 1..=50_000, "Tools that one agent sees. Beyond it: cut and flagged.";
    spool_records_max = 10_000 in 1..=1_000_000, "Ends of calls that wait for the ledger. Beyond it: no call is admitted.";
    spool_bytes_max = 67_108_864 in 1_048_576..=1_073_741_824, "The same in bytes. Beyond it: no call is admitted.";
    streams_per_principal_max = 8 in 1..=10_000, "Streams on which one agent's clients listen. Beyond it: 429.";
    resume_seconds = 120 in 1..=3_600, "Time for which an ended or left stream is kept. Beyond it: forgotten.";
    resume_events_max = 256 in 1..=100_000, "Events kept of one stream. Beyond it: the oldest is forgotten.";
    resume_stream_bytes_max = 4_194_304 in 1_024..=268_435_456, "The same in bytes.";
    resume_streams_per_session_max = 32 in 1..=10_000, "Streams kept of one session. Beyond it: oldest forgotten, else no ids.";
    resume_streams_per_principal_max = 64 in 1..=100_000, "Streams kept of one agent. Beyond it: the same.";
    resume_principal_bytes_max = 16_777_216 in 1_024..=1_073_741_824, "Bytes kept of one agent. Beyond it: the oldest go.";
    resume_bytes_max = 67_108_864 in 1_024..=4_294_967_296, "Bytes kept of all. Beyond it: the agent's oldest go.";
    list_page_items = 5_000 in 1..=50_000, "Entries on one page of a list that we give out. Beyond it: a further page.";
    list_pages_max = 100 in 1..=1_000, "Pages read when listing a server's tools. Beyond it: cut and flagged.";
}

pub(super) fn read(field: &Field<'_>) -> Option<Limits> {
    let table = field.table()?;
    let mut limits = Limits::default();
    for key in LIMITS {
        if let (Some(value), Some(limit)) = (table.read(key.name, |f| f.integer()), limits.field(key.name)) {
            *limit = value;
        }
    }
    if limits.call_deadline_seconds > limits.call_deadline_cap_seconds {
        field.error_hint("`call_deadline_seconds` is longer than `call_deadline_cap_seconds`", "raise the cap or shorten the deadline");
    }
    if limits.upstream_event_bytes_max > limits.upstream_response_bytes_max {
        field.error_hint("`upstream_event_bytes_max` is larger than `upstream_response_bytes_max`", "lower the first or raise the second");
    }
    table.finish();
    Some(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_consistent() {
        let mut limits = Limits::default();
        for key in LIMITS {
            assert!(key.min <= key.default && key.default <= key.max, "{}", key.name);
            assert_eq!(limits.field(key.name).copied(), Some(key.default));
            assert!(key.doc.ends_with('.') && key.doc.len() < 90, "{}", key.name);
        }
        assert!(limits.field("nonsense").is_none());
    }
}
