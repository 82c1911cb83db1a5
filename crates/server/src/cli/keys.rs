//! `bailiwick keys`: the keys that seal. Works at the machine only: root keys are files, and no gateway is handed one.

mod rows;

use std::path::{Path, PathBuf};

use bailiwick_gateway::operations::Deed;
use bailiwick_model::OrgId;
use bailiwick_store::event::EventKind;
use bailiwick_store::{OtherRoot, RootKeySource, Rotated, Store};
use serde_json::json;

use super::args::{Form, KeysCommand, RotateArgs};
use super::context::Context;
use super::output;
use crate::exit::{Exit, Failure};

pub(super) async fn run(context: &Context, command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Status { org, verify } => rows::status(context, org, verify).await,
        KeysCommand::Rotate(RotateArgs { org: Some(org), .. }) => rotate_org(context, &org).await,
        KeysCommand::Rotate(RotateArgs { new_root_key_file: Some(file), .. }) => add_root(context, file).await,
        KeysCommand::Rotate(RotateArgs { old_root_key_file, confirm, .. }) => keep_root(context, old_root_key_file, confirm.yes).await,
        KeysCommand::Retire { org, version } => retire(context, &org, version).await,
    }
}

async fn rotate_org(context: &Context, org: &OrgId) -> Result<(), Failure> {
    let desk = context.recording_desk(&context.settings()?).await?;
    let (store, scope) = desk.machine()?;
    let (scope, rotation) = (scope.within(org), store.rotation());
    let done = desk.record(deed("keys rotate", org.as_str()), rotation.rotate_org(&scope)).await;
    desk.close().await?;
    tell_rotated(context.form, org, &done?)
}

fn tell_rotated(form: Form, org: &OrgId, rotated: &Rotated) -> Result<(), Failure> {
    let Rotated { version, added, moved, left, unreadable } = rotated;
    let value = json!({"org": org, "version": version, "added": added, "moved": moved, "left": left, "unreadable": unreadable});
    let what = if *added {
        format!("Version {version} of the key of `{org}` seals what is new")
    } else {
        format!("The change to version {version} of the key of `{org}`, begun before, went on; to add a version, run this again")
    };
    output::done(form, &value, &format!("{what}; {moved} data keys were moved under it."))?;
    if !unreadable.is_empty() {
        let message = format!("{} sealed values do not open and were not moved: {}", unreadable.len(), unreadable.join(", "));
        return Err(Failure::new(Exit::Failed, message).hint("set them again or remove them, then run this again"));
    }
    if *left > 0 {
        return Err(
            Failure::new(Exit::Conflict, format!("{left} rows were written meanwhile with an older version")).hint("run this again")
        );
    }
    Ok(())
}

async fn add_root(context: &Context, file: PathBuf) -> Result<(), Failure> {
    let desk = context.recording_desk(&context.settings()?).await?;
    let (store, scope) = desk.machine()?;
    let made = !file.exists();
    let new = other_root(store, &file, true)?;
    if made {
        eprintln!("note: created the root key `{}`; keep a copy elsewhere: without it sealed values and API keys are lost", file.display());
    }
    let (subject, rotation) = (format!("root {}", new.id()), store.rotation());
    let done = desk.record(deed("keys rotate", &subject), rotation.add_root(scope, &new)).await;
    desk.close().await?;
    let moved = done?;
    let value = json!({"root_key": new.id(), "keys": moved.keys, "changed": moved.changed});
    let text = format!(
        "Both root keys open all {} keys now. Name `{}` in `root_key_file` of every gateway and restart it; then `bailiwick keys rotate --root` \
         takes the former root key away.",
        moved.keys,
        file.display()
    );
    output::done(context.form, &value, &text)
}

async fn keep_root(context: &Context, old: Option<PathBuf>, yes: bool) -> Result<(), Failure> {
    let desk = context.recording_desk(&context.settings()?).await?;
    let (store, scope) = desk.machine()?;
    let id = store.root_key_id().unwrap_or_default();
    output::confirm(&format!("Keep only what the configured root key {id} opens"), yes)?;
    let old = old.map(|file| other_root(store, &file, false)).transpose()?;
    let (subject, rotation) = (format!("root {id}"), store.rotation());
    let done = desk.record(deed("keys rotate", &subject), rotation.keep_root(scope, old.as_ref())).await;
    desk.close().await?;
    let moved = done?;
    let value = json!({"root_key": id, "keys": moved.keys, "changed": moved.changed});
    output::done(context.form, &value, &format!("Only the configured root key {id} opens the {} keys now.", moved.keys))
}

async fn retire(context: &Context, org: &OrgId, version: i64) -> Result<(), Failure> {
    let desk = context.recording_desk(&context.settings()?).await?;
    let (store, scope) = desk.machine()?;
    let (scope, rotation, subject) = (scope.within(org), store.rotation(), format!("{org} version {version}"));
    let done = desk.record(deed("keys retire", &subject), rotation.retire(&scope, version)).await;
    desk.close().await?;
    done?;
    output::done(context.form, &json!({"org": org, "version": version}), &format!("Version {version} of the key of `{org}` is gone."))
}

fn other_root(store: &Store, file: &Path, create: bool) -> Result<OtherRoot, Failure> {
    Ok(store.rotation().other_root(&RootKeySource::File { path: file.to_path_buf(), create })?)
}

const fn deed<'a>(operation: &'static str, subject: &'a str) -> Deed<'a> {
    Deed::new(EventKind::Key, operation, subject)
}
