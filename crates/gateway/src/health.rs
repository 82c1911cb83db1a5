//! Health: what was last observed, never what is configured.

use bailiwick_mcp::client::UpstreamState;

use bailiwick_model::config::AuditMode;

use crate::gateway::Gateway;
use crate::report::Report;

/// The state of one part.
#[derive(Clone, Debug)]
pub struct Part {
    /// `database`, `ledger`, `keys`, `vault` where one is used, `server:NAME`, or `arguments:TYPE/ID` for rules that cannot be applied.
    pub name: String,
    /// Whether it does its work.
    pub ok: bool,
    /// One line for operators.
    pub detail: String,
}

/// The state of the gateway.
#[derive(Clone, Debug)]
pub struct Health {
    /// Whether calls can be served: database, ledger and keys work and nothing is stopping. A dead server or vault does not count.
    pub ready: bool,
    /// Every part.
    pub parts: Vec<Part>,
    /// Agents whose bailiwick is open.
    pub agents: usize,
    /// Modules of their manifests.
    pub modules: usize,
    /// Those that do not work although they have to.
    pub modules_failing: usize,
    /// Optional ones that do not work.
    pub modules_offline: usize,
    /// Tools offered by all servers together.
    pub server_tools: usize,
    /// Ends of calls that wait in memory for the ledger.
    pub unrecorded: usize,
    /// Calls go on without their records (`audit.mode: best-effort`).
    pub unproven: bool,
}

impl Gateway {
    /// Looks at every part. Bounded by the store's own time limits.
    pub async fn health(&self) -> Health {
        let mut parts = vec![self.database().await, self.ledger_part(), self.keys()];
        let ready = !self.is_stopping() && parts.iter().all(|part| part.ok);
        if self.is_stopping() {
            parts.push(Part { name: "gateway".into(), ok: false, detail: "stopping".into() });
        }
        parts.extend(self.agents().sources().health());
        parts.extend(self.servers().iter().map(|server| server_part(server)));
        let unbound = |(agent, detail)| Part { name: format!("arguments:{agent}"), ok: false, detail };
        parts.extend(self.agents().unbound().into_iter().map(unbound));
        let server_tools = self.servers().iter().map(|server| server.offer().tools.len()).sum();
        let reports = self.module_reports();
        let unproven = self.audit_mode() == AuditMode::BestEffort;
        Health {
            ready,
            parts,
            agents: reports.len(),
            modules: reports.iter().map(|report| report.0.len()).sum(),
            modules_failing: reports.iter().map(Report::failed).sum(),
            modules_offline: reports.iter().map(Report::offline).sum(),
            server_tools,
            unrecorded: self.spool().len(),
            unproven,
        }
    }

    async fn database(&self) -> Part {
        let answered = match self.store().platform("health") {
            Ok(scope) => self.store().generations(&scope).await.map(drop),
            Err(error) => Err(error),
        };
        match answered {
            Ok(()) => Part { name: "database".into(), ok: true, detail: "answers".into() },
            Err(error) => Part { name: "database".into(), ok: false, detail: format!("{}; {}", error.message(), error.remedy()) },
        }
    }

    fn ledger_part(&self) -> Part {
        let health = self.ledger().health();
        let detail = health.unavailable.clone().unwrap_or_else(|| format!("records; writer {}, record {}", health.writer, health.written));
        Part { name: "ledger".into(), ok: health.unavailable.is_none(), detail }
    }

    fn keys(&self) -> Part {
        match self.store().sealed() {
            None => Part { name: "keys".into(), ok: true, detail: "open".into() },
            Some(reason) => Part { name: "keys".into(), ok: false, detail: format!("sealed: {reason}; put the root key back and restart") },
        }
    }
}

fn server_part(server: &crate::servers::Server) -> Part {
    let state = server.status().map(|status| status.state);
    let offer = server.offer();
    let ok = offer.failure.is_none() && matches!(state, None | Some(UpstreamState::Ready | UpstreamState::Idle));
    let running = server.places().taken();
    let state = state.map_or_else(|| "Registered".to_owned(), |state| format!("{state:?}"));
    let detail = match &offer.failure {
        Some(failure) => failure.clone(),
        None => format!("{state}; {} tools, {} not admitted, {running} calls running", offer.tools.len(), offer.rejected.len()),
    };
    Part { name: format!("server:{}", server.name()), ok, detail }
}
