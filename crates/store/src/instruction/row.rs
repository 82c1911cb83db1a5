//! Reading rows of instructions.

use bailiwick_model::{DocKind, DocOwner, DocSlug, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Instruction, InstructionEntry, Revision};
use crate::error::{StoreError, StoreResult};
use crate::scope::Tenant;
use crate::store::Tx;

pub(super) async fn latest(
    tx: &mut Tx,
    tenant: &impl Tenant,
    owner: &DocOwner,
    kind: &DocKind,
    slug: &DocSlug,
) -> StoreResult<Option<Instruction>> {
    let statement = "SELECT version, title, description, body, frontmatter, digest, set_by, updated_at FROM content_docs \
                     WHERE tenant_id = $1 AND owner_type = $2 AND owner_id = $3 AND kind = $4 AND slug = $5 AND deleted_at IS NULL";
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(owner.kind()).bind(owner.id());
    let found = query.bind(kind.as_str()).bind(slug.as_str()).fetch_optional(tx.connection()).await?;
    found.as_ref().map(|row| read(row, owner, kind, slug)).transpose()
}

/// One version. Those of a group that had the id before are not the present one's to read.
pub(super) async fn revision(
    tx: &mut Tx,
    tenant: &impl Tenant,
    owner: &DocOwner,
    kind: &DocKind,
    slug: &DocSlug,
    version: i64,
) -> StoreResult<Option<Instruction>> {
    let statement = "SELECT version, title, description, body, frontmatter, digest, set_by, created_at AS updated_at FROM content_revisions \
         WHERE tenant_id = $1 AND owner_type = $2 AND owner_id = $3 AND kind = $4 AND slug = $5 AND version = $6 \
         AND created_at >= coalesce((SELECT g.created_at FROM groups g WHERE $2 = 'group' AND g.tenant_id = $1 AND g.group_id = $3), 0)";
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(owner.kind()).bind(owner.id());
    let found = query.bind(kind.as_str()).bind(slug.as_str()).bind(version).fetch_optional(tx.connection()).await?;
    found.as_ref().map(|row| read(row, owner, kind, slug)).transpose()
}

/// Live texts of one owner whose kind and slug follow `after`.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: &impl Tenant,
    owner: &DocOwner,
    kind: Option<&DocKind>,
    after: (&str, &str),
    limit: u32,
) -> StoreResult<Vec<InstructionEntry>> {
    let statement = "SELECT kind, slug, version, title, description, digest, set_by, updated_at FROM content_docs \
                     WHERE tenant_id = $1 AND owner_type = $2 AND owner_id = $3 AND (kind, slug) > ($4, $5) \
                     AND ($6 IS NULL OR kind = $6) AND deleted_at IS NULL ORDER BY kind, slug LIMIT $7";
    let rows = sqlx::query(statement)
        .bind(tenant.org().as_str())
        .bind(owner.kind())
        .bind(owner.id())
        .bind(after.0)
        .bind(after.1)
        .bind(kind.map(DocKind::as_str))
        .bind(i64::from(limit))
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(|row| read_entry(row, owner)).collect()
}

/// Versions after the first of `page`, at most as many as its second.
pub(super) async fn history(
    tx: &mut Tx,
    tenant: &impl Tenant,
    owner: &DocOwner,
    kind: &DocKind,
    slug: &DocSlug,
    page: (i64, u32),
) -> StoreResult<Vec<Revision>> {
    let statement = "SELECT version, title, description, digest, set_by, created_at FROM content_revisions \
                     WHERE tenant_id = $1 AND owner_type = $2 AND owner_id = $3 AND kind = $4 AND slug = $5 AND version > $6 \
                     AND created_at >= coalesce((SELECT g.created_at FROM groups g WHERE $2 = 'group' AND g.tenant_id = $1 \
                     AND g.group_id = $3), 0) ORDER BY version LIMIT $7";
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(owner.kind()).bind(owner.id());
    let query = query.bind(kind.as_str()).bind(slug.as_str()).bind(page.0).bind(i64::from(page.1));
    query.fetch_all(tx.connection()).await?.iter().map(read_revision).collect()
}

pub(super) async fn version_of_slug(
    tx: &mut Tx,
    tenant: &impl Tenant,
    owner: &DocOwner,
    slug: &DocSlug,
) -> StoreResult<Option<(DocKind, i64)>> {
    let statement = "SELECT kind, version FROM content_docs WHERE tenant_id = $1 AND owner_type = $2 AND owner_id = $3 AND slug = $4 \
                     AND deleted_at IS NULL ORDER BY kind LIMIT 1";
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(owner.kind()).bind(owner.id()).bind(slug.as_str());
    let found = query.fetch_optional(tx.connection()).await?;
    found.map(|row| Ok((read_kind(&row)?, row.try_get("version")?))).transpose()
}

fn read(row: &AnyRow, owner: &DocOwner, kind: &DocKind, slug: &DocSlug) -> StoreResult<Instruction> {
    let frontmatter: String = row.try_get("frontmatter")?;
    Ok(Instruction {
        owner: owner.clone(),
        kind: kind.clone(),
        slug: slug.clone(),
        version: row.try_get("version")?,
        title: row.try_get("title")?,
        description: row.try_get("description")?,
        body: row.try_get("body")?,
        frontmatter: serde_json::from_str(&frontmatter).map_err(|_| StoreError::corrupt("the frontmatter of an instruction is damaged"))?,
        digest: row.try_get("digest")?,
        set_by: row.try_get("set_by")?,
        updated_at: Timestamp::from_micros(row.try_get("updated_at")?),
    })
}

fn read_entry(row: &AnyRow, owner: &DocOwner) -> StoreResult<InstructionEntry> {
    let slug: String = row.try_get("slug")?;
    Ok(InstructionEntry {
        owner: owner.clone(),
        kind: read_kind(row)?,
        slug: DocSlug::parse(&slug).map_err(|_| StoreError::corrupt("the slug of an instruction is damaged"))?,
        version: row.try_get("version")?,
        title: row.try_get("title")?,
        description: row.try_get("description")?,
        digest: row.try_get("digest")?,
        set_by: row.try_get("set_by")?,
        updated_at: Timestamp::from_micros(row.try_get("updated_at")?),
    })
}

fn read_revision(row: &AnyRow) -> StoreResult<Revision> {
    Ok(Revision {
        version: row.try_get("version")?,
        title: row.try_get("title")?,
        description: row.try_get("description")?,
        digest: row.try_get("digest")?,
        set_by: row.try_get("set_by")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
    })
}

fn read_kind(row: &AnyRow) -> StoreResult<DocKind> {
    let kind: String = row.try_get("kind")?;
    DocKind::parse(&kind).map_err(|_| StoreError::corrupt("the kind of an instruction is damaged"))
}
