//! The steps that an agent's client can see. Each checks the real outcome before it says anything.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};

use super::client::{Client, Reply, get};
use super::narrate::Outcome;
use super::scene::{BUILD_TOOLS, NOTES, PLAN, REPORT, RESEARCH_TOOLS};
use super::upstream::{CALLS, DELETED};

/// How long a revoked key may go on working.
const REVOKED_WITHIN: Duration = Duration::from_secs(1);

/// The gateway as its clients see it, and the server behind it.
pub(super) struct Parties {
    pub(super) gateway: SocketAddr,
    pub(super) desk: SocketAddr,
    /// The token that only the gateway and the ticket server know.
    pub(super) desk_token: String,
    pub(super) research: Client,
    pub(super) build: Client,
}

impl Parties {
    /// Tools that one agent sees, over the stateless revision.
    pub(super) async fn research_sees(&mut self) -> Outcome {
        let supported = self.research.discover().await?;
        if !supported.body["result"]["supportedVersions"].is_array() {
            return Err(format!("`server/discover` gave {}", shown(&supported)));
        }
        listed(self.research.tools().await?, &RESEARCH_TOOLS)
    }

    /// Tools that the other one sees, over the `initialize` era.
    pub(super) async fn build_sees(&mut self) -> Outcome {
        listed(self.build.tools().await?, &BUILD_TOOLS)
    }

    /// A read inside the agent's directory.
    pub(super) async fn own_file(&mut self) -> Outcome {
        let reply = self.research.call("files_read_file", json!({"path": "report.txt"})).await?;
        expect(reply.text() == REPORT, &reply)?;
        Ok(format!("\"{REPORT}\""))
    }

    /// A read of another agent's file.
    pub(super) async fn escape(&mut self) -> Outcome {
        let reply = self.research.call("files_read_file", json!({"path": "../../../files.orgs/globex/agents/build-01/plan.txt"})).await?;
        let code = refused(&reply, &["path_refused", "scope_violation"])?;
        expect(!reply.body.to_string().contains(PLAN), &reply)?;
        Ok(format!("refused with `{code}`: \"{}\".", message(&reply)))
    }

    /// A query of the agent's own database.
    pub(super) async fn query(&mut self) -> Outcome {
        let reply = self.research.call("notes_query", json!({"sql": "SELECT text FROM notes ORDER BY id"})).await?;
        let rows = &reply.body["result"]["structuredContent"]["result"];
        expect(*rows == json!([{"text": NOTES[0]}, {"text": NOTES[1]}]), &reply)?;
        Ok(format!("{} rows, the first \"{}\".", NOTES.len(), NOTES[0]))
    }

    /// A statement that writes, through a tool that reads.
    pub(super) async fn refused_write(&mut self) -> Outcome {
        let reply = self.research.call("notes_query", json!({"sql": "DELETE FROM notes"})).await?;
        let code = refused(&reply, &["sql_refused", "scope_violation"])?;
        let said = format!("refused with `{code}` by the database engine itself, not by reading the text;");
        let left = self.research.call("notes_query", json!({"sql": "SELECT count(*) AS n FROM notes"})).await?;
        expect(left.body["result"]["structuredContent"]["result"][0]["n"] == NOTES.len(), &left)?;
        Ok(format!("{said} the rows are still there."))
    }

    /// A call that needs a credential which the agent does not have.
    pub(super) async fn credential(&mut self) -> Outcome {
        let before = self.desk_count(CALLS).await?;
        let reply = self.research.call("tickets__lookup_ticket", json!({"id": "T-1"})).await?;
        expect(reply.text().starts_with("T-1: "), &reply)?;
        let after = self.desk_count(CALLS).await?;
        if after != before + 1 {
            return Err(format!("the ticket server counts {before} calls with its token before and {after} after"));
        }
        if reply.body.to_string().contains(&self.desk_token) {
            return Err("the token stands in the agent's answer".to_owned());
        }
        Ok(format!("\"{}\" The server confirms that the call carried its token; the agent's answer does not contain it.", reply.text()))
    }

    /// A tool that exists at the server but not for this agent.
    pub(super) async fn hidden_tool(&mut self) -> Outcome {
        let hidden = self.research.call("tickets__delete_ticket", json!({"id": "T-1"})).await?;
        let absent = self.research.call("tickets__no_such_tool", json!({"id": "T-1"})).await?;
        self.same_refusal(&hidden, "delete_ticket", &absent).await
    }

    /// A tool of a server that belongs to the other organisation.
    pub(super) async fn foreign_tool(&mut self) -> Outcome {
        let foreign = self.build.call("tickets__lookup_ticket", json!({"id": "T-1"})).await?;
        let absent = self.build.call("tickets__no_such_tool", json!({"id": "T-1"})).await?;
        self.same_refusal(&foreign, "lookup_ticket", &absent).await
    }

    /// A request without any key.
    pub(super) async fn stranger(&self) -> Outcome {
        let reply = Client::modern(self.gateway, "no-such-key").call("files_read_file", json!({"path": "report.txt"})).await?;
        expect(reply.status == StatusCode::UNAUTHORIZED, &reply)?;
        Ok("turned away with HTTP 401 before the request is even read as MCP.".to_owned())
    }

    /// Waits until the other agent's key, revoked at `revoked`, stops working.
    pub(super) async fn key_is_dead(&mut self, revoked: Instant) -> Outcome {
        loop {
            let reply = self.build.call("files_list_dir", json!({})).await?;
            let after = revoked.elapsed();
            if reply.status == StatusCode::UNAUTHORIZED && after <= REVOKED_WITHIN {
                return Ok(format!("dead after {} ms, session or not.", after.as_millis()));
            }
            if after > REVOKED_WITHIN {
                return Err(format!("{} ms later the answer is HTTP {}", after.as_millis(), reply.status));
            }
            // Not a wait for an event of ours: what is measured is how soon the gateway notices.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn same_refusal(&self, hidden: &Reply, name: &str, absent: &Reply) -> Outcome {
        let (Some((number, said)), Some((other, text))) = (hidden.fault(), absent.fault()) else {
            return Err(format!("`{name}` gave {}", shown(hidden)));
        };
        // An answer may repeat the name that was asked for, nothing else may differ.
        if (number, said.replace(name, "")) != (other, text.replace("no_such_tool", "")) {
            return Err(format!("`{name}` gave {number} {said}, a name that does not exist gave {other} {text}"));
        }
        let deleted = self.desk_count(DELETED).await?;
        if deleted != 0 {
            return Err(format!("the ticket server says that {deleted} tickets were deleted"));
        }
        Ok(format!("answered {number}, word for word like a tool that does not exist."))
    }

    async fn desk_count(&self, name: &str) -> Result<u64, String> {
        let health = get(self.desk, "/health").await?;
        health[name].as_u64().ok_or_else(|| format!("the ticket server's `/health` gives no `{name}`"))
    }
}

fn listed(mut found: Vec<String>, expected: &[&str]) -> Outcome {
    found.sort();
    if found != expected { Err(format!("it sees {}", found.join(", "))) } else { Ok(format!("{}: {}.", found.len(), found.join(", "))) }
}

fn expect(held: bool, reply: &Reply) -> Result<(), String> {
    if held { Ok(()) } else { Err(shown(reply)) }
}

fn refused<'a>(reply: &'a Reply, codes: &[&str]) -> Result<&'a str, String> {
    reply.refusal().filter(|code| codes.contains(code)).ok_or_else(|| shown(reply))
}

fn message(reply: &Reply) -> String {
    let text = reply.body["result"]["structuredContent"]["message"].as_str();
    text.map_or_else(|| reply.text(), str::to_owned).trim_end_matches('.').to_owned()
}

/// An answer for a message about a failed step; long ones are cut.
fn shown(reply: &Reply) -> String {
    const CHARACTERS_MAX: usize = 400;
    let body = if reply.body == Value::Null { String::new() } else { reply.body.to_string() };
    format!("HTTP {} {}", reply.status.as_u16(), body.chars().take(CHARACTERS_MAX).collect::<String>())
}
