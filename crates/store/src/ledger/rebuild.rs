//! Rows of the index made from records alone, when the process ended before it had written them. What was only in the row
//! (arguments, texts of errors) is gone; the note says so.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_model::time::Timestamp;
use bailiwick_model::{AgentId, AgentType, EventId, OrgId, RunId, Subject};
use serde_json::{Map, Value};

use super::chain::PREFIX_BYTES;
use super::journal::segments;
use super::lines::Lines;
use super::record::Span;
use crate::event::{Actor, EventKind, EventRow};

/// Note in a row that was rebuilt.
pub(crate) const REBUILT: &str = "rebuilt from the ledger; readable values were lost";
/// Note in the row of a call whose outcome is unknown.
pub(crate) const INDETERMINATE: &str = "the process ended before an outcome was recorded";

/// The row of a record, as far as its members tell; `None` for records that have none (intents, the ledger's own).
///
/// Members understood: `at` (microseconds), `kind`, `org`, `agent`, `agent_type`, `operator`, `source`, `tool`, `status`, `code`, `us`,
/// `revision`,
/// `credential`, `run`, `trace`, `result_bytes`, `sub`, `client`. What an outcome does not say is taken from its intent, when that is at hand.
pub(crate) fn row(record: &[u8], intent: Option<&[u8]>, now: Timestamp) -> Option<EventRow> {
    let span = Span::of(record).filter(|span| !matches!(span, Span::Intent(_)))?;
    let own: Map<String, Value> = serde_json::from_slice(record).unwrap_or_default();
    let before: Map<String, Value> = intent.and_then(|i| serde_json::from_slice(i).ok()).unwrap_or_default();
    let get = |name: &str| own.get(name).or_else(|| before.get(name)).filter(|value| !value.is_null());
    let text = |name: &str| get(name).and_then(Value::as_str);
    let number = |name: &str| get(name).and_then(Value::as_u64);
    let kind = text("kind").and_then(EventKind::parse).unwrap_or(match span {
        Span::Event(_) => EventKind::System,
        _ => EventKind::Call,
    });
    let at = before.get("at").or_else(|| own.get("at")).and_then(Value::as_i64).map_or(now, Timestamp::from_micros);
    let status = text("status");
    Some(EventRow {
        server: text("source").map(Arc::from),
        tool: text("tool").map(Arc::from),
        tool_revision: text("revision").map(Arc::from),
        decision: status.map(|s| Cow::Owned(s.to_owned())),
        code: text("code").map(|c| Cow::Owned(c.to_owned())),
        ok: status == Some("ok"),
        duration_ms: number("us").and_then(|us| u32::try_from(us / 1000).ok()),
        run_id: text("run").and_then(|t| RunId::parse(t).ok()),
        trace_id: text("trace").map(Into::into),
        result_bytes: number("result_bytes"),
        credential_kind: text("credential").map(|kind| Cow::Owned(kind.to_owned())),
        client_id: text("client").map(Into::into),
        note: Some(if status == Some("indeterminate") { INDETERMINATE } else { REBUILT }.into()),
        ..EventRow::new(span.id(), at, kind, actor(&text))
    })
}

fn actor<'a>(text: &impl Fn(&str) -> Option<&'a str>) -> Actor {
    let org = text("org").and_then(|t| OrgId::parse(t).ok());
    match text("operator") {
        Some(name) => Actor::Operator { org, name: name.into() },
        None => Actor::Claimed {
            org,
            agent_id: text("agent").and_then(|t| AgentId::parse(t).ok()),
            agent_type: text("agent_type").and_then(|t| AgentType::parse(t).ok()),
            sub: text("sub").and_then(|t| Subject::parse(t).ok()),
        },
    }
}

/// Reads the rows of a writer's records behind `position`, up to `last`.
pub(crate) struct MissingRows {
    segments: std::vec::IntoIter<(u64, PathBuf)>,
    lines: Option<Lines>,
    /// Number of the next record read.
    seq: u64,
    position: u64,
    last: u64,
    intents: HashMap<EventId, Vec<u8>>,
    now: Timestamp,
}

impl MissingRows {
    pub(crate) fn new(dir: &Path, position: u64, last: u64, now: Timestamp) -> io::Result<Self> {
        let mut found = segments(dir)?;
        let first = found.iter().rposition(|(seq, _)| *seq <= position + 1).unwrap_or(0);
        let segments = found.split_off(first).into_iter();
        Ok(Self { segments, lines: None, seq: 0, position, last, intents: HashMap::new(), now })
    }

    /// At most `count` rows with the numbers of their records; none at the end.
    pub(crate) fn next(&mut self, count: usize) -> io::Result<Vec<(u64, Box<EventRow>)>> {
        let mut rows = Vec::new();
        while rows.len() < count && self.seq <= self.last {
            let Some(lines) = &mut self.lines else {
                let Some((seq, path)) = self.segments.next() else { break };
                self.seq = seq;
                self.lines = Some(Lines::new(File::open(path)?));
                continue;
            };
            let Some(line) = lines.next()? else {
                self.lines = None;
                continue;
            };
            let record = line.bytes.get(PREFIX_BYTES..).unwrap_or_default();
            let span = Span::of(record);
            if let Some(Span::Intent(id)) = span {
                self.intents.insert(id, record.to_vec());
            }
            let intent = match span {
                Some(Span::Outcome(id)) => self.intents.remove(&id),
                _ => None,
            };
            if self.seq > self.position && self.seq <= self.last {
                rows.extend(row(record, intent.as_deref(), self.now).map(|row| (self.seq, Box::new(row))));
            }
            self.seq += 1;
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTENT: &[u8] = br#"{"span":"intent","event_id":"01010101010101010101010101010101","at":1785000000000000,"org":"acme","agent":"a1","agent_type":"research","source":"docs","tool":"docs__read"}"#;

    #[test]
    fn an_outcome_takes_the_rest_from_its_intent() {
        let outcome = br#"{"span":"outcome","event_id":"01010101010101010101010101010101","at":1785000005000000,"status":"ok","us":5000000,"tool":null}"#;
        let row = row(outcome, Some(INTENT), Timestamp::from_micros(0)).unwrap();
        assert_eq!(row.actor.org().unwrap().as_str(), "acme");
        assert_eq!(row.at.as_micros(), 1_785_000_000_000_000);
        assert_eq!((row.ok, row.duration_ms, row.note.as_deref()), (true, Some(5000), Some(REBUILT)));
        assert_eq!((row.kind, row.server.as_deref()), (EventKind::Call, Some("docs")));
    }

    #[test]
    fn intents_and_hostile_members() {
        assert!(row(INTENT, None, Timestamp::from_micros(0)).is_none());
        let odd = br#"{"span":"event","event_id":"01010101010101010101010101010101","at":"x","org":"../x","status":7,"us":-1}"#;
        let row = row(odd, None, Timestamp::from_micros(9)).unwrap();
        assert_eq!((row.at.as_micros(), row.ok, row.duration_ms, row.actor.org()), (9, false, None, None));
    }
}
