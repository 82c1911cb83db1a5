//! Instructions with their history: what agents read and write with tools, for people who administer them.

use bailiwick_model::instruction::{Reason, tool_references};
use bailiwick_model::{Code, DocKind, DocOwner, DocSlug, NewInstruction, OrgId};
use bailiwick_store::event::EventKind;
use bailiwick_store::{
    DocName, Instruction, InstructionEntry, InstructionPut, InstructionRevert, OrgScope, Revision, StoreError, StoreErrorKind,
};

use super::fault::{Done, Fault, Wrong};
use super::{Acting, Deed, Operations, Required};

/// Instructions that one check looks through.
pub const CHECKED_MAX: usize = 2_000;
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

/// What a check has found.
#[derive(Clone, Debug)]
pub struct Check {
    /// In the order of the lists: the organisation's texts, then those of each group.
    pub broken: Vec<Broken>,
    /// Whether all texts were looked at; at most [`CHECKED_MAX`] are.
    pub complete: bool,
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
    check_group(ops, reader.scope(), owner).await?;
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
    check_group(ops, admin.scope(), owner).await?;
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

/// The texts of the organisation and of its groups that name tools which nobody has; for administrators of the organisation. `None`
/// where no tools are known at this moment.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn check(ops: &Operations, acting: &Acting, org: &OrgId) -> Done<Option<Check>> {
    let reader = ops.reader(acting, org, Required::OrgAdmin, "instruction check").await?;
    let (mut found, mut looked_at) = (Check { broken: Vec::new(), complete: true }, 0);
    for owner in owners(ops, reader.scope()).await? {
        let mut after: Option<InstructionEntry> = None;
        loop {
            let place = after.as_ref().map(InstructionEntry::name);
            let one = std::slice::from_ref(&owner);
            let entries = ops.store().instructions().list(reader.scope(), one, None, place, CHECKED_AT_ONCE).await?;
            let Some(last) = entries.last().cloned() else { break };
            for entry in entries {
                looked_at += 1;
                if looked_at > CHECKED_MAX {
                    return Ok(Some(Check { complete: false, ..found }));
                }
                match broken(ops, (acting, org), reader.scope(), entry).await? {
                    Some(one) => found.broken.extend(one),
                    None => return Ok(None),
                }
            }
            after = Some(last);
        }
    }
    Ok(Some(found))
}

/// `None` where no tools are known; nothing inside for a text that names none in vain.
async fn broken(
    ops: &Operations,
    (acting, org): (&Acting, &OrgId),
    scope: &OrgScope,
    entry: InstructionEntry,
) -> Done<Option<Option<Broken>>> {
    let (owner, kind, slug) = entry.name();
    // It may have been deleted in between.
    let Some(text) = ops.store().instructions().latest(scope, owner, kind, slug).await? else { return Ok(Some(None)) };
    let Some(unresolved_tools) = unresolved(ops, (acting, true), org, &text.body).await else { return Ok(None) };
    Ok(Some((!unresolved_tools.is_empty()).then_some(Broken { entry, unresolved_tools })))
}

/// The organisation, then its groups.
async fn owners(ops: &Operations, scope: &OrgScope) -> Done<Vec<DocOwner>> {
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
    let everybodys = matches!(owner, DocOwner::Org) || admin.is_platform();
    let unresolved_tools = unresolved(ops, (acting, everybodys), org, &instruction.body).await;
    Ok(Written { instruction, unresolved_tools })
}

/// Whether `everybodys` tools are asked for, which only administrators of the organisation may, or the caller's own.
async fn unresolved(ops: &Operations, (acting, everybodys): (&Acting, bool), org: &OrgId, body: &str) -> Option<Vec<String>> {
    let names = tool_references(body).names;
    if names.is_empty() {
        return Some(names);
    }
    ops.tools()?.missing(org, acting.scope(), everybodys, names).await
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

/// A name that no group has is a mistake, not an empty list.
async fn check_group(ops: &Operations, scope: &OrgScope, owner: &DocOwner) -> Done<()> {
    match owner {
        DocOwner::Group(group) => Ok(ops.store().groups().get(scope, group).await.map(drop)?),
        DocOwner::Org | DocOwner::User(_) => Ok(()),
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
