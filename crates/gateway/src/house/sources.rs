//! What a program that builds its own server from these crates may bring along: in which organisation a caller acts, who has which role,
//! where instructions are kept, and who hears of every call (governance 2.1). Without them configuration and store do it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bailiwick_model::instruction::{DocKind, DocOwner, DocSlug, VettedInstruction};
use bailiwick_model::{AgentId, AgentType, OrgId, Standing, Subject};
use bailiwick_store::event::EventRow;
use bailiwick_store::{INSTRUCTION_PAGE_MAX, Instruction, InstructionEntry, InstructionPut, Scope, Store, StoreResult};

/// Entries of one list.
pub const LISTED_MAX: usize = 2_000;

/// What a source gives in its own time.
pub type SourceFuture<'a, T> = Pin<Box<dyn Future<Output = StoreResult<T>> + Send + 'a>>;

/// The parts that a program brings along; what is absent is done by configuration and store.
#[derive(Clone, Default)]
pub struct OwnParts {
    /// In which organisation a caller acts.
    pub scopes: Option<Arc<dyn ScopeResolver>>,
    /// Who is what in it.
    pub roles: Option<Arc<dyn RoleSource>>,
    /// Where instructions are kept.
    pub contents: Option<Arc<dyn ContentStore>>,
    /// Who hears of every call.
    pub calls: Option<Arc<dyn CallSink>>,
}

/// Who wants to act, as far as it has been proven: by a token, or by the launch of the process.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The person; `None` for an agent that acts by itself.
    pub sub: Option<Subject>,
    /// His address, as the token has it.
    pub email: Option<String>,
    /// The agent.
    pub agent_id: AgentId,
    /// Its kind.
    pub agent_type: AgentType,
}

/// In which organisation a caller acts (governance 1.3). Not asked for API keys, which are of one organisation.
pub trait ScopeResolver: Send + Sync {
    /// The organisation; `None` refuses the caller.
    fn org<'a>(&'a self, who: &'a Identity) -> SourceFuture<'a, Option<OrgId>>;
}

/// Who hears of every call once it is recorded, refused ones included.
pub trait CallSink: Send + Sync {
    /// One call: redacted and cut as in the readable record. Must return at once; nothing waits for it and nothing fails with it.
    fn call(&self, row: &EventRow);
}

/// Who is what in an organisation.
pub trait RoleSource: Send + Sync {
    /// What the acting principal is in its organisation now. Asked with every call of a tool of the house; nobody is a standing
    /// without role, not an error.
    fn standing<'a>(&'a self, scope: &'a Scope) -> SourceFuture<'a, Standing>;
}

/// Where instructions are kept. Every function takes the scope first and must never give what belongs to another organisation.
pub trait ContentStore: Send + Sync {
    /// The newest version of a text, or the one that is named; `None` when there is none.
    fn get<'a>(
        &'a self,
        scope: &'a Scope,
        owner: &'a DocOwner,
        kind: &'a DocKind,
        slug: &'a DocSlug,
        version: Option<i64>,
    ) -> SourceFuture<'a, Option<Instruction>>;

    /// The newest version of each text of these owners in their order, of one kind or of all, of each owner by kind and slug; at most
    /// [`LISTED_MAX`].
    fn list<'a>(&'a self, scope: &'a Scope, owners: &'a [DocOwner], kind: Option<&'a DocKind>) -> SourceFuture<'a, Vec<InstructionEntry>>;

    /// Writes a new version. With `expected` only when that is the newest one (0: there is none).
    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        owner: &'a DocOwner,
        new: &'a VettedInstruction,
        expected: Option<i64>,
    ) -> SourceFuture<'a, InstructionPut>;
}

impl RoleSource for Store {
    fn standing<'a>(&'a self, scope: &'a Scope) -> SourceFuture<'a, Standing> {
        Box::pin(async move { self.members().standing(scope).await })
    }
}

impl ContentStore for Store {
    fn get<'a>(
        &'a self,
        scope: &'a Scope,
        owner: &'a DocOwner,
        kind: &'a DocKind,
        slug: &'a DocSlug,
        version: Option<i64>,
    ) -> SourceFuture<'a, Option<Instruction>> {
        Box::pin(async move {
            match version {
                None => self.instructions().latest(scope, owner, kind, slug).await,
                Some(version) => self.instructions().get_version(scope, owner, kind, slug, version).await,
            }
        })
    }

    fn list<'a>(&'a self, scope: &'a Scope, owners: &'a [DocOwner], kind: Option<&'a DocKind>) -> SourceFuture<'a, Vec<InstructionEntry>> {
        Box::pin(async move {
            let mut listed: Vec<InstructionEntry> = Vec::new();
            while listed.len() < LISTED_MAX {
                let page =
                    self.instructions().list(scope, owners, kind, listed.last().map(InstructionEntry::name), INSTRUCTION_PAGE_MAX).await?;
                if page.is_empty() {
                    break;
                }
                listed.extend(page);
            }
            listed.truncate(LISTED_MAX);
            Ok(listed)
        })
    }

    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        owner: &'a DocOwner,
        new: &'a VettedInstruction,
        expected: Option<i64>,
    ) -> SourceFuture<'a, InstructionPut> {
        Box::pin(async move { self.instructions().put(scope, owner, new, expected).await })
    }
}
