//! `readme_agent`, `list_instructions`, `get_instruction`, `set_instruction` (governance 2.2).

use bailiwick_model::instruction::{DocKind, DocOwner, DocSlug, HouseRules, NewInstruction, Reason, tool_references};
use bailiwick_model::{Code, GroupId, Role, Standing};
use bailiwick_modules::ToolOutput;
use bailiwick_store::{INSTRUCTION_LAYERS_MAX, Instruction, InstructionEntry, InstructionPut};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::words::contexts;
use super::{HouseTool, arguments, forbidden, output, refused, require};
use crate::call::decode::Story;
use crate::gateway::Gateway;
use crate::refusal::Refusal;

/// Kind and slug of the text that stands in `readme_agent` below the operator's: an organisation writes it like any other.
const README: (&str, &str) = ("readme", "agent");

/// A line of a list; never the text. `group` only where the text is a group's.
#[derive(Serialize)]
struct Entry<'a> {
    kind: &'a str,
    slug: &'a str,
    title: &'a str,
    description: &'a str,
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
}

impl<'a> Entry<'a> {
    fn of(entry: &'a InstructionEntry) -> Self {
        Self {
            kind: entry.kind.as_str(),
            slug: entry.slug.as_str(),
            title: &entry.title,
            description: &entry.description,
            version: entry.version,
            group: group(&entry.owner),
        }
    }
}

#[derive(Deserialize)]
struct ListArguments {
    kind: Option<String>,
}

#[derive(Deserialize)]
struct GetArguments {
    kind: String,
    slug: String,
    version: Option<i64>,
    group: Option<String>,
}

#[derive(Deserialize)]
struct SetArguments {
    kind: String,
    slug: String,
    body: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    description: String,
    expected_version: Option<i64>,
    group: Option<String>,
}

pub(super) async fn readme(gateway: &Gateway, story: &Story, standing: &Standing) -> Result<ToolOutput, Refusal> {
    let owners = layers(standing);
    let entries = entries(gateway, story, &owners, None).await?;
    let mut parts: Vec<String> = gateway.house().instructions().and_then(|config| config.readme.clone()).into_iter().collect();
    for owner in &owners {
        if let Some(own) = find(gateway, story, owner, README, None).await? {
            parts.push(own.body);
        }
    }
    let listed: Vec<Entry<'_>> = entries.iter().map(Entry::of).collect();
    let mut readme = json!({"scope": story.caller.scope().org(), "readme": parts.join("\n\n"), "instructions": listed});
    let view = story.caller.bailiwick().view(&story.lens).await;
    let org = story.caller.scope().org();
    let said: Vec<_> = contexts(&view).map(|(server, context)| json!({"server": server, "from": org, "context": *context})).collect();
    if !said.is_empty() {
        readme["server_contexts"] = json!(said);
    }
    output(&readme)
}

pub(super) async fn list(gateway: &Gateway, story: &Story, standing: &Standing) -> Result<ToolOutput, Refusal> {
    let ListArguments { kind } = arguments(story)?;
    // What is no kind has no texts.
    let kind = match kind.as_deref().map(DocKind::parse) {
        Some(Err(_)) => return output(&json!([])),
        Some(Ok(kind)) => Some(kind),
        None => None,
    };
    let entries = entries(gateway, story, &layers(standing), kind.as_ref()).await?;
    output(&entries.iter().map(Entry::of).collect::<Vec<_>>())
}

pub(super) async fn get(gateway: &Gateway, story: &Story, standing: &Standing) -> Result<ToolOutput, Refusal> {
    let GetArguments { kind, slug, version, group: wanted } = arguments(story)?;
    let name = (kind.as_str(), slug.as_str());
    let mut owners = layers(standing);
    if let Some(wanted) = &wanted {
        owners.retain(|owner| group(owner) == Some(wanted));
    }
    for owner in &owners {
        if let Some(found) = find(gateway, story, owner, name, version).await? {
            let mut result = json!({"kind": kind, "slug": slug, "title": found.title, "version": found.version, "body": found.body});
            if let Some(group) = group(owner) {
                result["group"] = json!(group);
            }
            return output(&result);
        }
    }
    let message = format!("there is no instruction `{}/{}` for you", shown(&kind), shown(&slug));
    Err(Refusal::new(Code::InstructionNotFound, message, "look at `list_instructions`"))
}

/// The gate of the role comes first: who may not write learns nothing of the rules.
pub(super) async fn set(gateway: &Gateway, story: &Story, standing: &Standing) -> Result<ToolOutput, Refusal> {
    let SetArguments { kind, slug, body, title, description, expected_version, group } = arguments(story)?;
    let owner = match &group {
        None => {
            require(standing, HouseTool::SetInstruction.required())?;
            DocOwner::Org
        }
        Some(group) => owned_group(gateway, story, standing, group).await?,
    };
    // The tool of the original knows no frontmatter; what stands there stays.
    let before = find(gateway, story, &owner, (&kind, &slug), None).await?;
    let frontmatter = before.map(|before| before.frontmatter).unwrap_or_default();
    let new = NewInstruction { kind, slug, title, description, body, frontmatter };
    let none = HouseRules::default();
    let rules = gateway.house().instructions().map_or(&none, |config| &config.rules);
    let vetted = new.vet(rules).map_err(|reasons| not_accepted(&reasons, standing))?;
    let written = gateway.house().contents.put(story.caller.scope(), &owner, &vetted, expected_version).await;
    let version = match written.map_err(|error| refused(&error))? {
        InstructionPut::Saved(saved) => saved.version,
        InstructionPut::Conflict { current } => return Err(conflict(current)),
    };
    let mut result = json!({"kind": vetted.kind(), "slug": vetted.slug(), "version": version});
    let unresolved = unresolved_tools(story, &vetted.text().body).await;
    if !unresolved.is_empty() {
        result["unresolved_tools"] = json!(unresolved);
    }
    output(&result)
}

/// The group that the caller may write for. Who administers the organisation may for every group that there is.
async fn owned_group(gateway: &Gateway, story: &Story, standing: &Standing, group: &str) -> Result<DocOwner, Refusal> {
    let Some(group) = GroupId::parse(group).ok().filter(|group| standing.administers(group)) else {
        return Err(forbidden(standing, Role::GroupAdmin));
    };
    let own = standing.groups.iter().any(|(known, _)| *known == group);
    if own || gateway.store().groups().get(story.caller.scope(), &group).await.is_ok() {
        return Ok(DocOwner::Group(group));
    }
    Err(Refusal::new(Code::NotFound, format!("there is no group `{group}`"), "write for one of the organisation's groups"))
}

/// Whose texts the caller reads: the organisation's first, then those of his groups.
pub(super) fn layers(standing: &Standing) -> Vec<DocOwner> {
    let groups = standing.groups.iter().map(|(group, _)| DocOwner::Group(group.clone()));
    std::iter::once(DocOwner::Org).chain(groups).take(INSTRUCTION_LAYERS_MAX).collect()
}

fn group(owner: &DocOwner) -> Option<&str> {
    match owner {
        DocOwner::Group(group) => Some(group.as_str()),
        DocOwner::Org | DocOwner::User(_) => None,
    }
}

async fn entries(gateway: &Gateway, story: &Story, owners: &[DocOwner], kind: Option<&DocKind>) -> Result<Vec<InstructionEntry>, Refusal> {
    gateway.house().contents.list(story.caller.scope(), owners, kind).await.map_err(|error| refused(&error))
}

async fn find(
    gateway: &Gateway,
    story: &Story,
    owner: &DocOwner,
    (kind, slug): (&str, &str),
    version: Option<i64>,
) -> Result<Option<Instruction>, Refusal> {
    let (Ok(kind), Ok(slug)) = (DocKind::parse(kind), DocSlug::parse(slug)) else { return Ok(None) };
    gateway.house().contents.get(story.caller.scope(), owner, &kind, &slug, version).await.map_err(|error| refused(&error))
}

/// Every reason at once, as the original joins them. The list of names is confidential: which one it was stands in the details alone, which
/// are on no record, and only for administrators of the organisation.
fn not_accepted(reasons: &[Reason], standing: &Standing) -> Refusal {
    let told: Vec<String> = reasons.iter().map(Reason::line).collect();
    let detail = |reason: &Reason| {
        let named = reason.term.as_ref().filter(|_| standing.is(Role::OrgAdmin));
        let detail = named.map_or_else(|| reason.detail.clone(), |term| format!("contains the forbidden name `{term}`"));
        json!({"rule": reason.rule.as_str(), "field": reason.field, "detail": detail})
    };
    let details: Vec<Value> = reasons.iter().map(detail).collect();
    Refusal::new(Code::InstructionRefused, format!("not written: {}", told.join(" ; ")), "correct the text and write it again")
        .with_details(json!({"reasons": details}))
}

fn conflict(current: i64) -> Refusal {
    let message = format!("somebody else wrote in between: the newest version is {current}");
    Refusal::new(Code::VersionConflict, message, "load it with `get_instruction`, put your changes into it, and write again")
        .with_details(json!({"current_version": current}))
}

/// What the text calls a tool and the writer cannot call.
async fn unresolved_tools(story: &Story, body: &str) -> Vec<String> {
    let view = story.caller.bailiwick().view(&story.lens).await;
    tool_references(body).names.into_iter().filter(|name| view.tool(name).is_none()).collect()
}

/// What the caller wrote, fit for one line.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}
