//! Instructions in memory, every version of them. They are gone with the process; a program of yours asks its own tables instead.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bailiwick_gateway::{ContentStore, SourceFuture};
use bailiwick_model::instruction::{DocKind, DocOwner, DocSlug, VettedInstruction, skill_digest, skill_text};
use bailiwick_model::{OrgId, Timestamp};
use bailiwick_store::{Instruction, InstructionEntry, InstructionPut, SavedInstruction, Scope, Tenant};

/// The organisation stands first: nothing is found without it.
type Key = (OrgId, DocOwner, DocKind, DocSlug);

#[derive(Default)]
pub(crate) struct InMemory(Mutex<BTreeMap<Key, Vec<Instruction>>>);

impl ContentStore for InMemory {
    fn get<'a>(
        &'a self,
        scope: &'a Scope,
        owner: &'a DocOwner,
        kind: &'a DocKind,
        slug: &'a DocSlug,
        version: Option<i64>,
    ) -> SourceFuture<'a, Option<Instruction>> {
        let versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = versions.get(&(scope.org().clone(), owner.clone(), kind.clone(), slug.clone())).and_then(|versions| match version {
            None => versions.last().cloned(),
            Some(wanted) => versions.iter().find(|instruction| instruction.version == wanted).cloned(),
        });
        Box::pin(std::future::ready(Ok(found)))
    }

    fn list<'a>(&'a self, scope: &'a Scope, owners: &'a [DocOwner], kind: Option<&'a DocKind>) -> SourceFuture<'a, Vec<InstructionEntry>> {
        let versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = |(org, owner, of_kind, _): &Key| org == scope.org() && owners.contains(owner) && kind.is_none_or(|kind| kind == of_kind);
        let listed = versions.iter().filter(|(key, _)| seen(key)).filter_map(|(_, versions)| versions.last().map(entry)).collect();
        Box::pin(std::future::ready(Ok(listed)))
    }

    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        owner: &'a DocOwner,
        new: &'a VettedInstruction,
        expected: Option<i64>,
    ) -> SourceFuture<'a, InstructionPut> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = all.entry((scope.org().clone(), owner.clone(), new.kind().clone(), new.slug().clone())).or_default();
        let current = versions.last().map_or(0, |instruction| instruction.version);
        if expected.is_some_and(|expected| expected != current) {
            return Box::pin(std::future::ready(Ok(InstructionPut::Conflict { current })));
        }
        let saved = SavedInstruction { version: current + 1, digest: digest(new, current + 1), updated_at: Timestamp::from_micros(0) };
        versions.push(written(scope, owner, new, &saved));
        Box::pin(std::future::ready(Ok(InstructionPut::Saved(saved))))
    }
}

fn digest(new: &VettedInstruction, version: i64) -> String {
    skill_digest(&skill_text(new.slug(), new.text(), version))
}

fn written(scope: &Scope, owner: &DocOwner, new: &VettedInstruction, saved: &SavedInstruction) -> Instruction {
    let text = new.text().clone();
    Instruction {
        owner: owner.clone(),
        kind: new.kind().clone(),
        slug: new.slug().clone(),
        version: saved.version,
        title: text.title,
        description: text.description,
        body: text.body,
        frontmatter: text.frontmatter,
        digest: saved.digest.clone(),
        set_by: Some(scope.actor().to_owned()),
        updated_at: saved.updated_at,
    }
}

fn entry(instruction: &Instruction) -> InstructionEntry {
    let Instruction { owner, kind, slug, version, title, description, digest, set_by, updated_at, .. } = instruction.clone();
    InstructionEntry { owner, kind, slug, version, title, description, digest, set_by, updated_at }
}
