//! Instructions with their history: what agents read and write with tools, for people who administer them.

use bailiwick_model::instruction::{Reason, tool_references};
use bailiwick_model::{Code, DocKind, DocOwner, DocSlug, NewInstruction, OrgId};
use bailiwick_store::event::EventKind;
use bailiwick_store::{DocName, Instruction, InstructionEntry, InstructionPut, InstructionRevert, Revision, StoreError, StoreErrorKind};

use super::fault::{Done, Fault, Wrong};
use super::{Acting, Deed, Operations, Required};

/// Instructions that one check looks through.
pub const CHECKED_MAX: usize = 10_000;
/// Instructions that one page of a check loads.
const CHECKED_AT_ONCE: u32 = 100;

/// A text as it was written, and what it calls a tool without there being one.
#[derive(Clone, Debug)]
pub struct Written {
    /// The new version.
    pub instruction: Instruction,
    /// As [`LiveTools::missing`](super::LiveTools::missing) says.
    pub unresolved_tools: Option<Vec<String>>,
}

/// An instruction that names tools which nobody has.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Which.
    pub entry: InstructionEntry,
    /// The names.
    pub unresolved_tools: Vec<String>,
}

/// One page of the newest versions of `owner`'s texts by kind and slug; for who may read them.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn list(
    ops: &Operations,
    acting: &Acting,
    org: &OrgId,
    (owner, kind): (&DocOwner, Option<&DocKind>),
    (after, limit): (Option<(DocKind, DocSlug)>, u32),
) -> Done<Vec<InstructionEntry>> {
    let reader = ops.reader(acting, org, reading(owner), "instruction list").await?;
    let after = after.as_ref().map(|(kind, slug)| (owner, kind, slug));
    Ok(ops.store().instructions().list(reader.scope(), std::slice::from_ref(owner), kind, after, limit).await?)
}

/// The newest version of a text, or the one that is named; for who may read it.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(
    ops: &Operations,
    acting: &Acting,
    org: &OrgId,
    (owner, kind, slug): DocName<'_>,
    version: Option<i64>,
) -> Done<Instruction> {
    let reader = ops.reader(acting, org, reading(owner), "instruction show").await?;
    let instructions = ops.store().instructions();
    let found = match version {
        None => instructions.latest(reader.scope(), owner, kind, slug).await?,
        Some(version) => instructions.get_version(reader.scope(), owner, kind, slug, version).await?,
    };
    found.ok_or_else(not_found)
}

/// One page of the versions of a text after version `after`, the oldest first, also of a deleted one; for who may read it.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn history(
    ops: &Operations,
    acting: &Acting,
    org: &OrgId,
    (owner, kind, slug): DocName<'_>,
    (after, limit): (i64, u32),
) -> Done<Vec<Revision>> {
    let reader = ops.reader(acting, org, reading(owner), "instruction history").await?;
    let found = ops.store().instructions().history(reader.scope(), owner, kind, slug, after, limit).await?;
    if found.is_empty() && after == 0 { Err(not_found()) } else { Ok(found) }
}

/// Writes the next version of a text, at version `expected` (0: none) when one is given; for who may write for `owner`.
///
/// # Errors
/// `instruction_refused` with every reason; `version_conflict` when somebody else wrote in between.
pub async fn put(
    ops: &Operations,
    acting: &Acting,
    org: &OrgId,
    (owner, new): (&DocOwner, NewInstruction),
    expected: Option<i64>,
) -> Done<Written> {
    const OPERATION: &str = "instruction set";
    let admin = ops.admin(acting, org, writing(owner), OPERATION).await?;
    let vetted = new.vet(ops.rules()).map_err(|reasons| refused(&reasons))?;
    let instructions = ops.store().instructions();
    let effect = async {
        match instructions.put(admin.scope(), owner, &vetted, expected).await? {
            InstructionPut::Saved(saved) => Ok(saved.version),
            InstructionPut::Conflict { current } => Err(outdated(current)),
        }
    };
    let name = (owner, vetted.kind(), vetted.slug());
    let version = ops.record(admin.author(), Deed::new(EventKind::Config, OPERATION, &subject(name)), effect).await?;
    written(ops, acting, org, &admin, name, version).await
}

/// Writes what version `to` said as the next version; for who may write for the owner.
///
/// # Errors
/// As [`put`]; `not_found` for a version that never was.
pub async fn revert(
    ops: &Operations,
    acting: &Acting,
    org: &OrgId,
    name: DocName<'_>,
    (to, expected): (i64, Option<i64>),
) -> Done<Written> {
    const OPERATION: &str = "instruction revert";
    let (owner, kind, slug) = name;
    let admin = ops.admin(acting, org, writing(owner), OPERATION).await?;
    let instructions = ops.store().instructions();
    let effect = async {
        match instructions.revert(admin.scope(), name, to, expected, ops.rules()).await? {
            InstructionRevert::Saved(saved) => Ok(Ok(saved.version)),
            InstructionRevert::Conflict { current } => Err(outdated(current)),
            InstructionRevert::UnknownVersion => {
                Err(StoreError::new(StoreErrorKind::NotFound, "the version does not exist", "look at the history of the instruction"))
            }
            InstructionRevert::Refused(reasons) => Ok(Err(reasons)),
        }
    };
    let done = ops.record(admin.author(), Deed::new(EventKind::Config, OPERATION, &subject((owner, kind, slug))), effect).await?;
    let version = done.map_err(|reasons| refused(&reasons))?;
    written(ops, acting, org, &admin, name, version).await
}

/// Takes a text out of every list, its versions stay; for who may write for the owner.
///
/// # Errors
/// `not_found`.
pub async fn delete(ops: &Operations, acting: &Acting, org: &OrgId, name: DocName<'_>) -> Done<()> {
    const OPERATION: &str = "instruction delete";
    let (owner, kind, slug) = name;
    let admin = ops.admin(acting, org, writing(owner), OPERATION).await?;
    let instructions = ops.store().instructions();
    let effect = instructions.delete(admin.scope(), owner, kind, slug);
    ops.record(admin.author(), Deed::new(EventKind::Config, OPERATION, &subject(name)), effect).await
}

/// The texts of the organisation and of its groups that name tools which nobody has, at most [`CHECKED_MAX`] looked at; for
/// administrators of the organisation. `None` where no tools are known at this moment.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn check(ops: &Operations, acting: &Acting, org: &OrgId) -> Done<Option<Vec<Broken>>> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "instruction check").await?;
    let mut broken = Vec::new();
    for owner in owners(ops, reader.scope()).await? {
        let mut after: Option<InstructionEntry> = None;
        loop {
            let entries = {
                let place = after.as_ref().map(InstructionEntry::name);
                ops.store().instructions().list(reader.scope(), std::slice::from_ref(&owner), None, place, CHECKED_AT_ONCE).await?
            };
            after = entries.last().cloned();
            for entry in entries {
                let Some(found) = ops.store().instructions().latest(reader.scope(), &owner, &entry.kind, &entry.slug).await? else {
                    continue;
                };
                let Some(unresolved_tools) = unresolved(ops, acting, org, &found.body).await else { return Ok(None) };
                if !unresolved_tools.is_empty() {
                    broken.push(Broken { entry, unresolved_tools });
                }
            }
            if after.is_none() || broken.len() >= CHECKED_MAX {
                break;
            }
        }
    }
    Ok(Some(broken))
}

/// The organisation, then its groups.
async fn owners(ops: &Operations, scope: &bailiwick_store::OrgScope) -> Done<Vec<DocOwner>> {
    let mut owners = vec![DocOwner::Org];
    let mut after = String::new();
    loop {
        let groups = ops.store().groups().list(scope, &after).await?;
        let Some(last) = groups.last() else { break };
        after = last.group_id.to_string();
        owners.extend(groups.into_iter().map(|group| DocOwner::Group(group.group_id)));
    }
    Ok(owners)
}

async fn written(
    ops: &Operations,
    acting: &Acting,
    org: &OrgId,
    admin: &super::Admin,
    (owner, kind, slug): DocName<'_>,
    version: i64,
) -> Done<Written> {
    let found = ops.store().instructions().get_version(admin.scope(), owner, kind, slug, version).await?;
    let instruction = found.ok_or_else(not_found)?;
    let unresolved_tools = unresolved(ops, acting, org, &instruction.body).await;
    Ok(Written { instruction, unresolved_tools })
}

async fn unresolved(ops: &Operations, acting: &Acting, org: &OrgId, body: &str) -> Option<Vec<String>> {
    let names = tool_references(body).names;
    if names.is_empty() {
        return Some(names);
    }
    ops.tools()?.missing(org, acting.scope(), names).await
}

/// Everybody reads what is the organisation's, and those of a group what is the group's.
const fn reading(owner: &DocOwner) -> Required<'_> {
    match owner {
        DocOwner::Group(group) => Required::InGroup(group),
        DocOwner::Org => Required::Member,
        DocOwner::User(_) => Required::OrgAdmin,
    }
}

const fn writing(owner: &DocOwner) -> Required<'_> {
    match owner {
        DocOwner::Group(group) => Required::Group(group),
        DocOwner::Org | DocOwner::User(_) => Required::OrgAdmin,
    }
}

/// What the ledger calls it: `rule/tone`, of a group `data:rule/tone`.
fn subject((owner, kind, slug): DocName<'_>) -> String {
    match owner {
        DocOwner::Org => format!("{kind}/{slug}"),
        owner => format!("{}:{kind}/{slug}", owner.id()),
    }
}

fn not_found() -> Fault {
    Fault::not_found("the instruction")
}

fn outdated(current: i64) -> StoreError {
    let message = format!("somebody else wrote in between: the newest version is {current}");
    StoreError::new(StoreErrorKind::Outdated, message, "load it, put your changes into it, and write again")
}

/// Every reason at once. The forbidden name itself is told to nobody here: the list of names is confidential.
fn refused(reasons: &[Reason]) -> Fault {
    let lines: Vec<String> = reasons.iter().map(Reason::line).collect();
    let errors = reasons.iter().map(|reason| Wrong { place: format!("/{}", reason.field.replace('.', "/")), rule: reason.detail.clone() });
    let fault = Fault::new(Code::InstructionRefused, format!("not written: {}", lines.join(" ; ")), "correct the text and write it again");
    Fault { errors: errors.collect(), ..fault }
}
