//! `bailiwick demo`: one command that shows what the program does, on real input, on this machine only.

mod client;
mod desk;
mod narrate;
mod proof;
mod scene;
mod stage;
mod steps;
pub(crate) mod upstream;

use crate::cli::Context;
use crate::exit::{Exit, Failure};
use crate::signals::Signals;
use narrate::Narrator;
use stage::Stage;
use steps::Parties;

const OPENING: &str = "\
Bailiwick stands between AI agents and the tools they use. An agent sees only the tools that it was given, reaches only
the files and rows that are its own, uses credentials without ever holding them, and everything it did is on a ledger
that can be proven unaltered. What follows is real: a gateway, two agents and a ticket server that demands a token run
on this machine only, in a temporary directory.
";

/// Shows everything; then serves on, or ends with `once`.
///
/// # Errors
/// [`Exit::Failed`] when a step did not go as shown.
pub(crate) async fn run(context: &Context, once: bool) -> Result<(), Failure> {
    let mut signals = Signals::catch()?;
    let mut narrator = Narrator::default();
    narrator.say(OPENING)?;
    let (stage, parties) = Stage::set_up(context).await?;
    let shown = tokio::select! {
        shown = show(&mut narrator, &stage, parties) => shown,
        _ = signals.next() => Err(Failure::new(Exit::Interrupted, "interrupted")),
    };
    let (verdict, held) = narrator.verdict();
    if shown.is_ok() && !once {
        narrator.say(&format!("\n{verdict}\n\n{}", attach(&stage)))?;
        signals.next().await;
    } else if shown.is_ok() {
        narrator.say(&format!("\n{verdict}"))?;
    }
    stage.tear_down().await;
    shown?;
    if held { Ok(()) } else { Err(Failure::new(Exit::Failed, verdict)) }
}

async fn show(narrator: &mut Narrator, stage: &Stage, mut parties: Parties) -> Result<(), Failure> {
    let p = &mut parties;
    narrator.say("  research-01, of the organisation acme    reads files and a database, looks up and comments tickets")?;
    narrator.say("  build-01, of the organisation globex     reads and writes files of its own\n")?;
    narrator.step("Both ask for their tools. research-01 (speaking MCP 2026-07-28) sees", p.research_sees().await)?;
    narrator.step("build-01 (speaking the older MCP 2025-11-25 at the same address) sees", p.build_sees().await)?;
    narrator.step("research-01 reads `report.txt` in its own directory:", p.own_file().await)?;
    narrator.step("It asks for `../build-01/plan.txt`, a file of the other organisation:", p.escape().await)?;
    narrator.step("It queries its own database:", p.query().await)?;
    narrator.step("It may only read there, but tries `DELETE FROM notes`:", p.refused_write().await)?;
    narrator.step("It looks up a ticket. Only the gateway knows that server's token:", p.credential().await)?;
    narrator.step("The server also has `delete_ticket`, which the agent was not given. Calling it is", p.hidden_tool().await)?;
    narrator.step("build-01 tries the ticket server, which belongs to acme:", p.foreign_tool().await)?;
    narrator.step("Somebody without a valid key tries to call a tool:", p.stranger().await)?;
    let killed = match stage.revoke_build_key().await {
        Ok(revoked) => p.key_is_dead(revoked).await,
        Err(fault) => Err(fault),
    };
    narrator.step("The kill switch: an operator revokes the key of build-01, and it is", killed)?;
    stage.flush_ledger().await;
    narrator.step("Every call and every refusal above is on the ledger, which is verified:", proof::intact(&stage.ledger_dir))?;
    let copy = stage.home().join("altered-copy");
    narrator.step("One flipped bit in a copy of it is found:", proof::altered(&stage.ledger_dir, &copy))
}

/// How to attach a client of one's own (reference, ecosystem section 1.1).
fn attach(stage: &Stage) -> String {
    let (url, key) = (format!("http://{}/mcp", stage.gateway), &stage.research_token);
    format!(
        "The gateway goes on serving at {url} until you press Ctrl-C. Attach your own client as research-01:\n\
         \n\
         Claude Code   claude mcp add --transport http --scope user bailiwick {url} --header \"Authorization: Bearer {key}\"\n\
         Codex         export BAILIWICK_KEY={key}\n\
         \x20             codex mcp add bailiwick --url {url} --bearer-token-env-var BAILIWICK_KEY\n\
         Gemini CLI    gemini mcp add -s user -t http bailiwick {url} -H \"Authorization: Bearer {key}\"\n\
         others        {{\"mcpServers\":{{\"bailiwick\":{{\"type\":\"http\",\"url\":\"{url}\",\"headers\":{{\"Authorization\":\"Bearer {key}\"}}}}}}}}\n"
    )
}
