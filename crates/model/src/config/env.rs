//! The one list of environment variables that stand over the configuration file.

/// One variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// `BAILIWICK_<SECTION>__<KEY>`, or `BAILIWICK_<KEY>` for a key at top level.
    pub name: &'static str,
    /// Dotted path of the key it stands over.
    pub path: &'static str,
    /// Whether the value may be a secret, so that the program looks at `<name>_FILE` as well.
    pub secret: bool,
    /// Whether the value is a list, written with commas.
    pub list: bool,
}

macro_rules! variables {
    ($($name:literal => $path:literal $($mark:ident)?;)*) => {
        /// Every variable.
        pub const VARIABLES: &[Variable] = &[$(Variable {
            name: $name,
            path: $path,
            secret: matches!(stringify!($($mark)?).as_bytes(), b"secret"),
            list: matches!(stringify!($($mark)?).as_bytes(), b"list"),
        }),*];
    };
}

variables! {
    "BAILIWICK_LISTEN" => "listen";
    "BAILIWICK_PUBLIC_URL" => "public_url";
    "BAILIWICK_PATH" => "path";
    "BAILIWICK_AUTH" => "auth";
    "BAILIWICK_ALLOWED_HOSTS" => "allowed_hosts" list;
    "BAILIWICK_ALLOWED_ORIGINS" => "allowed_origins" list;
    "BAILIWICK_STATE_DIR" => "state_dir";
    "BAILIWICK_DATABASE" => "database" secret;
    "BAILIWICK_ROOT_KEY_FILE" => "root_key_file";
    "BAILIWICK_ORG" => "org";
    "BAILIWICK_MANIFESTS" => "manifests" list;
    "BAILIWICK_NAMES__MAX_LENGTH" => "names.max_length";
    "BAILIWICK_AUDIT__MODE" => "audit.mode";
    "BAILIWICK_AUDIT__RETENTION_DAYS" => "audit.retention_days";
    "BAILIWICK_LOG__FORMAT" => "log.format";
    "BAILIWICK_LOG__FILTER" => "log.filter";
    "BAILIWICK_SHUTDOWN__READY_DELAY_SECONDS" => "shutdown.ready_delay_seconds";
    "BAILIWICK_SHUTDOWN__DRAIN_SECONDS" => "shutdown.drain_seconds";
    "BAILIWICK_LIMITS__CONNECTIONS_MAX" => "limits.connections_max";
    "BAILIWICK_LIMITS__CONNECTIONS_PER_SOURCE_MAX" => "limits.connections_per_source_max";
    "BAILIWICK_LIMITS__HEAD_BYTES_MAX" => "limits.head_bytes_max";
    "BAILIWICK_LIMITS__HEAD_FIELDS_MAX" => "limits.head_fields_max";
    "BAILIWICK_LIMITS__HEAD_READ_SECONDS" => "limits.head_read_seconds";
    "BAILIWICK_LIMITS__BODY_READ_SECONDS" => "limits.body_read_seconds";
    "BAILIWICK_LIMITS__IDLE_SECONDS" => "limits.idle_seconds";
    "BAILIWICK_LIMITS__REQUEST_BYTES_MAX" => "limits.request_bytes_max";
    "BAILIWICK_LIMITS__JSON_DEPTH_MAX" => "limits.json_depth_max";
    "BAILIWICK_LIMITS__JSON_TOKENS_MAX" => "limits.json_tokens_max";
    "BAILIWICK_LIMITS__IN_FLIGHT_PER_PRINCIPAL_MAX" => "limits.in_flight_per_principal_max";
    "BAILIWICK_LIMITS__IN_FLIGHT_PER_ORG_MAX" => "limits.in_flight_per_org_max";
    "BAILIWICK_LIMITS__IN_FLIGHT_PER_UPSTREAM_MAX" => "limits.in_flight_per_upstream_max";
    "BAILIWICK_LIMITS__IN_FLIGHT_PER_MODULE_MAX" => "limits.in_flight_per_module_max";
    "BAILIWICK_LIMITS__QUEUE_WAIT_MILLISECONDS" => "limits.queue_wait_milliseconds";
    "BAILIWICK_LIMITS__CALL_DEADLINE_SECONDS" => "limits.call_deadline_seconds";
    "BAILIWICK_LIMITS__CALL_DEADLINE_CAP_SECONDS" => "limits.call_deadline_cap_seconds";
    "BAILIWICK_LIMITS__MODULE_DEADLINE_SECONDS" => "limits.module_deadline_seconds";
    "BAILIWICK_LIMITS__SPOOL_BYTES_MAX" => "limits.spool_bytes_max";
    "BAILIWICK_LIMITS__SPOOL_RECORDS_MAX" => "limits.spool_records_max";
    "BAILIWICK_LIMITS__UPSTREAM_RESPONSE_BYTES_MAX" => "limits.upstream_response_bytes_max";
    "BAILIWICK_LIMITS__UPSTREAM_EVENT_BYTES_MAX" => "limits.upstream_event_bytes_max";
    "BAILIWICK_LIMITS__RESULT_TEXT_BYTES_MAX" => "limits.result_text_bytes_max";
    "BAILIWICK_LIMITS__ARGUMENT_FILTER_MILLISECONDS" => "limits.argument_filter_milliseconds";
    "BAILIWICK_LIMITS__ARGUMENT_FILTER_DECODED_BYTES_MAX" => "limits.argument_filter_decoded_bytes_max";
    "BAILIWICK_LIMITS__RESPONSE_FILTER_MILLISECONDS" => "limits.response_filter_milliseconds";
    "BAILIWICK_LIMITS__RESPONSE_FILTER_DECODED_BYTES_MAX" => "limits.response_filter_decoded_bytes_max";
    "BAILIWICK_LIMITS__TOOLS_PER_UPSTREAM_MAX" => "limits.tools_per_upstream_max";
    "BAILIWICK_LIMITS__TOOLS_PER_VIEW_MAX" => "limits.tools_per_view_max";
    "BAILIWICK_LIMITS__STREAMS_PER_PRINCIPAL_MAX" => "limits.streams_per_principal_max";
    "BAILIWICK_LIMITS__RESUME_SECONDS" => "limits.resume_seconds";
    "BAILIWICK_LIMITS__RESUME_EVENTS_MAX" => "limits.resume_events_max";
    "BAILIWICK_LIMITS__RESUME_STREAM_BYTES_MAX" => "limits.resume_stream_bytes_max";
    "BAILIWICK_LIMITS__RESUME_STREAMS_PER_SESSION_MAX" => "limits.resume_streams_per_session_max";
    "BAILIWICK_LIMITS__RESUME_STREAMS_PER_PRINCIPAL_MAX" => "limits.resume_streams_per_principal_max";
    "BAILIWICK_LIMITS__RESUME_PRINCIPAL_BYTES_MAX" => "limits.resume_principal_bytes_max";
    "BAILIWICK_LIMITS__RESUME_BYTES_MAX" => "limits.resume_bytes_max";
    "BAILIWICK_LIMITS__LIST_PAGE_ITEMS" => "limits.list_page_items";
    "BAILIWICK_LIMITS__LIST_PAGES_MAX" => "limits.list_pages_max";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LIMITS;

    #[test]
    fn names_follow_paths_and_every_limit_has_one() {
        for variable in VARIABLES {
            assert_eq!(variable.name, format!("BAILIWICK_{}", variable.path.replace('.', "__").to_uppercase()));
        }
        let paths: std::collections::BTreeSet<&str> = VARIABLES.iter().map(|variable| variable.path).collect();
        assert_eq!(paths.len(), VARIABLES.len(), "one variable stands over one key");
        for key in LIMITS {
            assert!(VARIABLES.iter().any(|v| v.path.strip_prefix("limits.") == Some(key.name)), "{}", key.name);
        }
    }
}
