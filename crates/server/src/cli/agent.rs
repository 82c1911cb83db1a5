//! `bailiwick agent`: agents, who answers for them, whether they may act.

use bailiwick_model::OrgId;

use super::args::{AgentCommand, Form, OwnerArgs};
use super::context::Context;
use super::desk::{Desk, Work};
use super::output;
use crate::exit::{Exit, Failure};
use crate::http::api::agent::{Agent, AgentChange, AgentPath, ChangeAgent, CreateAgent, ListAgents, NewAgent, Owner, ShowAgent};
use crate::http::api::operation::Nothing;
use crate::http::api::org::OrgPath;

pub(super) async fn run(context: &Context, command: AgentCommand) -> Result<(), Failure> {
    let work = if matches!(command, AgentCommand::List { .. } | AgentCommand::Show { .. }) { Work::Reads } else { Work::Changes };
    let desk = context.desk(work).await?;
    let done = act(context.form, &desk, command).await;
    done.and(desk.close().await)
}

async fn act(form: Form, desk: &Desk, command: AgentCommand) -> Result<(), Failure> {
    match command {
        AgentCommand::Create { agent_id, agent_type, org } => {
            let agent = desk.ask::<CreateAgent>(OrgPath { org: desk.org(org).await? }, NewAgent { agent_id, agent_type }).await?;
            output::done(form, &agent, &format!("Agent `{}` ({}) of `{}` is created.", agent.agent_id, agent.agent_type, agent.org))
        }
        AgentCommand::List { org } => list(form, desk, org).await,
        AgentCommand::Show { agent_id, org } => {
            let path = AgentPath { org: desk.org(org).await?, agent_id };
            output::print_one(form, &desk.ask::<ShowAgent>(path, Nothing {}).await?)
        }
        AgentCommand::Assign { agent_id, owner, role, org } => {
            let change = AgentChange { owner: wanted(owner), role, disabled: None };
            if change.owner.is_none() && change.role.is_none() {
                let failure = Failure::new(Exit::Usage, "nothing to assign");
                return Err(failure.hint("give `--user`, `--group` or `--nobody`, or a `--role`"));
            }
            let agent = desk.ask::<ChangeAgent>(AgentPath { org: desk.org(org).await?, agent_id }, change).await?;
            let text = format!("{} answers for agent `{}`, which is {} of `{}`.", owner_of(&agent), agent.agent_id, agent.role, agent.org);
            output::done(form, &agent, &text)
        }
        AgentCommand::Disable { agent_id, org } => {
            let path = AgentPath { org: desk.org(org).await?, agent_id };
            let agent = desk.ask::<ChangeAgent>(path, AgentChange { disabled: Some(true), ..AgentChange::default() }).await?;
            output::done(form, &agent, &format!("Agent `{}` is disabled; its keys are refused within a second.", agent.agent_id))
        }
        AgentCommand::Enable { agent_id, org } => {
            let path = AgentPath { org: desk.org(org).await?, agent_id };
            let agent = desk.ask::<ChangeAgent>(path, AgentChange { disabled: Some(false), ..AgentChange::default() }).await?;
            output::done(form, &agent, &format!("Agent `{}` may act again.", agent.agent_id))
        }
    }
}

async fn list(form: Form, desk: &Desk, org: Option<OrgId>) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for org in desk.orgs(org).await? {
        rows.extend(desk.all::<ListAgents, _>(OrgPath { org }).await?);
    }
    output::print_rows(form, &rows, ["AGENT", "TYPE", "ORG", "STATE", "ROLE", "OWNER", "CREATED"], |row| {
        let (agent, kind, org, state) = (row.agent_id.to_string(), row.agent_type.to_string(), row.org.to_string(), row.state.as_str());
        [agent, kind, org, state.to_owned(), row.role.to_string(), owner_of(row), row.created_at.clone()]
    })
}

fn owner_of(agent: &Agent) -> String {
    match &agent.owner {
        Some(Owner::Sub(sub)) => sub.to_string(),
        Some(Owner::Group(group)) => format!("group {group}"),
        None => "nobody".to_owned(),
    }
}

/// The outer `None` leaves the owner as it is.
fn wanted(owner: OwnerArgs) -> Option<Option<Owner>> {
    match owner {
        OwnerArgs { user: Some(sub), .. } => Some(Some(Owner::Sub(sub))),
        OwnerArgs { group: Some(group), .. } => Some(Some(Owner::Group(group))),
        OwnerArgs { nobody: true, .. } => Some(None),
        OwnerArgs { .. } => None,
    }
}
