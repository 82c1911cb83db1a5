//! Rows of the readable index as text and as JSON.

use bailiwick_store::event::Event;
use serde_json::{Value, json};

use super::super::args::Form;
use super::super::output::{self, print_json, print_rows, printable};
use super::moment;
use crate::exit::Failure;

/// A row in the stable form for programs. Arguments are JSON inside JSON in the database; here they are one.
pub(super) fn as_json(row: &Event) -> Value {
    let args = row.args.as_deref().map(|text| serde_json::from_str::<Value>(text).unwrap_or_else(|_| text.into()));
    json!({
        "event_id": row.event_id, "at": row.at.to_string(), "org": row.org, "kind": row.kind,
        "operator": row.operator, "agent_id": row.agent_id, "agent_type": row.agent_type,
        "server": row.server, "tool": row.tool, "decision": row.decision, "code": row.code, "ok": row.ok, "error": row.error,
        "duration_ms": row.duration_ms, "run_id": row.run_id, "run_source": row.run_source, "trace_id": row.trace_id,
        "args": args, "args_digest": row.args_digest, "result_bytes": row.result_bytes, "credential_kind": row.credential_kind,
        "note": row.note, "writer": row.writer, "seq": row.seq,
    })
}

/// Who acted: the agent, the operator, or nobody known.
fn actor(row: &Event) -> String {
    row.agent_id.clone().or_else(|| row.operator.clone()).unwrap_or_else(|| "-".to_owned())
}

fn outcome(row: &Event) -> String {
    row.code.clone().or_else(|| row.decision.clone()).unwrap_or_else(|| if row.ok { "ok".to_owned() } else { "failed".to_owned() })
}

fn what(row: &Event) -> String {
    row.tool.clone().unwrap_or_else(|| row.kind.clone())
}

pub(super) fn print_list(form: Form, rows: &[Event]) -> Result<(), Failure> {
    if form == Form::Json {
        return print_json(&rows.iter().map(as_json).collect::<Vec<_>>());
    }
    print_rows(form, &rows.iter().map(Shown).collect::<Vec<_>>(), ["AT", "ORG", "ACTOR", "WHAT", "OUTCOME", "MS", "EVENT"], |Shown(row)| {
        let org = row.org.clone().unwrap_or_else(|| "-".to_owned());
        let took = row.duration_ms.map(|ms| ms.to_string()).unwrap_or_default();
        [moment(row.at), org, actor(row), what(row), outcome(row), took, row.event_id.clone()]
    })
}

/// A row of a table; its JSON form is [`as_json`].
struct Shown<'a>(&'a Event);

impl serde::Serialize for Shown<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        as_json(self.0).serialize(serializer)
    }
}

/// One line of `tail`.
pub(super) fn line(row: &Event) -> String {
    let org = row.org.as_deref().unwrap_or("-");
    let text = format!("{}  {org}  {}  {}  {}  {}", moment(row.at), actor(row), what(row), outcome(row), row.event_id);
    printable(&text) + "\n"
}

pub(super) fn print_one(form: Form, row: &Event) -> Result<(), Failure> {
    output::print_one(form, &as_json(row))
}
