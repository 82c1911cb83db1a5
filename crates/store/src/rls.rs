//! The start-up check of PostgreSQL's row security (security reference section 13): every table with a column `tenant_id` is protected
//! by exactly the policy we wrote, and our role cannot bypass it. SQLite has no second lock; there the scope is the only one.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, Row};

use crate::error::{StoreError, StoreErrorKind, StoreResult};

/// The text PostgreSQL gives back for our policy.
const TENANT_RULE: &str = "(tenant_id = current_setting('app.tenant'::text, true))";
const PLATFORM_READ_RULE: &str = "(current_setting('app.platform'::text, true) = 'keys'::text)";
/// Tables that the key look-up may read across organisations.
const PLATFORM_READ_TABLES: &[&str] = &["agents", "api_keys", "memberships"];

const ROLE: &str =
    "SELECT CASE WHEN rolsuper OR rolbypassrls THEN 1 ELSE 0 END AS bypasses FROM pg_catalog.pg_roles WHERE rolname = current_user";

const TABLES: &str = "
    SELECT c.relname::text AS name, CASE WHEN c.relrowsecurity AND c.relforcerowsecurity THEN 1 ELSE 0 END AS forced
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')";

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
        if policy.name == "tenant" {
            ruled.push(policy.table);
        }
    }
    unprotected.retain(|table, forced| !*forced || !ruled.contains(table));
    match unprotected.keys().next() {
        None => Ok(()),
        Some(table) => Err(unprotected_error(format!("row security of table {table} is off, not forced or without its policy"))),
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
            qual: row.try_get("qual")?,
            with_check: row.try_get("with_check")?,
        })
    }

    /// Policies are joined with OR, so one foreign permissive policy would open the table.
    fn expected(&self) -> bool {
        match self.name.as_str() {
            "tenant" => self.permissive == "PERMISSIVE" && self.cmd == "ALL" && self.qual == TENANT_RULE && self.with_check == TENANT_RULE,
            "platform_read" => {
                self.cmd == "SELECT" && self.qual == PLATFORM_READ_RULE && PLATFORM_READ_TABLES.contains(&self.table.as_str())
            }
            _ => false,
        }
    }
}
