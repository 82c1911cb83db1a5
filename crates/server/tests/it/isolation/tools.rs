//! Arguments of every tool that the attackers see, and of hostile calls of them.

use serde_json::{Value, json};

use super::attack::Attack;
use super::dice::Dice;
use super::pool::{HOSTILE, Kind};

/// Paths out of one's own directory, which is `files/agents/AGENT`; the other's is `files.orgs/bellum/agents/AGENT`.
const PATHS: [&str; 10] = [
    "../../../files.orgs/bellum/agents/worker/notes.txt",
    "../../files.orgs/bellum/agents/worker/notes.txt",
    "x/../../../../files.orgs/bellum/agents/desk/notes.txt",
    "/files.orgs/bellum/agents/worker/notes.txt",
    "..%2f..%2f..%2ffiles.orgs%2fbellum%2fagents%2fworker%2fnotes.txt",
    "../../../files.orgs/bellum/agents/worker",
    "treaty.txt",
    "../../../files.orgs/bellum",
    "..",
    "../../../tables.orgs/bellum/agent_worker.db",
];
/// Ways out of one's own database, which is `tables/agent_AGENT.db`.
const STATEMENTS: [&str; 7] = [
    "ATTACH DATABASE '../tables.orgs/bellum/agent_worker.db' AS other",
    "ATTACH DATABASE 'tables.orgs/bellum/agent_worker.db' AS other",
    "SELECT * FROM other.notes",
    "SELECT * FROM pragma_database_list",
    "VACUUM INTO '../tables.orgs/bellum/agent_worker.db'",
    "SELECT readfile('files.orgs/bellum/agents/worker/notes.txt')",
    "INSERT INTO notes (text) SELECT text FROM other.notes",
];

/// Tools that an honest call gets nothing from: one fails always, one asks for what a modern client alone can say.
pub(crate) fn is_barren(tool: &str) -> bool {
    tool.ends_with("__fail")
}

/// Whether there are calls of the tool that must be refused: an echo takes anything.
pub(crate) fn can_be_refused(tool: &str) -> bool {
    !tool.contains("__")
}

/// What an honest client sends. A tool that is not known here gets what every server of the test understands.
pub(crate) fn arguments(attack: &Attack, dice: &mut Dice, tool: &str) -> Value {
    let path = format!("{}.txt", dice.fresh());
    match tool {
        "readme_agent" | "tables_list_tables" => json!({}),
        "list_instructions" => json!({"kind": dice.one(&["rule", "skill"])}),
        "get_instruction" if dice.percent(50) => json!({"kind": "rule", "slug": "tone"}),
        "get_instruction" => json!({"kind": "rule", "slug": "tone", "version": 1 + dice.below(3)}),
        "set_instruction" => json!({"kind": "rule", "slug": dice.one(&["tone", "habits"]), "body": dice.fresh(), "title": dice.fresh()}),
        "run_start" => json!({"label": dice.fresh(), "doctrine": "tone"}),
        "run_finish" => json!({"run_id": attack.pool.own(dice, Kind::Run), "outcome": "done", "note": dice.fresh()}),
        "feedback" => json!({"signal": "gap", "kind": "other", "target": dice.fresh(), "text": dice.fresh()}),
        "list_feedback" => json!({"limit": 1 + dice.below(50)}),
        "files_write_file" | "files_append_file" => json!({"path": path, "content": dice.fresh()}),
        "files_delete_file" => json!({"path": path}),
        "files_move_file" => json!({"from": path, "to": format!("{}.txt", dice.fresh())}),
        "files_make_dir" | "files_delete_dir" => json!({"path": dice.fresh()}),
        "files_read_range" => json!({"path": "notes.txt", "offset": 0, "length": 20}),
        "files_search" => json!({"path": "", "name": "notes*"}),
        "files_list_dir" => json!({}),
        "tables_query" => json!({"sql": "SELECT * FROM notes LIMIT 20"}),
        "tables_execute" => json!({"sql": "INSERT INTO notes (text) VALUES (?1)", "params": [dice.fresh()]}),
        "tables_create_table" => json!({"name": dice.fresh().replace('-', "_"), "columns": {"text": "TEXT"}}),
        tool if tool.starts_with("files_") => json!({"path": "notes.txt"}),
        _ => json!({"payload": dice.fresh(), "ms": 1, "bytes": 20}),
    }
}

/// What has to be there before such a call can succeed.
pub(crate) fn before(tool: &str, arguments: &Value) -> Vec<(&'static str, Value)> {
    let file = |path: &Value| ("files_write_file", json!({"path": path, "content": "x"}));
    let notes = || file(&json!("notes.txt"));
    let table = || ("tables_create_table", json!({"name": "notes", "columns": {"text": "TEXT"}}));
    match tool {
        "files_delete_file" => vec![file(&arguments["path"])],
        "files_move_file" => vec![file(&arguments["from"])],
        "files_delete_dir" => vec![("files_make_dir", arguments.clone())],
        "files_read_file" | "files_read_range" | "files_stat" | "files_search" => vec![notes()],
        "tables_query" | "tables_execute" => vec![table()],
        _ => Vec::new(),
    }
}

fn theirs(attack: &Attack, dice: &mut Dice, kind: Kind) -> String {
    attack.pool.theirs(dice, kind).filter(|_| dice.percent(60)).unwrap_or_else(|| attack.pool.any(dice, kind))
}

/// The same with something of the other organisation in it.
pub(crate) fn twisted(attack: &Attack, dice: &mut Dice, tool: &str, mut arguments: Value, single: bool) -> Value {
    let members = arguments.as_object_mut().unwrap();
    let names: Vec<String> = members.keys().cloned().collect();
    // Best what names something.
    let naming = names.iter().find(|name| matches!(name.as_str(), "slug" | "run_id" | "sql" | "path")).filter(|_| dice.percent(60));
    if let Some(name) = naming.cloned().or_else(|| dice.text(&names)) {
        let value = match name.as_str() {
            "path" | "from" | "to" => json!(dice.one(&PATHS)),
            "sql" => json!(dice.one(&STATEMENTS)),
            "run_id" => json!(theirs(attack, dice, Kind::Run)),
            // Whoever wrote one of the name that only they have would hide theirs behind it.
            "slug" if tool == "set_instruction" => json!(dice.one(&HOSTILE)),
            "slug" | "doctrine" => json!(theirs(attack, dice, Kind::Slug)),
            "version" | "limit" => json!(dice.below(600)),
            _ => json!(dice.one(&HOSTILE)),
        };
        members.insert(name, value);
    }
    if single {
        return arguments;
    }
    if dice.percent(20) {
        members.insert("_run_id".into(), json!(attack.pool.any(dice, Kind::Run)));
    }
    if dice.percent(15) {
        members.insert("group".into(), json!(attack.pool.any(dice, Kind::Group)));
    }
    if dice.percent(15) {
        members.insert(dice.one(&["org", "_org", "tenant_id", "scope"]).into(), json!("bellum"));
    }
    arguments
}
