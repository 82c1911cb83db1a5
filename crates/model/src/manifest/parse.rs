//! From text to a [`Manifest`]: every section in its own file, all mistakes in one pass.

use super::{Manifest, ModuleCatalog};
use super::{credentials, filter, hitl, metadata, module, names, rates, servers, settings};
use crate::document::{Document, Place};
use crate::id::AgentType;
use crate::mistake::{Mistake, Mistakes, Reading, Report};
use crate::reader::{Field, Table};
use crate::shape::{Choice, Key, Section, Shape, formats};
use crate::substitute::substitute;

const FILTERED: &str = "Rules that are looked at in the order in which they stand.";

pub(crate) static MANIFEST: Section = Section {
    path: "",
    doc: "What agents of one type may do: modules, servers, credentials, limits, filters, approvals.",
    keys: &[
        Key::new("agent_type", Shape::Format(&formats::AGENT_TYPE), "The type of agents that the manifest is for.").required(),
        Key::new("description", Shape::Text, "Free text.").or(""),
        Key::new("modules", Shape::Modules, "Module key -> module, in load order. A manifest has at least one module or server."),
        Key::new(
            "servers",
            Shape::Entries { names: &formats::SERVER_NAME, value: &Shape::Section(&servers::GRANT), empty: true },
            "Servers of the gateway that the agent may use, by their names in bailiwick.yml.",
        ),
        Key::new("policy", Shape::Section(&servers::POLICY), "Globs over everything the agent sees."),
        Key::new("credentials", Shape::Section(&credentials::CREDENTIALS), "Where the credentials of modules come from."),
        Key::new("state_backend", Shape::Section(&settings::STATE_BACKEND), "Accepted for compatibility."),
        Key::new("rate_limits", Shape::Section(&rates::RATE_LIMITS), "Calls per time."),
        Key::new("argument_filters", Shape::List(&Shape::Section(&filter::ARGUMENT)), FILTERED).or("[]"),
        Key::new("response_filters", Shape::List(&Shape::Section(&filter::RESPONSE)), FILTERED).or("[]"),
        Key::new("hitl", Shape::Section(&hitl::HITL), "Approvals by a person."),
        Key::new("audit", Shape::Section(&settings::AUDIT), "What the readable call record shows."),
        Key::new("compat", Shape::Section(&settings::COMPAT), "What early versions of scoped-mcp did differently."),
        Key::new("content_limits", Shape::Section(&settings::CONTENT_LIMITS), "What of a result may reach the agent."),
        Key::new("max_auto_risk", Shape::Scalar, "A word of your own. Stored and shown, never acted on."),
        Key::new("interaction_permissions", Shape::Section(&metadata::INTERACTION), "Stored and shown, never acted on."),
        Key::new("workspace_access", Shape::List(&Shape::Section(&metadata::WORKSPACE)), "Stored and shown, never acted on.").or("[]"),
    ],
    needs: &[],
    choice: Choice::AnyOf(&["modules", "servers"]),
};

/// Largest binary block in a result when the manifest says nothing: 10 MiB.
pub const BINARY_BYTES_DEFAULT: u64 = 10 << 20;

impl Manifest {
    /// Reads a manifest. `file` is its name in messages, `env` answers `${VAR}`, `kinds` knows the module kinds of this build.
    ///
    /// Gives the manifest and its warnings.
    ///
    /// # Errors
    /// Every mistake of the text, with place and hint. No value of the text or of a variable is in them.
    pub fn parse(
        file: &str,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
        kinds: &dyn ModuleCatalog,
    ) -> Result<(Self, Vec<Mistake>), Mistakes> {
        Self::examine(file, text, env, kinds).finish()
    }

    /// Reads a manifest as far as it goes, with errors and warnings together. What is wrong is left out of the value.
    pub fn examine(file: &str, text: &str, env: &dyn Fn(&str) -> Option<String>, kinds: &dyn ModuleCatalog) -> Reading<Self> {
        let report = Report::new(file);
        let Some(mut document) = Document::read(text, &report) else { return report.finish(None, None) };
        substitute(&mut document, env, &report);
        let manifest = Field::root(&document.root, &MANIFEST, &report).table().and_then(|root| read(root, kinds));
        report.finish(manifest, Some(document))
    }

    /// Whether the manifest is for agents of `agent_type`.
    ///
    /// # Errors
    /// One mistake at the manifest's `agent_type`.
    pub fn check_agent_type(&self, agent_type: &AgentType) -> Result<(), Mistakes> {
        if self.agent_type == *agent_type {
            return Ok(());
        }
        let message = format!("the manifest is for agents of type `{}`, not `{agent_type}`", self.agent_type);
        let hint = "start the agent with the manifest of its type, or correct AGENT_TYPE";
        Err(Mistake::error(&self.file, self.agent_type_place, "agent_type", message).hint(hint).into())
    }
}

fn read(root: Table<'_>, kinds: &dyn ModuleCatalog) -> Option<Manifest> {
    let agent_type = agent_type(&root);
    let description = root.read("description", |field| field.text().map(str::to_owned)).unwrap_or_default();
    let modules = root.read("modules", |field| module::read(field, kinds)).unwrap_or_default();
    let servers = root.read("servers", servers::read).unwrap_or_default();
    if root.get("modules").is_none() && root.get("servers").is_none() {
        root.missing("modules", Some("a manifest lists at least one module or server"));
    }
    let manifest = Manifest {
        file: root.field.report().file().to_owned(),
        agent_type_place: agent_type.as_ref().map_or(Place::START, |(_, place)| *place),
        // Without a valid type there is an error, and this value is never seen.
        agent_type: agent_type.map_or_else(|| AgentType::parse("none").ok(), |(agent_type, _)| Some(agent_type))?,
        description,
        modules,
        servers,
        policy: root.read("policy", servers::lists).unwrap_or_default(),
        credentials: root.read("credentials", credentials::read).unwrap_or_default(),
        state_backend: root.read("state_backend", settings::state_backend).unwrap_or_default(),
        rate_limits: root.read("rate_limits", rates::read).unwrap_or_default(),
        argument_filters: root.read("argument_filters", |field| field.each(filter::argument)).unwrap_or_default(),
        response_filters: root.read("response_filters", |field| field.each(filter::response)).unwrap_or_default(),
        hitl: root.read("hitl", hitl::read).unwrap_or_default(),
        audit: root.read("audit", settings::audit).unwrap_or_default(),
        binary_bytes_max: root.read("content_limits", settings::content_limits).unwrap_or(Some(BINARY_BYTES_DEFAULT)),
        compat: root.read("compat", settings::compat).unwrap_or_default(),
        metadata: metadata::read(&root),
    };
    names::check(&root, &manifest, kinds);
    root.finish();
    Some(manifest)
}

fn agent_type(root: &Table<'_>) -> Option<(AgentType, Place)> {
    let field = root.get("agent_type")?;
    match AgentType::parse(field.text()?.trim()) {
        Ok(agent_type) => Some((agent_type, field.place())),
        Err(fault) => {
            field.error(fault.to_string());
            None
        }
    }
}
