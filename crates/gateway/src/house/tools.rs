//! The names, arguments and descriptions of the house's tools. Names and arguments are those of otomata-mcp (governance 2.2, 3.1, 4.2).

use std::sync::Arc;

use bailiwick_contract::{ContentTrust, Contract, Risk};
use bailiwick_mcp::Json;
use bailiwick_mcp::encode::legacy_tool;
use bailiwick_model::Role;
use bailiwick_model::manifest::Access;
use bailiwick_model::policy::Kind;
use bailiwick_modules::schema::{object, property};
use serde_json::{Map, Value, json};

use crate::catalog::{HOUSE, Origin, Tool, revision};
use crate::limits::Places;
use crate::product::META_REQUIRED_ROLE;
use crate::schema::Schema;

/// One of the house's tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HouseTool {
    ReadmeAgent,
    ListInstructions,
    GetInstruction,
    SetInstruction,
    RunStart,
    RunFinish,
    Feedback,
    ListFeedback,
}

use HouseTool::{Feedback, GetInstruction, ListFeedback, ListInstructions, ReadmeAgent, RunFinish, RunStart, SetInstruction};

impl HouseTool {
    /// Those that a configuration switches on.
    pub(crate) fn offered(instructions: bool, runs: bool, feedback: bool) -> Vec<Self> {
        let groups: [(bool, &[Self]); 3] = [
            (instructions, &[ReadmeAgent, ListInstructions, GetInstruction, SetInstruction]),
            (runs, &[RunStart, RunFinish]),
            (feedback, &[Feedback, ListFeedback]),
        ];
        groups.into_iter().filter(|(on, _)| *on).flat_map(|(_, tools)| tools.iter().copied()).collect()
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            ReadmeAgent => "readme_agent",
            ListInstructions => "list_instructions",
            GetInstruction => "get_instruction",
            SetInstruction => "set_instruction",
            RunStart => "run_start",
            RunFinish => "run_finish",
            Feedback => "feedback",
            ListFeedback => "list_feedback",
        }
    }

    pub(crate) fn into_tool(self, places: &Arc<Places>) -> Tool {
        let modern = Json::from_serialize(&self.definition()).unwrap_or_else(|_| Json::from_static("{}"));
        let input = Json::from_serialize(&self.input()).unwrap_or_else(|_| Json::from_static("{}"));
        Tool {
            kind: Kind::Tool,
            name: self.name().into(),
            source: HOUSE.into(),
            access: self.access(),
            risk: self.risk(),
            legacy: legacy_tool(&modern),
            plain: modern.clone(),
            revision: revision(&modern),
            modern,
            input: Schema::new(input),
            output: None,
            param_headers: Vec::new(),
            lends: false,
            sensitive: Vec::new(),
            bound: None,
            origin: Origin::House { tool: self, places: places.clone() },
        }
    }

    const fn access(self) -> Access {
        match self {
            ReadmeAgent | ListInstructions | GetInstruction | ListFeedback => Access::Read,
            SetInstruction | RunStart | RunFinish | Feedback => Access::Write,
        }
    }

    /// The role that a call requires. A group's instructions need less: whoever administers the group writes them.
    pub(crate) const fn required(self) -> Role {
        match self {
            ReadmeAgent | ListInstructions | GetInstruction | RunStart | RunFinish | Feedback => Role::Member,
            SetInstruction | ListFeedback => Role::OrgAdmin,
        }
    }

    const fn risk(self) -> Risk {
        match self {
            SetInstruction => Risk::HighRiskWrite,
            tool if matches!(tool.access(), Access::Read) => Risk::ReadOnly,
            _ => Risk::LowRiskWrite,
        }
    }

    fn definition(self) -> Value {
        let (title, description) = self.texts();
        let mut definition = Map::new();
        definition.insert("name".to_owned(), json!(self.name()));
        definition.insert("title".to_owned(), json!(title));
        definition.insert("description".to_owned(), json!(description));
        definition.insert("inputSchema".to_owned(), self.input());
        definition.insert("annotations".to_owned(), json!({"title": title, "openWorldHint": false}));
        // Administrators of the organisation write instructions; feedback is written by agents, who may have been led astray.
        let content = if self == ListFeedback { ContentTrust::Untrusted } else { ContentTrust::Trusted };
        let contract = Contract::new(self.risk()).content_trust(content);
        let repeatable = self.access() == Access::Read || self == RunFinish;
        if repeatable { contract.idempotent() } else { contract }.put_into(&mut definition);
        definition.entry("_meta").or_insert_with(|| json!({}))[META_REQUIRED_ROLE] = json!(self.required());
        Value::Object(definition)
    }

    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            ReadmeAgent => (
                "Read this first",
                "What your organisation wants every agent to know before it begins, and the list of its instructions. Call it once at the start.",
            ),
            ListInstructions => (
                "List the instructions",
                "The instructions of your organisation and your groups, without their texts; all kinds, or one. Load the text with `get_instruction`.",
            ),
            GetInstruction => ("Load an instruction", "The text of one instruction: the newest version, or the one you name."),
            SetInstruction => (
                "Write an instruction",
                "Writes a new version of an instruction; older ones stay. For administrators. Refused when it names persons or clients, \
                 with every reason at once.",
            ),
            RunStart => (
                "Begin a run",
                "Begins a named stretch of work; your calls belong to it until `run_finish`. Runs may be nested. Where calls are not told \
                 apart by a session, repeat the id you get in the argument `_run_id` of later calls.",
            ),
            RunFinish => (
                "End a run",
                "Ends a run with what came of it: `done`, `abandoned`, `failed` or `blocked`. Ending one that is not open changes nothing \
                 and says so.",
            ),
            Feedback => (
                "Give feedback",
                "Tells the people behind this gateway that a tool misled you, failed or helped (`tool_feedback`), or that something is \
                 missing (`gap`). Better than giving up silently.",
            ),
            ListFeedback => ("Read feedback", "The newest feedback of agents and people in your organisation. For administrators."),
        }
    }

    fn input(self) -> Value {
        let text = |description: &str| property("string", description, json!({}));
        let optional = |kind: &str, description: &str| json!({"type": [kind, "null"], "default": null, "description": description});
        let name = |description: &str| property("string", description, json!({"maxLength": 64}));
        match self {
            ReadmeAgent => object(&[], &[]),
            ListInstructions => object(&[("kind", optional("string", "Only this kind, such as `rule` or `skill`."))], &[]),
            GetInstruction => object(
                &[
                    ("kind", name("Its kind.")),
                    ("slug", name("Its name within the kind.")),
                    ("version", optional("integer", "This version instead of the newest.")),
                    ("group", optional("string", "The text of this group of yours instead of the organisation's.")),
                ],
                &["kind", "slug"],
            ),
            SetInstruction => object(
                &[
                    ("kind", name("Its kind: lower-case letters, digits, `_`, `-`.")),
                    ("slug", name("Its name within the kind, of the same letters.")),
                    ("body", text("The text, up to 256 KiB.")),
                    ("title", property("string", "A line for people.", json!({"default": ""}))),
                    ("description", property("string", "What it is for, so that agents can decide to load it.", json!({"default": ""}))),
                    ("expected_version", optional("integer", "Write only when this is the newest version; 0 = when there is none yet.")),
                    ("group", optional("string", "Write for this group that you administer instead of the organisation.")),
                ],
                &["kind", "slug", "body"],
            ),
            RunStart => object(
                &[
                    ("label", text("What the work is, up to 200 characters.")),
                    ("doctrine", optional("string", "The slug of the instruction that you follow.")),
                ],
                &["label"],
            ),
            RunFinish => object(
                &[
                    ("run_id", text("What `run_start` gave you.")),
                    ("outcome", text("`done`, `abandoned`, `failed` or `blocked`.")),
                    ("note", optional("string", "A word about it, up to 4,000 characters.")),
                ],
                &["run_id", "outcome"],
            ),
            Feedback => object(
                &[
                    ("signal", text("`tool_feedback` or `gap`.")),
                    (
                        "kind",
                        text(
                            "For `tool_feedback`: `bug`, `misleading_doc`, `wrong_result`, `praise`, `other`. For `gap`: `missing_tool`, \
                             `missing_doctrine`, `missing_data`, `other`.",
                        ),
                    ),
                    ("target", text("The tool, or what is missing.")),
                    ("text", optional("string", "What happened, up to 4,000 characters.")),
                ],
                &["signal", "kind", "target"],
            ),
            ListFeedback => object(&[("limit", property("integer", "How many, 1 to 500.", json!({"default": 50})))], &[]),
        }
    }
}
