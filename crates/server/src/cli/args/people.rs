//! Commands about people.

use bailiwick_model::{GroupId, OrgId, Role, Subject};
use clap::Subcommand;

use super::Confirm;

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a member
    Add {
        /// Who: the `sub` of the identity provider
        #[arg(value_parser = Subject::parse)]
        sub: Subject,
        /// How the organisation reaches him
        #[arg(long)]
        email: Option<String>,
        /// What he may do: member, group_admin, org_admin
        #[arg(long, default_value = "member", value_parser = Role::parse)]
        role: Role,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// List members
    List {
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Show one member
    Show {
        /// Who
        #[arg(value_parser = Subject::parse)]
        sub: Subject,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Give a member another role
    Role {
        /// Who
        #[arg(value_parser = Subject::parse)]
        sub: Subject,
        /// member, group_admin or org_admin
        #[arg(value_parser = Role::parse)]
        role: Role,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Remove a member: his keys stop working within a second
    Remove {
        /// Who
        #[arg(value_parser = Subject::parse)]
        sub: Subject,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
        #[command(flatten)]
        confirm: Confirm,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Create a group
    Create {
        /// Its id
        #[arg(value_parser = GroupId::parse)]
        group: GroupId,
        /// Its name for people [default: the id]
        #[arg(long)]
        name: Option<String>,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// List groups
    List {
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Delete a group and who was in it
    Delete {
        /// Its id
        #[arg(value_parser = GroupId::parse)]
        group: GroupId,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Put a member of the organisation into a group, or give him another role in it
    Add {
        /// The group
        #[arg(value_parser = GroupId::parse)]
        group: GroupId,
        /// Who
        #[arg(value_parser = Subject::parse)]
        sub: Subject,
        /// What he may do in it: member, group_admin
        #[arg(long, default_value = "member", value_parser = Role::parse)]
        role: Role,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Take a member out of a group
    Remove {
        /// The group
        #[arg(value_parser = GroupId::parse)]
        group: GroupId,
        /// Who
        #[arg(value_parser = Subject::parse)]
        sub: Subject,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// List who is in a group
    Members {
        /// The group
        #[arg(value_parser = GroupId::parse)]
        group: GroupId,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlatformAdminCommand {
    /// Let a member of an organisation act above all of them, with keys that are made from now on
    Add {
        /// Who
        #[arg(value_parser = Subject::parse)]
        sub: Subject,
        /// The organisation as whose member he does [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// List them
    List,
    /// Dismiss one
    Remove {
        /// Who
        #[arg(value_parser = Subject::parse)]
        sub: Subject,
        #[command(flatten)]
        confirm: Confirm,
    },
}
