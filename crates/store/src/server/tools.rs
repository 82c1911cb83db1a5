//! The tools of a server, as it listed them to one organisation, and what that does to the list of allowed ones (reference, governance 5.6).

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_model::registered::{AllowedTools, NewToolsPolicy, is_tool_name};
use bailiwick_model::{OrgId, ServerId, Timestamp};
use data_encoding::HEXLOWER;
use sqlx::Row;

use super::change::store_tools;
use super::{RegisteredServer, Servers, unknown, visible};
use crate::error::{StoreError, StoreResult};
use crate::generation::{Topic, bump, hold};
use crate::scope::Tenant;
use crate::store::Tx;

/// Tools that one listing may have.
pub const TOOLS_LISTED_MAX: usize = 2_000;
/// Bytes that all definitions of a listing may have.
pub const TOOLS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Tools kept of one server for one organisation, absent ones included; beyond that those go that were not seen for longest.
pub const TOOLS_KEPT_MAX: i64 = 4_000;

/// A tool of a listing.
#[derive(Clone, Copy, Debug)]
pub struct ListedTool<'a> {
    /// Its name, as the server has it.
    pub name: &'a str,
    /// Its definition: JSON text, kept byte for byte.
    pub definition: &'a [u8],
}

/// A tool that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTool {
    /// Its name, as the server has it.
    pub name: String,
    /// Its definition as it was last listed.
    pub definition: Vec<u8>,
    /// SHA-256 of the definition, in hexadecimal digits.
    pub digest: String,
    /// Whether the last listing had it.
    pub present: bool,
    /// When it was first listed.
    pub first_seen: Timestamp,
    /// When it was last listed.
    pub last_seen: Timestamp,
}

/// What a listing changed. Names are in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolChanges {
    /// Tools that this organisation never saw before.
    pub added: Vec<String>,
    /// Tools that are listed no longer.
    pub gone: Vec<String>,
    /// Tools that were gone and are listed again.
    pub returned: Vec<String>,
    /// Tools with another definition.
    pub changed: Vec<String>,
    /// Whether the list of allowed tools was filled, because there was none.
    pub filled: bool,
    /// Tools that the list of allowed tools did not name before.
    pub unreviewed: Vec<String>,
}

impl ToolChanges {
    /// Whether the listing was as the one before, and the list of allowed tools stays as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Servers<'_> {
    /// Keeps what a server listed to the organisation. Without a list of allowed tools all of these are allowed; otherwise a tool that the
    /// list does not name is added as the server's policy for new tools says. A tool that is gone stays known and keeps its place on the
    /// list.
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see; `Invalid` for more than [`TOOLS_LISTED_MAX`] tools or
    /// [`TOOLS_BYTES_MAX`], a name that is listed twice or no tool has, or a definition that is not JSON.
    pub async fn record_tools(&self, tenant: &impl Tenant, id: ServerId, tools: &[ListedTool<'_>]) -> StoreResult<ToolChanges> {
        check(tools)?;
        let store = self.0;
        let org = tenant.org();
        let mut tx = store.write_servers(Some(org)).await?;
        hold(&mut tx, Topic::Servers).await?;
        visible::check(&mut tx, org, id).await?;
        let server = visible::find_any(&mut tx, id).await?.ok_or_else(unknown)?;
        let mut changes = ToolChanges::default();
        let now = store.now();
        keep(&mut tx, (org, id), tools, now, &mut changes).await?;
        allow(&mut tx, &server, tools, &mut changes).await?;
        sqlx::query("UPDATE mcp_servers SET last_discovery_at = $2 WHERE server_id = $1")
            .bind(id.to_string())
            .bind(now.as_micros())
            .execute(tx.connection())
            .await?;
        if !changes.is_empty() {
            bump(&mut tx, Topic::Servers).await?;
        }
        tx.commit().await?;
        Ok(changes)
    }

    /// The tools that a server listed to the organisation, by name, absent ones included: at most [`TOOLS_KEPT_MAX`].
    ///
    /// # Errors
    /// `NotFound` for a server that the organisation does not see.
    pub async fn tools(&self, tenant: &impl Tenant, id: ServerId) -> StoreResult<Vec<KnownTool>> {
        let mut tx = self.0.read(tenant).await?;
        visible::check(&mut tx, tenant.org(), id).await?;
        let statement = "SELECT name, definition, digest, present, first_seen, last_seen FROM mcp_server_tools \
                         WHERE tenant_id = $1 AND server_id = $2 ORDER BY name LIMIT $3";
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(id.to_string()).bind(TOOLS_KEPT_MAX);
        let rows = query.fetch_all(tx.connection()).await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok(KnownTool {
                name: row.try_get("name")?,
                definition: row.try_get("definition")?,
                digest: row.try_get("digest")?,
                present: row.try_get::<i64, _>("present")? == 1,
                first_seen: Timestamp::from_micros(row.try_get("first_seen")?),
                last_seen: Timestamp::from_micros(row.try_get("last_seen")?),
            })
        };
        rows.iter().map(read).collect()
    }
}

fn check(tools: &[ListedTool<'_>]) -> StoreResult<()> {
    let remedy = "the server has to list fewer or smaller tools";
    if tools.len() > TOOLS_LISTED_MAX {
        return Err(StoreError::invalid("the server lists more than 2,000 tools", remedy));
    }
    if tools.iter().map(|tool| tool.definition.len()).sum::<usize>() > TOOLS_BYTES_MAX {
        return Err(StoreError::invalid("the definitions of the server's tools are larger than 4 MiB", remedy));
    }
    let mut names = BTreeSet::new();
    for tool in tools {
        if !is_tool_name(tool.name) || !names.insert(tool.name) {
            let remedy = "a tool's name has 1 to 128 characters, no control characters, and is listed once";
            return Err(StoreError::invalid("the server lists a tool whose name cannot be used", remedy));
        }
        if serde_json::from_slice::<&serde_json::value::RawValue>(tool.definition).is_err() {
            return Err(StoreError::invalid("the definition of a tool is not JSON", "the server has to list its tools as JSON"));
        }
    }
    Ok(())
}

/// Digest and presence by name, as they are kept.
type Known = BTreeMap<String, (String, bool)>;

async fn known(tx: &mut Tx, (org, id): (&OrgId, ServerId)) -> StoreResult<Known> {
    let statement = "SELECT name, digest, present FROM mcp_server_tools WHERE tenant_id = $1 AND server_id = $2";
    let rows = sqlx::query(statement).bind(org.as_str()).bind(id.to_string()).fetch_all(tx.connection()).await?;
    rows.iter().map(|row| Ok((row.try_get("name")?, (row.try_get("digest")?, row.try_get::<i64, _>("present")? == 1)))).collect()
}

async fn keep(tx: &mut Tx, at: (&OrgId, ServerId), tools: &[ListedTool<'_>], now: Timestamp, changes: &mut ToolChanges) -> StoreResult<()> {
    let mut known = known(tx, at).await?;
    for tool in tools {
        let fresh = HEXLOWER.encode(digest(&SHA256, tool.definition).as_ref());
        match known.remove(tool.name) {
            Some((digest, true)) if digest == fresh => continue,
            None => changes.added.push(tool.name.to_owned()),
            Some((digest, present)) => {
                if !present {
                    changes.returned.push(tool.name.to_owned());
                }
                if digest != fresh {
                    changes.changed.push(tool.name.to_owned());
                }
            }
        }
        store_tool(tx, at, tool, &fresh, now).await?;
    }
    for (name, _) in known.into_iter().filter(|(_, (_, present))| *present) {
        let query = sqlx::query("UPDATE mcp_server_tools SET present = 0 WHERE tenant_id = $1 AND server_id = $2 AND name = $3");
        query.bind(at.0.as_str()).bind(at.1.to_string()).bind(&name).execute(tx.connection()).await?;
        changes.gone.push(name);
    }
    let seen = "UPDATE mcp_server_tools SET last_seen = $3 WHERE tenant_id = $1 AND server_id = $2 AND present = 1";
    sqlx::query(seen).bind(at.0.as_str()).bind(at.1.to_string()).bind(now.as_micros()).execute(tx.connection()).await?;
    for names in [&mut changes.added, &mut changes.returned, &mut changes.changed] {
        names.sort();
    }
    drop_oldest(tx, at).await
}

async fn store_tool(tx: &mut Tx, (org, id): (&OrgId, ServerId), tool: &ListedTool<'_>, digest: &str, now: Timestamp) -> StoreResult<()> {
    let statement = "INSERT INTO mcp_server_tools (tenant_id, server_id, name, definition, digest, present, first_seen, last_seen) \
                     VALUES ($1, $2, $3, $4, $5, 1, $6, $6) ON CONFLICT (tenant_id, server_id, name) DO UPDATE SET \
                     definition = excluded.definition, digest = excluded.digest, present = 1, last_seen = excluded.last_seen";
    sqlx::query(statement)
        .bind(org.as_str())
        .bind(id.to_string())
        .bind(tool.name)
        .bind(tool.definition.to_vec())
        .bind(digest)
        .bind(now.as_micros())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// A server that lists other names every time does not fill the table.
async fn drop_oldest(tx: &mut Tx, (org, id): (&OrgId, ServerId)) -> StoreResult<()> {
    let count = "SELECT count(*) FROM mcp_server_tools WHERE tenant_id = $1 AND server_id = $2";
    let rows: i64 = sqlx::query(count).bind(org.as_str()).bind(id.to_string()).fetch_one(tx.connection()).await?.try_get(0)?;
    if rows <= TOOLS_KEPT_MAX {
        return Ok(());
    }
    let statement = "DELETE FROM mcp_server_tools WHERE tenant_id = $1 AND server_id = $2 AND name IN \
                     (SELECT name FROM mcp_server_tools WHERE tenant_id = $1 AND server_id = $2 AND present = 0 \
                      ORDER BY last_seen, name LIMIT $3)";
    let query = sqlx::query(statement).bind(org.as_str()).bind(id.to_string()).bind(rows - TOOLS_KEPT_MAX);
    query.execute(tx.connection()).await?;
    Ok(())
}

/// Brings new tools onto the list of allowed ones.
async fn allow(tx: &mut Tx, server: &RegisteredServer, tools: &[ListedTool<'_>], changes: &mut ToolChanges) -> StoreResult<()> {
    let (mut allowed, value) = match &server.allowed_tools {
        None => (AllowedTools::default(), true),
        Some(allowed) => (allowed.clone(), server.new_tools_policy == NewToolsPolicy::Allow),
    };
    changes.filled = server.allowed_tools.is_none();
    for tool in tools {
        if allowed.add(tool.name, value) && !changes.filled {
            changes.unreviewed.push(tool.name.to_owned());
        }
    }
    changes.unreviewed.sort();
    if !changes.filled && changes.unreviewed.is_empty() {
        return Ok(());
    }
    store_tools(tx, server.id, Some(&allowed)).await?;
    sqlx::query("UPDATE mcp_servers SET revision = revision + 1 WHERE server_id = $1")
        .bind(server.id.to_string())
        .execute(tx.connection())
        .await?;
    Ok(())
}
