//! The start-up check of PostgreSQL's row security (security reference section 13): every table with a column `tenant_id` is protected
//! by exactly the policies we wrote, and our role cannot bypass them. So are the tables of registered servers, which organisations share. SQLite has no second lock; there the scope is the only one.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, Row};

use crate::error::{StoreError, StoreErrorKind, StoreResult};

/// The text PostgreSQL gives back for our policy.
const TENANT_RULE: &str = "(tenant_id = current_setting('app.tenant'::text, true))";
const PLATFORM_READ_RULE: &str = "(current_setting('app.platform'::text, true) = 'keys'::text)";
/// Tables that the key look-up may read across organisations.
const PLATFORM_READ_TABLES: &[&str] = &["agents", "api_keys", "memberships"];

const SERVERS_RULE: &str = "(current_setting('app.platform'::text, true) = 'servers'::text)";
/// Tables in which work on a server looks up what organisations have there.
const SERVERS_READ_TABLES: &[&str] = &[
    "connections",
    "mcp_server_orgs",
    "mcp_server_tools",
    "oauth_flows",
    "server_org_contexts",
    "server_org_credentials",
    "token_revocations",
];
/// Tables without the column `tenant_id` that are protected all the same, and the policies that each must have.
const SHARED_TABLES: &[(&str, &[&str])] =
    &[("mcp_servers", &["owner", "platform_write", "visible"]), ("server_clients", &["platform_write", "visible"])];
const SERVER_VISIBLE_RULE: &str = "(((is_global = 1) AND (current_setting('app.tenant'::text, true) <> ''::text)) OR \
    (EXISTS ( SELECT 1 FROM mcp_server_orgs o WHERE ((o.server_id = mcp_servers.server_id) AND \
    (o.tenant_id = current_setting('app.tenant'::text, true))))))";
const SERVER_OWNER_RULE: &str = "(owner_org = current_setting('app.tenant'::text, true))";
const CLIENT_VISIBLE_RULE: &str = "(EXISTS ( SELECT 1 FROM mcp_servers s WHERE (s.server_id = server_clients.server_id)))";
const GRANTED_RULE: &str = "((current_setting('app.platform'::text, true) = 'servers'::text) OR (EXISTS ( SELECT 1 FROM mcp_servers s \
    WHERE ((s.server_id = mcp_server_orgs.server_id) AND (s.owner_org = current_setting('app.tenant'::text, true))))))";

const ROLE: &str =
    "SELECT CASE WHEN rolsuper OR rolbypassrls THEN 1 ELSE 0 END AS bypasses FROM pg_catalog.pg_roles WHERE rolname = current_user";

const TABLES: &str = "
    SELECT c.relname::text AS name, CASE WHEN c.relrowsecurity AND c.relforcerowsecurity THEN 1 ELSE 0 END AS forced
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')
    AND (a.attname IS NOT NULL OR c.relname IN ('mcp_servers', 'server_clients'))";

const POLICIES: &str = "
    SELECT tablename::text AS name, policyname::text AS policy, permissive::text AS permissive, cmd::text AS cmd,
           coalesce(qual, '')::text AS qual, coalesce(with_check, '')::text AS with_check
    FROM pg_catalog.pg_policies WHERE schemaname = current_schema()";

/// Refuses when a tenant table is unprotected or the role bypasses row security and that was not allowed.
pub(crate) async fn check(connection: &mut AnyConnection, superuser_allowed: bool) -> StoreResult<()> {
    check_role(connection, superuser_allowed).await?;
    let mut unprotected: BTreeMap<String, bool> = BTreeMap::new();
    for row in sqlx::query(TABLES).fetch_all(&mut *connection).await? {
        unprotected.insert(row.try_get("name")?, row.try_get::<i32, _>("forced")? == 1);
    }
    let mut ruled = Vec::new();
    for row in sqlx::query(POLICIES).fetch_all(&mut *connection).await? {
        let policy = Policy::read(&row)?;
        if !policy.expected() {
            let message = format!("table {} has the policy {}, which this binary did not write", policy.table, policy.name);
            return Err(unprotected_error(message));
        }
        ruled.push((policy.table, policy.name));
    }
    let has = |table: &str, name: &str| ruled.iter().any(|(known, policy)| known == table && policy == name);
    unprotected.retain(|table, forced| !*forced || !required(table).iter().all(|name| has(table, name)));
    match unprotected.keys().next() {
        None => Ok(()),
        Some(table) => Err(unprotected_error(format!("row security of table {table} is off, not forced or without its policy"))),
    }
}

/// The policies that a table must have. Those that only narrow another one are among them.
fn required(table: &str) -> &'static [&'static str] {
    let shared = SHARED_TABLES.iter().find(|(name, _)| *name == table);
    match (shared, table) {
        (Some((_, policies)), _) => policies,
        (None, "mcp_server_orgs") => &["tenant", "granted", "unchanged"],
        _ => &["tenant"],
    }
}

async fn check_role(connection: &mut AnyConnection, superuser_allowed: bool) -> StoreResult<()> {
    let bypasses: i32 = sqlx::query(ROLE).fetch_one(&mut *connection).await?.try_get("bypasses")?;
    if bypasses == 0 || superuser_allowed {
        return Ok(());
    }
    Err(StoreError::new(
        StoreErrorKind::Schema,
        "the database role is a superuser or has BYPASSRLS, so row security would not separate organisations",
        "create a plain role that owns the database (CREATE ROLE bailiwick LOGIN NOSUPERUSER NOBYPASSRLS; ALTER DATABASE .. OWNER TO bailiwick), \
         migrate and run with it, or accept one lock less with `database.allow_superuser: true`",
    ))
}

fn unprotected_error(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Schema, message, "restore the policies of the migrations; do not run before")
}

/// PostgreSQL breaks longer rules into lines.
fn one_line(rule: &str) -> String {
    rule.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Policy {
    table: String,
    name: String,
    permissive: String,
    cmd: String,
    qual: String,
    with_check: String,
}

impl Policy {
    fn read(row: &sqlx::any::AnyRow) -> StoreResult<Self> {
        Ok(Self {
            table: row.try_get("name")?,
            name: row.try_get("policy")?,
            permissive: row.try_get("permissive")?,
            cmd: row.try_get("cmd")?,
            qual: one_line(&row.try_get::<String, _>("qual")?),
            with_check: one_line(&row.try_get::<String, _>("with_check")?),
        })
    }

    /// Policies are joined with OR, so one foreign permissive policy would open the table.
    fn expected(&self) -> bool {
        let is = |permissive, cmd, qual, with_check| {
            self.permissive == permissive && self.cmd == cmd && self.qual == qual && self.with_check == with_check
        };
        match (self.name.as_str(), self.table.as_str()) {
            ("tenant", _) => is("PERMISSIVE", "ALL", TENANT_RULE, TENANT_RULE),
            ("platform_read", table) => is("PERMISSIVE", "SELECT", PLATFORM_READ_RULE, "") && PLATFORM_READ_TABLES.contains(&table),
            ("servers_read", table) => is("PERMISSIVE", "SELECT", SERVERS_RULE, "") && SERVERS_READ_TABLES.contains(&table),
            ("platform_write", "mcp_servers" | "server_clients") => is("PERMISSIVE", "ALL", SERVERS_RULE, SERVERS_RULE),
            ("visible", "mcp_servers") => is("PERMISSIVE", "SELECT", SERVER_VISIBLE_RULE, ""),
            ("visible", "server_clients") => is("PERMISSIVE", "SELECT", CLIENT_VISIBLE_RULE, ""),
            ("owner", "mcp_servers") => is("PERMISSIVE", "ALL", SERVER_OWNER_RULE, SERVER_OWNER_RULE),
            ("granted", "mcp_server_orgs") => is("RESTRICTIVE", "INSERT", "", GRANTED_RULE),
            ("unchanged", "mcp_server_orgs") => is("RESTRICTIVE", "UPDATE", "false", ""),
            _ => false,
        }
    }
}
