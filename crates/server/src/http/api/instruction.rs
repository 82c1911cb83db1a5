//! `/v1/orgs/{org}/instructions`: what every agent of an organisation, or of one of its groups, is to follow. With `group` in the query
//! the group's texts are meant, without it the organisation's.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::instruction::{self, Broken, Written};
use bailiwick_gateway::operations::{Acting, Operations};
use bailiwick_model::{DocKind, DocOwner, DocSlug, GroupId, NewInstruction, OrgId};
use bailiwick_store::{DocName, InstructionEntry, Revision};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::cursor;
use super::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use super::org::OrgPath;
use super::page::{self, Limit, Page};
use super::route::Route;
use super::schemas;

const MANY: &str = "/v1/orgs/{org}/instructions";
const ONE: &str = "/v1/orgs/{org}/instructions/{kind}/{slug}";
const VERSIONS: &str = "/v1/orgs/{org}/instructions/{kind}/{slug}/versions";
const REVERT: &str = "/v1/orgs/{org}/instructions/{kind}/{slug}/revert";
const CHECK: &str = "/v1/orgs/{org}/instruction-check";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::of::<ListInstructions>(),
        Route::of::<ShowInstruction>(),
        Route::of::<PutInstruction>(),
        Route::of::<DeleteInstruction>(),
        Route::of::<ListVersions>(),
        Route::of::<RevertInstruction>(),
        Route::of::<CheckInstructions>(),
    ]
}

/// A line of a list; the text itself is shown alone.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct InstructionLine {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    /// The group whose it is; null: the organisation's.
    #[schema(value_type = Option<schemas::GroupId>)]
    pub(crate) group: Option<GroupId>,
    #[schema(value_type = schemas::DocName)]
    pub(crate) kind: DocKind,
    #[schema(value_type = schemas::DocName)]
    pub(crate) slug: DocSlug,
    /// The newest version.
    pub(crate) version: i64,
    /// A line for people.
    pub(crate) title: String,
    /// What it is for.
    pub(crate) description: String,
    /// `sha256:` and the digest of its SKILL.md.
    pub(crate) digest: String,
    /// Who wrote the newest version.
    pub(crate) updated_by: Option<String>,
    /// When.
    #[schema(value_type = schemas::Moment)]
    pub(crate) updated_at: String,
}

impl InstructionLine {
    fn of(org: &OrgId, row: InstructionEntry) -> Self {
        let InstructionEntry { owner, kind, slug, version, title, description, digest, set_by, updated_at } = row;
        let (org, group, updated_at) = (org.clone(), group(owner), updated_at.to_string());
        Self { org, group, kind, slug, version, title, description, digest, updated_by: set_by, updated_at }
    }
}

/// An instruction with its text.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Instruction {
    #[serde(flatten)]
    pub(crate) line: InstructionLine,
    /// The text.
    pub(crate) body: String,
    /// More members of the head of its SKILL.md.
    #[schema(value_type = Object)]
    pub(crate) frontmatter: Map<String, Value>,
}

impl Instruction {
    fn of(org: &OrgId, row: bailiwick_store::Instruction) -> Self {
        let bailiwick_store::Instruction { owner, kind, slug, version, title, description, body, frontmatter, digest, set_by, updated_at } =
            row;
        let entry = InstructionEntry { owner, kind, slug, version, title, description, digest, set_by, updated_at };
        Self { line: InstructionLine::of(org, entry), body, frontmatter }
    }
}

/// An instruction as it was just written.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct WrittenInstruction {
    #[serde(flatten)]
    pub(crate) instruction: Instruction,
    /// What the text calls a tool, as `<tool:name>`, and no agent has at this moment; null where no agent's tools are known.
    pub(crate) unresolved_tools: Option<Vec<String>>,
}

impl WrittenInstruction {
    fn of(org: &OrgId, written: Written) -> Self {
        Self { instruction: Instruction::of(org, written.instruction), unresolved_tools: written.unresolved_tools }
    }
}

/// One version in a history.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct InstructionVersion {
    /// Which.
    pub(crate) version: i64,
    /// Its title.
    pub(crate) title: String,
    /// Its description.
    pub(crate) description: String,
    /// `sha256:` and the digest of its SKILL.md.
    pub(crate) digest: String,
    /// Who wrote it.
    pub(crate) created_by: Option<String>,
    /// When.
    #[schema(value_type = schemas::Moment)]
    pub(crate) created_at: String,
}

impl From<Revision> for InstructionVersion {
    fn from(row: Revision) -> Self {
        let Revision { version, title, description, digest, set_by, created_at } = row;
        Self { version, title, description, digest, created_by: set_by, created_at: created_at.to_string() }
    }
}

/// The instruction that is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstructionPath {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    #[schema(value_type = schemas::DocName)]
    pub(crate) kind: DocKind,
    #[schema(value_type = schemas::DocName)]
    pub(crate) slug: DocSlug,
}

/// Whose instruction is meant.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhoseQuery {
    /// That of this group instead of the organisation's; then administering the group is enough to write, and being in it to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::GroupId>)]
    pub(crate) group: Option<GroupId>,
}

/// Which version of whose instruction.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionQuery {
    /// That of this group instead of the organisation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::GroupId>)]
    pub(crate) group: Option<GroupId>,
    /// This version instead of the newest, also of an instruction that was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub(crate) version: Option<u32>,
}

/// Which instructions.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstructionQuery {
    /// How many items at most; 100 when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 500)]
    pub(crate) limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048)]
    pub(crate) cursor: Option<String>,
    /// Those of this group instead of the organisation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::GroupId>)]
    pub(crate) group: Option<GroupId>,
    /// Only this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::DocName>)]
    pub(crate) kind: Option<DocKind>,
}

/// A page of whose history.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryQuery {
    /// How many items at most; 100 when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 500)]
    pub(crate) limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048)]
    pub(crate) cursor: Option<String>,
    /// That of this group instead of the organisation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::GroupId>)]
    pub(crate) group: Option<GroupId>,
}

/// What an instruction is to say.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstructionText {
    /// The text, 1 byte to 256 KiB.
    pub(crate) body: String,
    /// A line for people, at most 200 characters.
    #[serde(default)]
    pub(crate) title: String,
    /// What it is for, at most 1,024 characters.
    #[serde(default)]
    pub(crate) description: String,
    /// More members of the head of its SKILL.md, at most 16 KiB of JSON.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) frontmatter: Map<String, Value>,
}

/// To which version an instruction goes back.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackTo {
    /// What this version said becomes the next version.
    #[serde(deserialize_with = "super::decode::whole")]
    #[schema(minimum = 1)]
    pub(crate) version: u32,
}

/// Instructions that name tools which no agent has.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct InstructionCheck {
    /// Whether the tools of at least one agent are known at this moment; otherwise nothing was checked.
    pub(crate) checked: bool,
    /// Whether all texts were looked at: at most 2,000 are.
    pub(crate) complete: bool,
    /// What was found.
    pub(crate) broken: Vec<BrokenInstruction>,
}

/// An instruction that names tools which no agent has.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct BrokenInstruction {
    #[serde(flatten)]
    pub(crate) line: InstructionLine,
    /// The names.
    pub(crate) unresolved_tools: Vec<String>,
}

fn owner(group: Option<GroupId>) -> DocOwner {
    group.map_or(DocOwner::Org, DocOwner::Group)
}

fn group(owner: DocOwner) -> Option<GroupId> {
    match owner {
        DocOwner::Group(group) => Some(group),
        DocOwner::Org | DocOwner::User(_) => None,
    }
}

/// A list of its own for each owner: neither id can hold a `/`.
fn place(org: &OrgId, owner: &DocOwner) -> String {
    format!("{org}/{}", owner.id())
}

fn example_path() -> Value {
    json!({"org": "acme", "kind": "rule", "slug": "tone"})
}

/// Lists instructions.
pub(crate) struct ListInstructions;

impl Operation for ListInstructions {
    const FACTS: Facts =
        Facts::new("list_instructions", "instructions", Verb::Get, MANY, Needs::Member, "Lists instructions by kind and slug.");
    type Path = OrgPath;
    type Query = InstructionQuery;
    type Body = Nothing;
    type Answer = Page<InstructionLine>;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Page<InstructionLine>> {
        let Ask { path: OrgPath { org }, query, .. } = ask;
        let (owner, limit) = (owner(query.group), page::limit(query.limit));
        let place = place(&org, &owner);
        let after = after(&cursor::open(Self::FACTS.id, &place, query.cursor.as_deref())?)?;
        let rows = instruction::list(operations, acting, &org, (&owner, query.kind.as_ref()), (after, limit)).await?;
        // The store gives shorter pages than may be asked for; only an empty one is the last for sure.
        let next_cursor = rows.last().map(|last| cursor::seal(Self::FACTS.id, &place, &format!("{}/{}", last.kind, last.slug)));
        Ok(Page { items: rows.into_iter().map(|row| InstructionLine::of(&org, row)).collect(), next_cursor })
    }
}

fn after(last: &str) -> Done<Option<(DocKind, DocSlug)>> {
    if last.is_empty() {
        return Ok(None);
    }
    let (kind, slug) = last.split_once('/').ok_or_else(cursor::foreign)?;
    match (DocKind::parse(kind), DocSlug::parse(slug)) {
        (Ok(kind), Ok(slug)) => Ok(Some((kind, slug))),
        _ => Err(cursor::foreign()),
    }
}

/// Shows an instruction.
pub(crate) struct ShowInstruction;

impl Operation for ShowInstruction {
    const FACTS: Facts = Facts::new("show_instruction", "instructions", Verb::Get, ONE, Needs::Member, "Shows an instruction.");
    type Path = InstructionPath;
    type Query = VersionQuery;
    type Body = Nothing;
    type Answer = Instruction;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Instruction> {
        let Ask { path: InstructionPath { org, kind, slug }, query, .. } = ask;
        let owner = owner(query.group);
        let version = query.version.map(i64::from);
        instruction::get(operations, acting, &org, (&owner, &kind, &slug), version).await.map(|row| Instruction::of(&org, row))
    }

    fn version(answer: &Instruction) -> Option<i64> {
        Some(answer.line.version)
    }
}

/// Writes an instruction.
pub(crate) struct PutInstruction;

impl Operation for PutInstruction {
    const FACTS: Facts = Facts {
        versioned: true,
        ..Facts::new(
            "put_instruction",
            "instructions",
            Verb::Put,
            ONE,
            Needs::OrgAdmin,
            "Writes the next version of an instruction; those before it stay. For a group, administering that is enough.",
        )
    };
    type Path = InstructionPath;
    type Query = WhoseQuery;
    type Body = InstructionText;
    type Answer = WrittenInstruction;

    fn example() -> Example {
        Example { path: example_path(), body: json!({"body": "Answer briefly.", "title": "Tone"}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<WrittenInstruction> {
        let Ask { path: InstructionPath { org, kind, slug }, query, body, expected, .. } = ask;
        let InstructionText { body, title, description, frontmatter } = body;
        let new = NewInstruction { kind: kind.into(), slug: slug.into(), title, description, body, frontmatter };
        let written = instruction::put(operations, acting, &org, (&owner(query.group), new), expected).await?;
        Ok(WrittenInstruction::of(&org, written))
    }

    fn version(answer: &WrittenInstruction) -> Option<i64> {
        Some(answer.instruction.line.version)
    }
}

/// Deletes an instruction.
pub(crate) struct DeleteInstruction;

impl Operation for DeleteInstruction {
    const FACTS: Facts = Facts::new(
        "delete_instruction",
        "instructions",
        Verb::Delete,
        ONE,
        Needs::OrgAdmin,
        "Takes an instruction out of every list; its versions can still be shown and brought back.",
    )
    .answering(StatusCode::NO_CONTENT);
    type Path = InstructionPath;
    type Query = WhoseQuery;
    type Body = Nothing;
    type Answer = Nothing;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Nothing> {
        let Ask { path: InstructionPath { org, kind, slug }, query, .. } = ask;
        let owner = owner(query.group);
        instruction::delete(operations, acting, &org, (&owner, &kind, &slug)).await.map(|()| Nothing {})
    }
}

/// Lists the versions of an instruction.
pub(crate) struct ListVersions;

impl Operation for ListVersions {
    const FACTS: Facts = Facts::new(
        "list_instruction_versions",
        "instructions",
        Verb::Get,
        VERSIONS,
        Needs::Member,
        "Lists the versions of an instruction, the oldest first, also of one that was deleted.",
    );
    type Path = InstructionPath;
    type Query = HistoryQuery;
    type Body = Nothing;
    type Answer = Page<InstructionVersion>;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Page<InstructionVersion>> {
        let Ask { path: InstructionPath { org, kind, slug }, query, .. } = ask;
        let (owner, limit) = (owner(query.group), page::limit(query.limit));
        let name: DocName<'_> = (&owner, &kind, &slug);
        let place = format!("{}/{kind}/{slug}", place(&org, &owner));
        let after = match cursor::open(Self::FACTS.id, &place, query.cursor.as_deref())?.as_str() {
            "" => 0,
            last => last.parse().map_err(|_| cursor::foreign())?,
        };
        let rows = instruction::history(operations, acting, &org, name, (after, limit)).await?;
        let next_cursor = rows.last().map(|last| cursor::seal(Self::FACTS.id, &place, &last.version.to_string()));
        Ok(Page { items: rows.into_iter().map(InstructionVersion::from).collect(), next_cursor })
    }
}

/// Brings back what an earlier version said.
pub(crate) struct RevertInstruction;

impl Operation for RevertInstruction {
    const FACTS: Facts = Facts {
        versioned: true,
        ..Facts::new(
            "revert_instruction",
            "instructions",
            Verb::Post,
            REVERT,
            Needs::OrgAdmin,
            "Writes what an earlier version said as the next version, if today's rules admit it. For a group, administering that is enough.",
        )
    };
    type Path = InstructionPath;
    type Query = WhoseQuery;
    type Body = BackTo;
    type Answer = WrittenInstruction;

    fn example() -> Example {
        Example { path: example_path(), body: json!({"version": 1}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<WrittenInstruction> {
        let Ask { path: InstructionPath { org, kind, slug }, query, body, expected, .. } = ask;
        let owner = owner(query.group);
        let to = (i64::from(body.version), expected);
        let written = instruction::revert(operations, acting, &org, (&owner, &kind, &slug), to).await?;
        Ok(WrittenInstruction::of(&org, written))
    }

    fn version(answer: &WrittenInstruction) -> Option<i64> {
        Some(answer.instruction.line.version)
    }
}

/// Looks for instructions that name tools which no agent has.
pub(crate) struct CheckInstructions;

impl Operation for CheckInstructions {
    const FACTS: Facts = Facts::new(
        "check_instructions",
        "instructions",
        Verb::Get,
        CHECK,
        Needs::OrgAdmin,
        "Looks for instructions of the organisation and its groups that name tools which no agent has at this moment.",
    );
    type Path = OrgPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = InstructionCheck;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<InstructionCheck> {
        let org = ask.path.org;
        let found = instruction::check(operations, acting, &org).await?;
        let line = |Broken { entry, unresolved_tools }| BrokenInstruction { line: InstructionLine::of(&org, entry), unresolved_tools };
        let (checked, complete) = (found.is_some(), found.as_ref().is_some_and(|found| found.complete));
        Ok(InstructionCheck { checked, complete, broken: found.into_iter().flat_map(|found| found.broken).map(line).collect() })
    }
}
