//! Facts that are stored and shown, never acted on.

use crate::reader::{Field, Table};
use crate::shape::{Choice, Key, Section, Shape};

pub(super) static INTERACTION: Section = Section {
    path: "interaction_permissions",
    doc: "Kinds of interaction by need of approval. Stored and shown, never acted on.",
    keys: &[
        Key::new("auto_approved", Shape::List(&Shape::Text), "Kinds that go without asking.").or("[]"),
        Key::new("needs_approval", Shape::List(&Shape::Text), "Kinds that go only after asking.").or("[]"),
    ],
    needs: &[],
    choice: Choice::Free,
};

pub(super) static WORKSPACE: Section = Section {
    path: "workspace_access[]",
    doc: "A directory the agent works in. Stored and shown, never acted on.",
    keys: &[
        Key::new("path", Shape::Filled, "The directory.").required(),
        Key::new("access", Shape::Filled, "A word such as `read` or `write`.").required(),
        Key::new("git_backed", Shape::Boolean, "Whether it is under version control.").or("false"),
        Key::new("branch_required", Shape::Boolean, "Whether changes go to a branch.").or("false"),
    ],
    needs: &[],
    choice: Choice::Free,
};

/// `max_auto_risk`, `interaction_permissions` and `workspace_access`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// A word of the author's own.
    pub max_auto_risk: Option<String>,
    /// Kinds of interaction.
    pub interaction_permissions: InteractionPermissions,
    /// Directories the agent works in.
    pub workspace_access: Vec<WorkspaceAccess>,
}

/// Kinds of interaction by need of approval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InteractionPermissions {
    /// Without asking.
    pub auto_approved: Vec<String>,
    /// Only after asking.
    pub needs_approval: Vec<String>,
}

/// One directory the agent works in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceAccess {
    /// Path as written.
    pub path: String,
    /// A word such as `read` or `write`.
    pub access: String,
    /// Whether it is under version control.
    pub git_backed: bool,
    /// Whether changes go to a branch.
    pub branch_required: bool,
}

pub(super) fn read(root: &Table<'_>) -> Metadata {
    Metadata {
        max_auto_risk: root.read("max_auto_risk", Field::scalar),
        interaction_permissions: root.read("interaction_permissions", interaction).unwrap_or_default(),
        workspace_access: root.read("workspace_access", |field| field.each(workspace)).unwrap_or_default(),
    }
}

fn interaction(field: &Field<'_>) -> Option<InteractionPermissions> {
    let table = field.table()?;
    let list = |key| table.read(key, |f| f.each(|f| f.text().map(str::to_owned))).unwrap_or_default();
    let permissions = InteractionPermissions { auto_approved: list("auto_approved"), needs_approval: list("needs_approval") };
    table.finish();
    Some(permissions)
}

fn workspace(field: &Field<'_>) -> Option<WorkspaceAccess> {
    let table = field.table()?;
    let path = table.read("path", |f| f.filled().map(str::to_owned));
    let access = table.read("access", |f| f.filled().map(str::to_owned));
    let git_backed = table.read("git_backed", Field::boolean).unwrap_or(false);
    let branch_required = table.read("branch_required", Field::boolean).unwrap_or(false);
    table.finish();
    Some(WorkspaceAccess { path: path?, access: access?, git_backed, branch_required })
}
