//! What a change of the root key does to one wrapped key: a decision without a database.

use bailiwick_model::time::Random;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::root_key::RootKey;
use crate::seal::{KeyKind, Place};
use crate::wrapped::{Wrapped, Wrapping};

/// What is wanted of every key.
#[derive(Clone, Copy)]
pub(super) enum Aim<'a> {
    /// That both root keys open it.
    Both { own: &'a RootKey, new: &'a RootKey },
    /// That only `own` opens it. What `own` cannot open is taken over from `old`.
    Only { own: &'a RootKey, old: Option<&'a RootKey> },
}

/// What that means for one key.
pub(super) enum Step {
    /// Nothing: it is so.
    Stay,
    /// To be stored like this.
    Store(Wrapped),
    /// It cannot be done with the root keys at hand. The row stays.
    Lost,
}

/// Decides. What `kind` and `place` say belongs to `key`.
pub(super) fn step(aim: Aim<'_>, kind: KeyKind, place: &Place<'_>, key: &Wrapped, random: &dyn Random) -> StoreResult<Step> {
    match aim {
        Aim::Both { own, new } => both(own, new, kind, place, key, random),
        Aim::Only { own, old } => only(own, old, kind, place, key, random),
    }
}

fn both(own: &RootKey, new: &RootKey, kind: KeyKind, place: &Place<'_>, key: &Wrapped, random: &dyn Random) -> StoreResult<Step> {
    if key.under(new).is_some() {
        return Ok(Step::Stay);
    }
    if let Some(next) = &key.next {
        let message = format!("a change to another root key, {}, was begun and not ended", next.root_key_id);
        let remedy = "end it first: name the root key to keep in `root_key_file`, then `bailiwick keys rotate --root`";
        return Err(StoreError::new(StoreErrorKind::Conflict, message, remedy));
    }
    if key.under(own).is_none() {
        return Ok(Step::Lost);
    }
    let bytes = key.open(own, kind, place, "the key")?;
    Ok(Step::Store(Wrapped { now: key.now.clone(), next: Some(Wrapping::new(new, kind, place, &bytes, random)?) }))
}

fn only(own: &RootKey, old: Option<&RootKey>, kind: KeyKind, place: &Place<'_>, key: &Wrapped, random: &dyn Random) -> StoreResult<Step> {
    if let Some(wrapping) = key.under(own) {
        if key.next.is_none() {
            return Ok(Step::Stay);
        }
        // The other form goes now, so this one has to open.
        key.open(own, kind, place, "the key")?;
        return Ok(Step::Store(Wrapped { now: wrapping.clone(), next: None }));
    }
    let Some(old) = old.filter(|old| key.under(old).is_some()) else { return Ok(Step::Lost) };
    let bytes = key.open(old, kind, place, "the key")?;
    Ok(Step::Store(Wrapped { now: Wrapping::new(own, kind, place, &bytes, random)?, next: None }))
}
