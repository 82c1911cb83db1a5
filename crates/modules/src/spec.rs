//! What a module says about each of its tools.

use std::borrow::Cow;

pub use bailiwick_contract::ContentTrust;
pub use bailiwick_model::Access;
use serde_json::Value;

/// What the tool's contract says beside its risk, which follows from [`ToolSpec::access`] (reference, tool modules section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hints {
    /// The tool can destroy or overwrite what was there.
    pub destructive: bool,
    /// The same call again changes nothing more.
    pub idempotent: bool,
    /// The tool reaches parties outside the gateway's own resources.
    pub open_world: bool,
    /// How far the response can be trusted: a confirmation of our own is, what others may have written is not.
    pub content: ContentTrust,
}

impl Hints {
    /// A tool that only looks at the agent's own resources. They are where others put things for it, so nobody vouches for what stands there.
    pub const READ: Self = Self { destructive: false, idempotent: true, open_world: false, content: ContentTrust::Untrusted };
}

/// One tool as the module offers it. The gateway adds the prefix, the contract and the rest of the definition.
#[derive(Clone, Debug)]
pub struct ToolSpec {
    /// Name without the module's prefix: a letter, then letters, digits, `_`.
    pub name: Cow<'static, str>,
    /// A short name for people.
    pub title: Cow<'static, str>,
    /// What the tool does, accepts and refuses, below 1 KB.
    pub description: Cow<'static, str>,
    /// JSON Schema of the arguments: an object with `additionalProperties: false` and a description for every property.
    pub input_schema: Value,
    /// JSON Schema of the structured result as it is served. The root is always an object: for results that are not
    /// objects it describes the wrapped form `{"result": X}` (see [`crate::schema::wrapped`]).
    pub output_schema: Option<Value>,
    /// Whether the tool changes anything.
    pub access: Access,
    /// The rest of the contract.
    pub hints: Hints,
}
