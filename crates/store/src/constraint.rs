//! Names of constraints turned into sentences, in one place. PostgreSQL names the constraint; SQLite lists the columns of a
//! unique key (`UNIQUE constraint failed: agents.tenant_id, agents.agent_id`) and says nothing more of a foreign key.

use crate::error::{StoreError, StoreErrorKind};

struct Rule {
    postgres: &'static str,
    sqlite: &'static str,
    message: &'static str,
    remedy: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        postgres: "organisations_pkey",
        sqlite: "organisations.org_id",
        message: "the organisation exists already",
        remedy: "choose another name, or use the existing one",
    },
    Rule {
        postgres: "agents_pkey",
        sqlite: "agents.tenant_id, agents.agent_id",
        message: "the agent exists already in this organisation",
        remedy: "choose another agent id, or use the existing agent",
    },
    Rule {
        postgres: "agents_tenant_id_fkey",
        sqlite: "",
        message: "the organisation does not exist",
        remedy: "create it with `bailiwick org create`",
    },
    Rule {
        postgres: "api_keys_tenant_id_agent_id_fkey",
        sqlite: "",
        message: "the agent does not exist in this organisation, or still has keys",
        remedy: "create the agent first; revoke instead of deleting",
    },
    Rule {
        postgres: "memberships_pkey",
        sqlite: "memberships.tenant_id, memberships.sub",
        message: "he is a member of this organisation already",
        remedy: "change his role instead",
    },
    Rule {
        postgres: "memberships_tenant_id_fkey",
        sqlite: "",
        message: "the organisation does not exist",
        remedy: "create it with `bailiwick org create`",
    },
    Rule {
        postgres: "platform_admins_org_exists",
        sqlite: "",
        message: "the organisation does not exist",
        remedy: "create it with `bailiwick org create`",
    },
    Rule {
        postgres: "groups_pkey",
        sqlite: "groups.tenant_id, groups.group_id",
        message: "the group exists already in this organisation",
        remedy: "choose another id, or use the existing group",
    },
    Rule {
        postgres: "groups_name_once",
        sqlite: "groups.tenant_id, groups.name",
        message: "another group of this organisation has this name",
        remedy: "choose another name",
    },
    Rule {
        postgres: "group_members_tenant_id_sub_fkey",
        sqlite: "",
        message: "he is no member of this organisation",
        remedy: "add him with `bailiwick user add` first",
    },
    Rule {
        postgres: "secrets_tenant_id_fkey",
        sqlite: "",
        message: "the organisation does not exist",
        remedy: "create it with `bailiwick org create`",
    },
    Rule {
        postgres: "server_probes_tenant_id_fkey",
        sqlite: "",
        message: "the organisation does not exist",
        remedy: "create it with `bailiwick org create`",
    },
    Rule {
        postgres: "tenant_keys_tenant_id_fkey",
        sqlite: "",
        message: "the organisation does not exist",
        remedy: "create it with `bailiwick org create`",
    },
    Rule {
        postgres: "content_docs_tenant_id_fkey",
        sqlite: "",
        message: "the organisation does not exist",
        remedy: "create it with `bailiwick org create`",
    },
    Rule {
        postgres: "mcp_servers_owner_org_fkey",
        sqlite: "",
        message: "the organisation does not exist",
        remedy: "create it with `bailiwick org create`",
    },
    Rule {
        postgres: "org_settings_tenant_id_fkey",
        sqlite: "",
        message: "the organisation does not exist",
        remedy: "create it with `bailiwick org create`",
    },
    Rule {
        postgres: "oauth_flows_by_state",
        sqlite: "oauth_flows.tenant_id, oauth_flows.state_digest",
        message: "an authorization with this state is waited for already",
        remedy: "begin again with another state",
    },
    Rule {
        postgres: "oauth_flows_pkey",
        sqlite: "oauth_flows.state_digest",
        message: "an authorization with this state is waited for already",
        remedy: "begin again with another state",
    },
    Rule {
        postgres: "runs_tenant_id_fkey",
        sqlite: "",
        message: "the organisation does not exist",
        remedy: "create it with `bailiwick org create`",
    },
    Rule {
        postgres: "tool_feedback_tenant_id_fkey",
        sqlite: "",
        message: "the organisation does not exist",
        remedy: "create it with `bailiwick org create`",
    },
];

/// The sentence for a broken rule; `None` when the fault is not a broken rule that we know.
pub(crate) fn user_error(postgres_name: Option<&str>, sqlite_text: &str) -> Option<StoreError> {
    let sqlite_columns = sqlite_text.strip_prefix("UNIQUE constraint failed: ");
    let rule =
        RULES.iter().find(|rule| postgres_name == Some(rule.postgres) || (!rule.sqlite.is_empty() && sqlite_columns == Some(rule.sqlite)));
    if let Some(rule) = rule {
        return Some(StoreError::new(StoreErrorKind::Conflict, rule.message, rule.remedy));
    }
    sqlite_text.starts_with("FOREIGN KEY constraint failed").then(|| {
        StoreError::new(
            StoreErrorKind::Conflict,
            "the organisation or agent that the row names does not exist, or is still in use",
            "create it first, or remove what uses it",
        )
    })
}
