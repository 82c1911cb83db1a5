//! Instructions: the latest text of each, and every version there ever was (reference, governance section 2).

mod row;
mod write;

use bailiwick_model::{DocKind, DocOwner, DocSlug, Timestamp};
use serde_json::{Map, Value};

use crate::error::{StoreError, StoreResult};
use crate::scope::Tenant;
use crate::store::{Store, Tx};

pub(crate) use write::bury_group;
pub use write::{INSTRUCTIONS_PER_ORG_MAX, InstructionPut, InstructionRevert, SavedInstruction, VERSIONS_PER_INSTRUCTION_MAX};

/// Entries one listing gives.
pub const INSTRUCTION_PAGE_MAX: u32 = 200;
/// Revisions one history gives.
pub const REVISION_PAGE_MAX: u32 = 200;
/// Owners that one reading looks through: the organisation and a person's groups.
pub const INSTRUCTION_LAYERS_MAX: usize = 256;

/// One version of an instruction with its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// Whose it is.
    pub owner: DocOwner,
    /// Its kind.
    pub kind: DocKind,
    /// Its name within the kind.
    pub slug: DocSlug,
    /// Which version this is; the first is 1.
    pub version: i64,
    /// A line for people.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// The text itself.
    pub body: String,
    /// More members of the head of its SKILL.md.
    pub frontmatter: Map<String, Value>,
    /// `sha256:<hex>` of its SKILL.md ([`skill_text`](bailiwick_model::instruction::skill_text)).
    pub digest: String,
    /// Who wrote this version.
    pub set_by: Option<String>,
    /// When.
    pub updated_at: Timestamp,
}

/// What a list shows of an instruction: everything but its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstructionEntry {
    /// Whose it is.
    pub owner: DocOwner,
    /// Its kind.
    pub kind: DocKind,
    /// Its name within the kind.
    pub slug: DocSlug,
    /// The latest version.
    pub version: i64,
    /// A line for people.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// See [`Instruction::digest`].
    pub digest: String,
    /// Who wrote the latest version.
    pub set_by: Option<String>,
    /// When.
    pub updated_at: Timestamp,
}

/// Which text of which owner.
pub type DocName<'a> = (&'a DocOwner, &'a DocKind, &'a DocSlug);

impl InstructionEntry {
    /// Its name, after which the next page of a list begins.
    #[must_use]
    pub const fn name(&self) -> DocName<'_> {
        (&self.owner, &self.kind, &self.slug)
    }
}

/// What a history shows of one version; the text of it: [`Instructions::get_version`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Which.
    pub version: i64,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// See [`Instruction::digest`].
    pub digest: String,
    /// Who wrote it.
    pub set_by: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// Functions on instructions; see [`Store::instructions`].
#[derive(Clone, Copy, Debug)]
pub struct Instructions<'a>(&'a Store);

impl Store {
    /// Instructions of organisations and their groups.
    #[must_use]
    pub const fn instructions(&self) -> Instructions<'_> {
        Instructions(self)
    }
}

impl Instructions<'_> {
    /// The latest version; `None` for one that is unknown, deleted, or another organisation's or owner's.
    ///
    /// # Errors
    /// `Unavailable`, `Locked` or `Corrupt`.
    pub async fn latest(&self, tenant: &impl Tenant, owner: &DocOwner, kind: &DocKind, slug: &DocSlug) -> StoreResult<Option<Instruction>> {
        let mut tx = self.0.read(tenant).await?;
        row::latest(&mut tx, tenant, owner, kind, slug).await
    }

    /// The latest version of each owner that has one, in the order of `owners`: the organisation's text first, then those of the groups.
    ///
    /// # Errors
    /// `Invalid` for more than [`INSTRUCTION_LAYERS_MAX`] owners; otherwise as [`latest`](Self::latest).
    pub async fn latest_of(
        &self,
        tenant: &impl Tenant,
        owners: &[DocOwner],
        kind: &DocKind,
        slug: &DocSlug,
    ) -> StoreResult<Vec<Instruction>> {
        check_layers(owners)?;
        let mut tx = self.0.read(tenant).await?;
        let mut found = Vec::new();
        for owner in owners {
            found.extend(row::latest(&mut tx, tenant, owner, kind, slug).await?);
        }
        Ok(found)
    }

    /// One version, also of a text that was deleted since: a run has frozen it and must be able to read it again.
    ///
    /// # Errors
    /// As [`latest`](Self::latest).
    pub async fn get_version(
        &self,
        tenant: &impl Tenant,
        owner: &DocOwner,
        kind: &DocKind,
        slug: &DocSlug,
        version: i64,
    ) -> StoreResult<Option<Instruction>> {
        let mut tx = self.0.read(tenant).await?;
        row::revision(&mut tx, tenant, owner, kind, slug, version).await
    }

    /// The latest version of each text of `owners`, in their order, of one owner by kind and then slug: at most `limit` and
    /// [`INSTRUCTION_PAGE_MAX`], those that follow `after`. Deleted ones are left out.
    ///
    /// # Errors
    /// `Invalid` for more than [`INSTRUCTION_LAYERS_MAX`] owners, or when `after` belongs to none of them; otherwise as
    /// [`latest`](Self::latest).
    pub async fn list(
        &self,
        tenant: &impl Tenant,
        owners: &[DocOwner],
        kind: Option<&DocKind>,
        after: Option<DocName<'_>>,
        limit: u32,
    ) -> StoreResult<Vec<InstructionEntry>> {
        check_layers(owners)?;
        let limit = limit.clamp(1, INSTRUCTION_PAGE_MAX);
        let (skipped, mut position) = match after {
            None => (0, ("", "")),
            Some((owner, kind, slug)) => {
                let layer = owners.iter().position(|known| known == owner);
                let remedy = "list from the beginning";
                let layer = layer.ok_or_else(|| StoreError::invalid("the list that this page continues is another one by now", remedy))?;
                (layer, (kind.as_str(), slug.as_str()))
            }
        };
        let mut tx = self.0.read(tenant).await?;
        let mut found = Vec::new();
        for owner in &owners[skipped..] {
            let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
            if left == 0 {
                break;
            }
            found.extend(row::list(&mut tx, tenant, owner, kind, position, left).await?);
            position = ("", "");
        }
        Ok(found)
    }

    /// The versions after `after` (0: from the first), ascending, at most `limit` and [`REVISION_PAGE_MAX`]. Empty for an instruction
    /// that never was; those of a deleted one stay.
    ///
    /// # Errors
    /// As [`latest`](Self::latest).
    pub async fn history(
        &self,
        tenant: &impl Tenant,
        owner: &DocOwner,
        kind: &DocKind,
        slug: &DocSlug,
        after: i64,
        limit: u32,
    ) -> StoreResult<Vec<Revision>> {
        let limit = limit.clamp(1, REVISION_PAGE_MAX);
        let mut tx = self.0.read(tenant).await?;
        row::history(&mut tx, tenant, owner, kind, slug, (after, limit)).await
    }
}

fn check_layers(owners: &[DocOwner]) -> StoreResult<()> {
    if owners.len() <= INSTRUCTION_LAYERS_MAX {
        return Ok(());
    }
    let message = format!("instructions of more than {INSTRUCTION_LAYERS_MAX} owners were asked for at once");
    Err(StoreError::invalid(message, "ask for those of fewer groups"))
}

/// The version that a run freezes: that of the first of `owners` which has a live text of this slug; of several kinds the first by name.
pub(crate) async fn frozen(
    tx: &mut Tx,
    tenant: &impl Tenant,
    owners: &[DocOwner],
    slug: &DocSlug,
) -> StoreResult<Option<(DocOwner, DocKind, i64)>> {
    check_layers(owners)?;
    for owner in owners {
        if let Some((kind, version)) = row::version_of_slug(tx, tenant, owner, slug).await? {
            return Ok(Some((owner.clone(), kind, version)));
        }
    }
    Ok(None)
}
