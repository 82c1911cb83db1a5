//! Who and what takes part: names, files and configuration of the demonstration.

use std::fs;
use std::io;
use std::path::Path;

use crate::places::make_directory;

/// The first organisation and its agent.
pub(super) const ACME: &str = "acme";
pub(super) const RESEARCH: (&str, &str) = ("research-01", "research");
/// The second organisation and its agent.
pub(super) const GLOBEX: &str = "globex";
pub(super) const BUILD: (&str, &str) = ("build-01", "build");
/// The secret that holds the ticket server's token.
pub(super) const TOKEN_SECRET: &str = "TICKETS_TOKEN";

/// What the research agent finds in its own directory.
pub(super) const REPORT: &str = "Exports are slow because every row is read twice.";
/// What the other organisation keeps in its directory, and nobody else may read.
pub(super) const PLAN: &str = "The merger is announced on Monday.";
/// The rows of the research agent's database.
pub(super) const NOTES: [&str; 2] = ["ask for the query plan", "measure again on Friday"];

/// Tools that each agent must see, sorted.
pub(super) const RESEARCH_TOOLS: [&str; 6] =
    ["files_list_dir", "files_read_file", "notes_list_tables", "notes_query", "tickets__add_comment", "tickets__lookup_ticket"];
pub(super) const BUILD_TOOLS: [&str; 4] = ["files_delete_file", "files_list_dir", "files_read_file", "files_write_file"];

const RESEARCH_MANIFEST: &str = "\
agent_type: research
description: Reads, looks things up, and comments tickets.
modules:
  files:
    type: filesystem
    mode: read
    config: {base_path: FILES}
  notes:
    type: sqlite
    mode: read
    config: {db_dir: DATABASES}
servers:
  tickets:
    tools: {allow: [lookup_ticket, add_comment]}
";

const BUILD_MANIFEST: &str = "\
agent_type: build
description: Works on files of its own.
modules:
  files:
    type: filesystem
    mode: write
    config: {base_path: FILES}
";

const CONFIGURATION: &str = "\
listen: 127.0.0.1:0
org: acme
state_dir: STATE
root_key_file: ROOT_KEY
manifests: [manifests/research.yml, manifests/build.yml]
servers:
  tickets:
    url: http://127.0.0.1:PORT/mcp
    headers: {Authorization: 'Bearer ${secret:TICKETS_TOKEN}'}
    allow_private: [127.0.0.0/8]
    org: acme
shutdown: {ready_delay_seconds: 0, drain_seconds: 5}
limits: {connections_per_source_max: 10000}
";

/// Writes files, manifests and `bailiwick.yml` into `home`.
///
/// # Errors
/// What the operating system says.
pub(super) fn lay_out(home: &Path, desk_port: u16) -> io::Result<()> {
    // A path as a YAML scalar: JSON strings are valid YAML whatever the path contains.
    let quoted = |path: &Path| serde_json::Value::from(path.to_string_lossy()).to_string();
    let (files, databases) = (home.join("files"), home.join("databases"));
    // The home organisation's agents lie at the root, those of every other one apart.
    let abroad = home.join("files.orgs").join(GLOBEX);
    for (place, agent, name, text) in [(&files, RESEARCH.0, "report.txt", REPORT), (&abroad, BUILD.0, "plan.txt", PLAN)] {
        let directory = place.join("agents").join(agent);
        make_directory(&directory)?;
        fs::write(directory.join(name), text)?;
    }
    make_directory(&databases)?;
    make_directory(&home.join("manifests"))?;
    let fill = |text: &str| text.replace("FILES", &quoted(&files)).replace("DATABASES", &quoted(&databases));
    fs::write(home.join("manifests/research.yml"), fill(RESEARCH_MANIFEST))?;
    fs::write(home.join("manifests/build.yml"), fill(BUILD_MANIFEST))?;
    let places = CONFIGURATION.replace("STATE", &quoted(&home.join("state"))).replace("ROOT_KEY", &quoted(&home.join("root.key")));
    fs::write(home.join("bailiwick.yml"), places.replace("PORT", &desk_port.to_string()))
}
