//! Commands about organisations, agents, keys and secrets.

use std::path::PathBuf;

use bailiwick_model::{AgentId, AgentType, GroupId, OrgId, Role, Subject};
use clap::{Args, Subcommand};

use super::super::when::{Lifetime, lifetime, overlap};
use super::Confirm;

#[derive(Debug, Subcommand)]
pub(crate) enum OrgCommand {
    /// Create an organisation
    Create {
        /// Its name
        #[arg(value_parser = OrgId::parse)]
        org: OrgId,
    },
    /// List organisations
    List,
    /// Show one organisation
    Show {
        /// Its name
        #[arg(value_parser = OrgId::parse)]
        org: OrgId,
    },
}

/// Who is to answer for an agent.
#[derive(Clone, Debug, Args)]
#[group(multiple = false)]
pub(crate) struct OwnerArgs {
    /// The member who answers for it
    #[arg(long, value_name = "SUB", value_parser = Subject::parse)]
    pub(crate) user: Option<Subject>,
    /// The group that answers for it
    #[arg(long, value_parser = GroupId::parse)]
    pub(crate) group: Option<GroupId>,
    /// Nobody answers for it
    #[arg(long)]
    pub(crate) nobody: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Create an agent
    Create {
        /// Its id
        #[arg(value_parser = AgentId::parse)]
        agent_id: AgentId,
        /// Its type, which names its manifest
        #[arg(long, value_name = "TYPE", value_parser = AgentType::parse)]
        agent_type: AgentType,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// List agents that were ever created, given a key or started here
    List {
        /// Organisation [default: all]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Show one agent
    Show {
        /// Its id
        #[arg(value_parser = AgentId::parse)]
        agent_id: AgentId,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Say who answers for an agent, and what it may do by itself
    Assign {
        /// Its id
        #[arg(value_parser = AgentId::parse)]
        agent_id: AgentId,
        #[command(flatten)]
        owner: OwnerArgs,
        /// What it may do by itself: member, group_admin, org_admin [default: as it is]
        #[arg(long, value_parser = Role::parse)]
        role: Option<Role>,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Refuse its keys and launches, within a second
    Disable {
        /// Its id
        #[arg(value_parser = AgentId::parse)]
        agent_id: AgentId,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Admit them again
    Enable {
        /// Its id
        #[arg(value_parser = AgentId::parse)]
        agent_id: AgentId,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Create a key for one agent; it is shown this once
    Create {
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
        /// The agent that the key speaks for
        #[arg(long, value_parser = AgentId::parse)]
        agent_id: AgentId,
        /// Its type, which names its manifest; an agent that does not exist is created with it
        #[arg(long, value_parser = AgentType::parse)]
        agent_type: Option<AgentType>,
        /// The member whom the key identifies as well: whoever presents it is that member, acting through the agent
        #[arg(long, value_name = "SUB", value_parser = Subject::parse)]
        user: Option<Subject>,
        /// Lifetime such as `90d`, `12h`, `30m`, or `never`
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = lifetime)]
        expires: Lifetime,
        /// What the key is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
    },
    /// List keys without their secret part
    List {
        /// Organisation [default: all]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Revoke a key: it stops working within a second, everywhere
    Revoke {
        /// Key id as shown by `key list`
        #[arg(value_name = "KEY_ID")]
        id: String,
        /// Organisation [default: whichever has the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Replace a key by another for the same agent and member; the old one works for a while yet
    Rotate {
        /// Key id as shown by `key list`
        #[arg(value_name = "KEY_ID")]
        id: String,
        /// How long the old key works beside the new one, such as `1h`, `7d`, or `0`
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = overlap)]
        overlap: std::time::Duration,
        /// Lifetime of the new key such as `90d`, or `never`
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = lifetime)]
        expires: Lifetime,
        /// Organisation [default: whichever has the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Seal a value read from stdin or from a file; a value never stands on the command line
    Set {
        /// Name that configuration refers to as ${secret:NAME}
        name: String,
        /// Organisation [default: `org` of the configuration]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
        /// File that holds the value [default: stdin]; one trailing newline is not part of it
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
    },
    /// List names, never values
    List {
        /// Organisation [default: `org` of the configuration]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Remove a sealed value
    Rm {
        /// Name of the value
        name: String,
        /// Organisation [default: `org` of the configuration]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
        #[command(flatten)]
        confirm: Confirm,
    },
}
