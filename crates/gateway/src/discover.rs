//! `server/discover` (protocol reference 2.5): what this endpoint speaks and offers.

use bailiwick_mcp::{Json, Revision};
use serde_json::{Value, json};

use crate::product::SERVER_INFO_META;

/// How long a client may keep the answer. It changes only with the program.
const DISCOVER_TTL_MS: u32 = 3_600_000;

/// The result, in the dress of 2026-07-28.
pub(crate) fn result() -> Json {
    let versions: Vec<&str> = Revision::SERVED.iter().map(|r| r.as_str()).collect();
    let meta: Value = serde_json::from_str(SERVER_INFO_META).unwrap_or_default();
    let result = json!({
        "resultType": "complete",
        "supportedVersions": versions,
        "capabilities": {"tools": {}},
        "ttlMs": DISCOVER_TTL_MS,
        "cacheScope": "private",
        "_meta": meta,
    });
    Json::from_serialize(&result).unwrap_or_else(|_| Json::from_static("{}"))
}
