//! Writing instructions. Each write is one transaction that locks the text first, so that of two writers one waits for the other and
//! sees what it wrote.

use bailiwick_model::instruction::{Reason, skill_digest, skill_text};
use bailiwick_model::{DocKind, DocOwner, DocSlug, GroupId, HouseRules, NewInstruction, Timestamp, VettedInstruction};
use sqlx::Row;

use super::{Instructions, row};
use crate::error::{StoreError, StoreResult};
use crate::generation::{Topic, bump};
use crate::scope::Tenant;
use crate::store::Tx;

/// Live instructions one organisation may have, those of its groups included.
pub const INSTRUCTIONS_PER_ORG_MAX: i64 = 10_000;

/// Versions one instruction may have.
pub const VERSIONS_PER_INSTRUCTION_MAX: i64 = 10_000;

/// What a write has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedInstruction {
    /// The new version.
    pub version: i64,
    /// `sha256:<hex>` of its SKILL.md.
    pub digest: String,
    /// When it was written.
    pub updated_at: Timestamp,
}

/// The answer to [`Instructions::put`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstructionPut {
    /// Written.
    Saved(SavedInstruction),
    /// Nothing was written, for the text is at another version than the caller believed (`version_conflict`).
    Conflict {
        /// The latest version; 0 when there is none, or it is deleted.
        current: i64,
    },
}

/// The answer to [`Instructions::revert`]; only `Saved` has written anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstructionRevert {
    /// Written as a new version.
    Saved(SavedInstruction),
    /// As in [`InstructionPut`].
    Conflict {
        /// The latest version; 0 when there is none, or it is deleted.
        current: i64,
    },
    /// There is no such version (`instruction_not_found`).
    UnknownVersion,
    /// Today's rules refuse the old text (`instruction_refused`).
    Refused(Vec<Reason>),
}

/// Which text.
struct Target<'a> {
    owner: &'a DocOwner,
    kind: &'a DocKind,
    slug: &'a DocSlug,
}

/// What is there while we hold its lock.
struct Current {
    /// The highest version there ever was.
    version: i64,
    live: bool,
}

impl Current {
    const fn visible(&self) -> i64 {
        if self.live { self.version } else { 0 }
    }
}

impl Instructions<'_> {
    /// Writes a text as the next version. With `expected` only if that is the latest version; 0 stands for none. A text that was deleted
    /// comes back and goes on counting. Whether the actor may write for this owner is for the caller to decide before.
    ///
    /// # Errors
    /// `Invalid` beyond [`INSTRUCTIONS_PER_ORG_MAX`]; `Conflict` when the organisation does not exist; otherwise `Unavailable`, `Locked`
    /// or `Full`.
    pub async fn put(
        &self,
        tenant: &impl Tenant,
        owner: &DocOwner,
        new: &VettedInstruction,
        expected: Option<i64>,
    ) -> StoreResult<InstructionPut> {
        let target = Target { owner, kind: new.kind(), slug: new.slug() };
        let now = self.0.now();
        let mut tx = self.0.write(tenant).await?;
        let current = lock(&mut tx, tenant, &target, now).await?;
        if expected.is_some_and(|expected| expected != current.visible()) {
            return Ok(InstructionPut::Conflict { current: current.visible() });
        }
        let saved = save(tx, tenant, &target, &current, new.text(), now).await?;
        Ok(InstructionPut::Saved(saved))
    }

    /// Writes what version `to` said as the next version, provided that `rules` admit it today: a name that was put on the blocklist since
    /// does not come back. Brings a deleted text back, too. `expected` as in [`put`](Self::put).
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn revert(
        &self,
        tenant: &impl Tenant,
        (owner, kind, slug): (&DocOwner, &DocKind, &DocSlug),
        to: i64,
        expected: Option<i64>,
        rules: &HouseRules,
    ) -> StoreResult<InstructionRevert> {
        let target = Target { owner, kind, slug };
        let now = self.0.now();
        let mut tx = self.0.write(tenant).await?;
        let current = lock(&mut tx, tenant, &target, now).await?;
        let Some(old) = row::revision(&mut tx, tenant, owner, kind, slug, to).await? else {
            return Ok(InstructionRevert::UnknownVersion);
        };
        if expected.is_some_and(|expected| expected != current.visible()) {
            return Ok(InstructionRevert::Conflict { current: current.visible() });
        }
        let text = NewInstruction {
            kind: kind.to_string(),
            slug: slug.to_string(),
            title: old.title,
            description: old.description,
            body: old.body,
            frontmatter: old.frontmatter,
        };
        match text.vet(rules) {
            Err(reasons) => Ok(InstructionRevert::Refused(reasons)),
            Ok(vetted) => save(tx, tenant, &target, &current, vetted.text(), now).await.map(InstructionRevert::Saved),
        }
    }

    /// Takes a text out of every list; its versions stay readable one by one.
    ///
    /// # Errors
    /// `NotFound`, also when it is deleted already or another organisation's or owner's; `Unavailable`, `Locked` or `Full`.
    pub async fn delete(&self, tenant: &impl Tenant, owner: &DocOwner, kind: &DocKind, slug: &DocSlug) -> StoreResult<()> {
        let statement = "UPDATE content_docs SET deleted_at = $6, updated_at = $6, set_by = $7 \
                         WHERE tenant_id = $1 AND owner_type = $2 AND owner_id = $3 AND kind = $4 AND slug = $5 AND deleted_at IS NULL";
        let mut tx = self.0.write(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(owner.kind()).bind(owner.id());
        let query = query.bind(kind.as_str()).bind(slug.as_str()).bind(self.0.now().as_micros()).bind(tenant.actor());
        if query.execute(tx.connection()).await?.rows_affected() == 0 {
            return Err(StoreError::not_found("the instruction"));
        }
        bump(&mut tx, Topic::Instructions).await?;
        tx.commit().await
    }
}

/// Deletes the texts of a group that goes, so that a later group of the same id does not inherit them.
pub(crate) async fn bury_group(tx: &mut Tx, tenant: &impl Tenant, group: &GroupId, now: Timestamp) -> StoreResult<()> {
    let statement = "UPDATE content_docs SET deleted_at = $3, updated_at = $3, set_by = $4 \
                     WHERE tenant_id = $1 AND owner_type = 'group' AND owner_id = $2 AND deleted_at IS NULL";
    let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(group.as_str()).bind(now.as_micros()).bind(tenant.actor());
    if query.execute(tx.connection()).await?.rows_affected() > 0 {
        bump(tx, Topic::Instructions).await?;
    }
    Ok(())
}

/// Makes the text this transaction's alone until it ends. Both databases lock a row that is written; one that is missing is inserted as
/// a deleted version 0, which nobody sees: it is overwritten before the commit, or rolled back.
async fn lock(tx: &mut Tx, tenant: &impl Tenant, target: &Target<'_>, now: Timestamp) -> StoreResult<Current> {
    let statement = "INSERT INTO content_docs (tenant_id, owner_type, owner_id, kind, slug, title, description, body, frontmatter, \
                     version, digest, updated_at, deleted_at) VALUES ($1, $2, $3, $4, $5, '', '', '', '{}', 0, '', $6, $6) \
                     ON CONFLICT (tenant_id, owner_type, owner_id, kind, slug) DO UPDATE SET version = content_docs.version \
                     RETURNING version, deleted_at";
    let row = sqlx::query(statement)
        .bind(tenant.org().as_str())
        .bind(target.owner.kind())
        .bind(target.owner.id())
        .bind(target.kind.as_str())
        .bind(target.slug.as_str())
        .bind(now.as_micros())
        .fetch_one(tx.connection())
        .await?;
    Ok(Current { version: row.try_get("version")?, live: row.try_get::<Option<i64>, _>("deleted_at")?.is_none() })
}

/// Writes the next version to both tables and commits.
async fn save(
    mut tx: Tx,
    tenant: &impl Tenant,
    target: &Target<'_>,
    current: &Current,
    text: &NewInstruction,
    now: Timestamp,
) -> StoreResult<SavedInstruction> {
    if !current.live {
        check_room(&mut tx, tenant).await?;
    }
    if current.version >= VERSIONS_PER_INSTRUCTION_MAX {
        let message = format!("the instruction has {VERSIONS_PER_INSTRUCTION_MAX} versions, as many as it may");
        return Err(StoreError::invalid(message, "write it under another name"));
    }
    let version = current.version + 1;
    let saved = SavedInstruction { version, digest: skill_digest(&skill_text(target.slug, text, version)), updated_at: now };
    let update = "UPDATE content_docs SET version = $6, title = $7, description = $8, body = $9, frontmatter = $10, digest = $11, \
                  set_by = $12, updated_at = $13, deleted_at = NULL \
                  WHERE tenant_id = $1 AND owner_type = $2 AND owner_id = $3 AND kind = $4 AND slug = $5";
    let insert = "INSERT INTO content_revisions (tenant_id, owner_type, owner_id, kind, slug, version, title, description, body, \
                  frontmatter, digest, set_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let frontmatter = serde_json::to_string(&text.frontmatter)
        .map_err(|error| StoreError::invalid("the frontmatter cannot be written as JSON", "simplify it").with_cause(error))?;
    for statement in [update, insert] {
        sqlx::query(statement)
            .bind(tenant.org().as_str())
            .bind(target.owner.kind())
            .bind(target.owner.id())
            .bind(target.kind.as_str())
            .bind(target.slug.as_str())
            .bind(version)
            .bind(text.title.as_str())
            .bind(text.description.as_str())
            .bind(text.body.as_str())
            .bind(frontmatter.as_str())
            .bind(saved.digest.as_str())
            .bind(tenant.actor())
            .bind(now.as_micros())
            .execute(tx.connection())
            .await?;
    }
    bump(&mut tx, Topic::Instructions).await?;
    tx.commit().await?;
    Ok(saved)
}

async fn check_room(tx: &mut Tx, tenant: &impl Tenant) -> StoreResult<()> {
    let statement = "SELECT count(*) FROM content_docs WHERE tenant_id = $1 AND deleted_at IS NULL";
    let live: i64 = sqlx::query(statement).bind(tenant.org().as_str()).fetch_one(tx.connection()).await?.try_get(0)?;
    if live < INSTRUCTIONS_PER_ORG_MAX {
        return Ok(());
    }
    let message = format!("the organisation has {INSTRUCTIONS_PER_ORG_MAX} instructions, as many as it may");
    Err(StoreError::invalid(message, "delete those that nobody needs"))
}
