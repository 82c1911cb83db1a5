//! What things are and what is allowed.
//!
//! Nouns, names, ids, refusal codes, manifests, configuration and the one decision function. Pure: nothing here is
//! async, opens a file or a socket, or reads a clock; time and text come in as arguments.

pub mod address;
pub mod binding;
pub mod code;
pub mod config;
pub mod document;
pub mod feedback;
pub mod glob;
pub mod id;
pub mod instruction;
pub mod manifest;
pub mod mistake;
pub mod name;
pub mod policy;
pub mod rate;
mod reader;
pub mod registered;
pub mod role;
pub mod run;
pub mod schema;
pub mod secret_text;
pub mod sensitive;
mod shape;
mod substitute;
pub mod template;
pub mod time;
pub mod upstream;

pub use code::Code;
pub use config::Config;
pub use feedback::{FeedbackKind, NewFeedback, Signal};
pub use glob::Glob;
pub use id::{AgentId, AgentType, EventId, FeedbackId, GroupId, KeyId, OrgId, RunId, ServerId, Subject};
pub use instruction::{DocKind, DocOwner, DocSlug, HouseRules, NewInstruction, VettedInstruction};
pub use manifest::{Access, Manifest};
pub use mistake::{Mistake, Mistakes};
pub use name::{ServerName, ToolName};
pub use rate::Rate;
pub use role::{Role, Standing};
pub use run::{Outcome, RunLabel, RunNote, RunOwner, RunSource};
pub use sensitive::Sensitive;
pub use time::Timestamp;
