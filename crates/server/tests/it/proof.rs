//! What the exported ledger says of calls, after both ledger and export were verified.

use std::collections::HashMap;

use bailiwick_testkit::app::App;
use serde_json::Value;

use crate::scene::talk;

/// The exported ledger by the runs of its calls.
pub(crate) struct Ledger {
    pub(crate) records: usize,
    pub(crate) indeterminate: usize,
    /// Event and run of every intent.
    pub(crate) intents: HashMap<String, String>,
    /// Event and status of every end of a call.
    pub(crate) ends: HashMap<String, Vec<(String, String)>>,
}

impl Ledger {
    /// Verifies the ledger where it is, exports it, verifies the export and reads it.
    pub(crate) fn proven(app: &App) -> Self {
        let proof = app.command(&["audit", "verify"]);
        assert_eq!(proof.status.code(), Some(0), "{}", talk(&proof));
        let export = app.place().join("export.jsonl").display().to_string();
        let exported = app.command(&["audit", "export", "--out", &export]);
        assert!(exported.status.success(), "{}", talk(&exported));
        let proof = app.command(&["audit", "verify", &export]);
        assert_eq!(proof.status.code(), Some(0), "{}", talk(&proof));
        let lines = app.place().read("export.jsonl");
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        Self::read(lines.filter_map(|mut line| Some(line.get_mut("record")?.take())))
    }

    fn read(records: impl Iterator<Item = Value>) -> Self {
        let mut ledger = Self { records: 0, indeterminate: 0, intents: HashMap::new(), ends: HashMap::new() };
        for record in records {
            ledger.records += 1;
            let text = |name: &str| record[name].as_str().map(str::to_owned);
            let (Some(event), run) = (text("event_id"), text("run")) else { continue };
            match record["span"].as_str() {
                // The export itself is begun and not ended when it is written.
                Some("intent") if record["kind"] == "call" => {
                    assert!(ledger.intents.insert(event, run.unwrap()).is_none(), "two intents of one call: {record}");
                }
                Some("outcome" | "single") => {
                    let run = run.or_else(|| ledger.intents.get(&event).cloned());
                    let status = text("status").unwrap();
                    ledger.indeterminate += usize::from(status == "indeterminate");
                    ledger.ends.entry(run.unwrap_or_default()).or_default().push((event, status));
                }
                _ => {}
            }
        }
        ledger
    }
}
