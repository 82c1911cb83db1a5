//! What the answer to the probe says about a server. Pure.

use super::object_or_empty;
use crate::client::fault::{FaultKind, UpstreamFault, excerpt};
use crate::client::http::read::is_modern_error;
use crate::client::options::Probe;
use crate::error::{RpcError, UNSUPPORTED_VERSION};
use crate::json::Json;
use crate::revision::{Era, Revision};

/// Revisions a server may list.
const LISTED_MAX: usize = 64;

/// What to do next.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The server speaks the modern era.
    Modern(Probe),
    /// The server wants to be asked with this revision.
    Again(Revision),
    /// The server does not know the modern era. `wanted`: the newest revision it listed that we speak.
    Initialize { wanted: Option<Revision>, because: UpstreamFault },
    /// There is no telling, or nothing can be done.
    Fault(UpstreamFault),
}

pub(super) fn judge(answer: Result<Json, UpstreamFault>, asked: Revision, stdio: bool) -> Verdict {
    let fault = match answer {
        Ok(result) if result.is_object() => return discovered(&result, asked),
        Ok(_) => UpstreamFault::protocol("the answer to server/discover is no object"),
        Err(fault) => fault,
    };
    match &fault.kind {
        FaultKind::Rpc(error) if error.code == UNSUPPORTED_VERSION => unsupported(error, asked, fault.clone()),
        // It knows the rules of the modern era, and only finds that we (or something between us) broke one.
        FaultKind::Rpc(error) if is_modern_error(error.code) => Verdict::Modern(bare(asked)),
        FaultKind::Timeout if stdio => Verdict::Initialize { wanted: None, because: fault },
        _ if not_understood(&fault) => Verdict::Initialize { wanted: None, because: fault },
        FaultKind::Http(500..) | FaultKind::Timeout => {
            let detail = format!("{}; if this is an older server, set `era: legacy`", fault.detail);
            Verdict::Fault(UpstreamFault { detail, ..fault })
        }
        _ => Verdict::Fault(fault),
    }
}

/// Whether a server's refusal means that it did not understand, rather than that it could or would not.
pub(super) fn not_understood(fault: &UpstreamFault) -> bool {
    match fault.kind {
        FaultKind::Http(status) => matches!(status, 400..=499) && !matches!(status, 408 | 429),
        FaultKind::Rpc(_) | FaultKind::Protocol => true,
        _ => false,
    }
}

fn discovered(result: &Json, asked: Revision) -> Verdict {
    let Some(listed) = result.member("supportedVersions") else {
        // Some older servers answer every method with a result.
        let modern = ["resultType", "capabilities"].iter().any(|name| result.has(name));
        let because = UpstreamFault::protocol("the answer to server/discover lists no revisions");
        return if modern { Verdict::Modern(described(result, asked)) } else { Verdict::Initialize { wanted: None, because } };
    };
    match newest_common(&listed) {
        Some(newest) if newest == asked => Verdict::Modern(described(result, asked)),
        _ if lists(&listed, asked) => Verdict::Modern(described(result, asked)),
        common => elsewhere(common, asked, &listed, UpstreamFault::protocol("the server listed other revisions")),
    }
}

fn unsupported(error: &RpcError, asked: Revision, fault: UpstreamFault) -> Verdict {
    match error.data.as_ref().and_then(|data| data.member("supported")) {
        Some(listed) => elsewhere(newest_common(&listed), asked, &listed, fault),
        // It does not say what it wants instead; the only other thing we speak is older.
        None => Verdict::Initialize { wanted: None, because: fault },
    }
}

fn elsewhere(common: Option<Revision>, asked: Revision, listed: &Json, because: UpstreamFault) -> Verdict {
    match common {
        Some(newest) if newest.era() == Era::Legacy => Verdict::Initialize { wanted: Some(newest), because },
        Some(newest) if newest != asked => Verdict::Again(newest),
        Some(_) => Verdict::Fault(UpstreamFault::protocol(format!("the server refuses {asked}, which it lists as supported"))),
        None => {
            let theirs: Vec<String> = listed.elements().take(LISTED_MAX).filter_map(|one| one.string().map(|one| excerpt(&one))).collect();
            let ours: Vec<&str> = Revision::ALL.iter().map(|revision| revision.as_str()).collect();
            let detail = format!("no common revision: the server speaks {}; we speak {}", theirs.join(", "), ours.join(", "));
            Verdict::Fault(UpstreamFault::protocol(detail))
        }
    }
}

fn newest_common(listed: &Json) -> Option<Revision> {
    listed.elements().take(LISTED_MAX).filter_map(|one| one.string().and_then(|one| Revision::parse(&one))).max()
}

fn lists(listed: &Json, asked: Revision) -> bool {
    listed.elements().take(LISTED_MAX).any(|one| one.string().as_deref() == Some(asked.as_str()))
}

fn described(result: &Json, revision: Revision) -> Probe {
    Probe {
        revision,
        session: false,
        capabilities: object_or_empty(result.member("capabilities")),
        server_info: object_or_empty(result.member("_meta").and_then(|meta| meta.member("io.modelcontextprotocol/serverInfo"))),
        instructions: result.text_of("instructions").map(Into::into),
    }
}

fn bare(revision: Revision) -> Probe {
    described(&Json::from_static("{}"), revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::authorization::Demand;

    const NEWEST: Revision = Revision::R2026_07_28;

    fn rpc(code: i64, data: Option<&'static str>) -> Result<Json, UpstreamFault> {
        let error = RpcError { code, message: "no".into(), data: data.map(Json::from_static) };
        Err(UpstreamFault::rpc(error))
    }

    fn kind(kind: FaultKind) -> Result<Json, UpstreamFault> {
        Err(UpstreamFault::new(kind, true, "x"))
    }

    fn word(verdict: &Verdict) -> String {
        match verdict {
            Verdict::Modern(probe) => format!("modern {}", probe.revision),
            Verdict::Again(revision) => format!("again {revision}"),
            Verdict::Initialize { wanted: None, .. } => "initialize".into(),
            Verdict::Initialize { wanted: Some(revision), .. } => format!("initialize {revision}"),
            Verdict::Fault(_) => "fault".into(),
        }
    }

    #[test]
    fn every_row_of_the_table() {
        let table: Vec<(Result<Json, UpstreamFault>, &str, &str)> = vec![
            (Ok(Json::from_static(r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#)), "modern 2026-07-28", "modern 2026-07-28"),
            (Ok(Json::from_static(r#"{"supportedVersions":["2099-01-01","2026-07-28"]}"#)), "modern 2026-07-28", "modern 2026-07-28"),
            (Ok(Json::from_static(r#"{"capabilities":{}}"#)), "modern 2026-07-28", "modern 2026-07-28"),
            (Ok(Json::from_static("{}")), "initialize", "initialize"),
            (
                Ok(Json::from_static(r#"{"supportedVersions":["2025-06-18","2025-03-26"]}"#)),
                "initialize 2025-06-18",
                "initialize 2025-06-18",
            ),
            (Ok(Json::from_static(r#"{"supportedVersions":["2099-01-01"]}"#)), "fault", "fault"),
            (Ok(Json::from_static("[]")), "initialize", "initialize"),
            (rpc(-32020, None), "modern 2026-07-28", "modern 2026-07-28"),
            (rpc(-32021, None), "modern 2026-07-28", "modern 2026-07-28"),
            (rpc(-32022, None), "initialize", "initialize"),
            (rpc(-32022, Some(r#"{"supported":["2025-11-25","2024-11-05"]}"#)), "initialize 2025-11-25", "initialize 2025-11-25"),
            (rpc(-32022, Some(r#"{"supported":["2027-01-01"]}"#)), "fault", "fault"),
            (rpc(-32022, Some(r#"{"supported":["2026-07-28"]}"#)), "fault", "fault"),
            (rpc(-32601, None), "initialize", "initialize"),
            (rpc(-32602, None), "initialize", "initialize"),
            (rpc(-32000, None), "initialize", "initialize"),
            (rpc(7, None), "initialize", "initialize"),
            (kind(FaultKind::Http(400)), "initialize", "initialize"),
            (kind(FaultKind::Http(404)), "initialize", "initialize"),
            (kind(FaultKind::Http(405)), "initialize", "initialize"),
            (kind(FaultKind::Http(406)), "initialize", "initialize"),
            (kind(FaultKind::Http(429)), "fault", "fault"),
            (kind(FaultKind::Http(307)), "fault", "fault"),
            (kind(FaultKind::Http(500)), "fault", "fault"),
            (kind(FaultKind::Http(503)), "fault", "fault"),
            (kind(FaultKind::Auth(Demand { status: 401, challenges: Vec::new() })), "fault", "fault"),
            (kind(FaultKind::Auth(Demand { status: 403, challenges: Vec::new() })), "fault", "fault"),
            (kind(FaultKind::Protocol), "initialize", "initialize"),
            (kind(FaultKind::Timeout), "fault", "initialize"),
            (kind(FaultKind::Closed), "fault", "fault"),
            (kind(FaultKind::Unreachable), "fault", "fault"),
            (kind(FaultKind::TooLarge), "fault", "fault"),
        ];
        for (row, (answer, http, stdio)) in table.into_iter().enumerate() {
            assert_eq!(word(&judge(answer.clone(), NEWEST, false)), http, "row {row} over HTTP");
            assert_eq!(word(&judge(answer, NEWEST, true)), stdio, "row {row} over stdio");
        }
    }

    #[test]
    fn a_server_that_wants_a_modern_revision_is_asked_again_with_it() {
        // From the eyes of a client that asked for something older than what both speak.
        let answer = rpc(-32022, Some(r#"{"supported":["2026-07-28","2025-11-25"]}"#));
        assert_eq!(word(&judge(answer, Revision::R2025_11_25, false)), "again 2026-07-28");
    }

    #[test]
    fn the_probe_keeps_what_the_server_said() {
        let said = r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}},"instructions":"be kind",
            "_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","own":1}}}"#;
        let Verdict::Modern(probe) = judge(Ok(Json::from_static(said)), NEWEST, false) else { panic!("not modern") };
        assert_eq!(probe.capabilities.as_str(), r#"{"tools":{"listChanged":true}}"#);
        assert_eq!(probe.server_info.as_str(), r#"{"name":"s","own":1}"#);
        assert_eq!(probe.instructions.as_deref(), Some("be kind"));
    }
}
