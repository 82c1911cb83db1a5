//! Which buckets are the agent's: those the operator listed, and those it created, which are remembered across restarts.
//!
//! A created bucket is named `<owner><separator><name>`. The owner is the agent's id, for agents of other organisations
//! `@<organisation>:<id>`. Ids may hold and end in `-`, so the default separator `--` is kept apart from what surrounds it: a name neither
//! begins with `-` nor holds `--`, which makes the last `--` the separator and every name one agent's alone. What cannot be
//! told from the name alone (with the older separator `-`) is told by the memory: a bucket is reached only by the agent whose call created it.

use std::sync::Arc;

use bailiwick_model::Code;

use crate::fault::ToolFault;
use crate::host::{Memory, MemoryFault};
use crate::module::ModuleSetup;
use crate::scope::{Allowlist, Scoping};

/// Longest name of a bucket, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 256;
/// Longest name that an agent gives, in bytes.
pub(super) const OWN_NAME_BYTES_MAX: usize = 64;
/// The separator when none is configured.
pub(super) const SEPARATOR: &str = "--";
/// What separators are made of.
pub(super) const SEPARATOR_CHARS: [char; 4] = ['-', '_', '.', ':'];
/// Longest separator.
pub(super) const SEPARATOR_BYTES_MAX: usize = 8;
/// Where created buckets are remembered.
const TOPIC: &str = "buckets";

pub(super) struct Buckets {
    listed: Allowlist,
    owner: String,
    separator: String,
    /// The name that an agent of the home organisation got before there was `--`; looked for when no separator is configured.
    older: bool,
    memory: Arc<dyn Memory>,
}

impl Buckets {
    pub(super) fn new(setup: &ModuleSetup<'_>, listed: Vec<String>, separator: Option<&str>) -> Self {
        let owner = match setup.org {
            None => setup.agent_id.to_string(),
            Some(org) => format!("@{org}:{}", setup.agent_id),
        };
        Self {
            listed: Allowlist::new("bucket", listed),
            owner,
            separator: separator.unwrap_or(SEPARATOR).to_owned(),
            older: separator.is_none() && setup.org.is_none(),
            memory: Arc::clone(&setup.host.memory),
        }
    }

    /// What the names of buckets that the agent creates begin with.
    pub(super) fn prefix(&self) -> String {
        format!("{}{}", self.owner, self.separator)
    }

    /// Refuses what is neither listed nor of the form of a created bucket; [`Buckets::reach`] has the last word.
    pub(super) fn check(&self, bucket: &str) -> Result<(), ToolFault> {
        let own = bucket.strip_prefix(&self.owner).is_some_and(|rest| rest.starts_with(SEPARATOR_CHARS));
        if own { Ok(()) } else { self.listed.place(bucket).map(drop) }
    }

    /// Whether the agent may use `bucket`.
    ///
    /// # Errors
    /// `scope_violation`; `internal` when the memory cannot be used.
    pub(super) async fn reach(&self, bucket: &str) -> Result<(), ToolFault> {
        match self.listed.place(bucket) {
            Ok(_) => Ok(()),
            Err(foreign) => {
                let created = self.memory.recall(TOPIC).await.map_err(unusable)?;
                if created.contains(bucket) { Ok(()) } else { Err(foreign) }
            }
        }
    }

    /// The whole name for what the agent calls `name`.
    ///
    /// # Errors
    /// `invalid_argument` for anything but 1 to 64 letters, digits, `_` and `-`, and for a name that would blur the separator.
    pub(super) fn name(&self, name: &str) -> Result<String, ToolFault> {
        let sound =
            (1..=OWN_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !sound {
            return Err(ToolFault::invalid("`name` is not a name for a bucket", "write 1 to 64 letters, digits, `_` and `-`"));
        }
        let dashes = self.separator.len() > 1 && self.separator.bytes().all(|b| b == b'-');
        if dashes && (name.starts_with('-') || name.contains(&self.separator)) {
            let remedy = format!("do not begin the name with `-` and leave `{}` out of it", self.separator);
            return Err(ToolFault::invalid("`name` cannot be told apart from the part before it", remedy));
        }
        Ok(format!("{}{name}", self.prefix()))
    }

    /// The name that `name` had in the older form, when that has to be looked for.
    pub(super) fn older(&self, name: &str) -> Option<String> {
        self.older.then(|| format!("{}-{name}", self.owner))
    }

    /// Refuses early when nothing can be remembered.
    pub(super) async fn ready(&self) -> Result<(), ToolFault> {
        self.memory.recall(TOPIC).await.map(drop).map_err(unusable)
    }

    /// From now on the agent may use `bucket`.
    pub(super) async fn created(&self, bucket: &str) -> Result<(), ToolFault> {
        let lost = |cause: MemoryFault| {
            let remedy = "ask the operator to list the bucket";
            ToolFault::new(Code::Internal, "the bucket was created and could not be remembered", remedy)
                .because(format!("`{bucket}`: {cause}"))
        };
        self.memory.remember(TOPIC, bucket).await.map_err(lost)
    }
}

fn unusable(cause: MemoryFault) -> ToolFault {
    ToolFault::internal(cause.to_string())
}
