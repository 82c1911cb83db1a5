//! A key as its row keeps it: wrapped by the root key and, while the root key is being changed, by the next one as well.

use bailiwick_model::time::Random;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::root_key::RootKey;
use crate::seal::{KeyBytes, KeyKind, KeyName, Place};

/// One form of a key, and which root key opens it.
#[derive(Clone)]
pub(crate) struct Wrapping {
    pub(crate) root_key_id: String,
    pub(crate) form: Vec<u8>,
}

impl Wrapping {
    /// Wraps the key `bytes` of this kind and place.
    pub(crate) fn new(root: &RootKey, kind: KeyKind, place: &Place<'_>, bytes: &KeyBytes, random: &dyn Random) -> StoreResult<Self> {
        let subject = KeyName::version(kind, place.version).id;
        Ok(Self { root_key_id: root.id(), form: root.key.seal(place, subject, bytes.as_slice(), random)? })
    }
}

/// The forms of one key.
pub(crate) struct Wrapped {
    pub(crate) now: Wrapping,
    pub(crate) next: Option<Wrapping>,
}

impl Wrapped {
    /// From a row with the columns `root_key_id, wrapped, next_root_key_id, next_wrapped`.
    pub(crate) fn read(row: &AnyRow) -> StoreResult<Self> {
        let now = Wrapping { root_key_id: row.try_get("root_key_id")?, form: row.try_get("wrapped")? };
        let next: (Option<String>, Option<Vec<u8>>) = (row.try_get("next_root_key_id")?, row.try_get("next_wrapped")?);
        let next = next.0.zip(next.1).map(|(root_key_id, form)| Wrapping { root_key_id, form });
        Ok(Self { now, next })
    }

    /// The form that `root` opens.
    pub(crate) fn under(&self, root: &RootKey) -> Option<&Wrapping> {
        let id = root.id();
        [Some(&self.now), self.next.as_ref()].into_iter().flatten().find(|wrapping| wrapping.root_key_id == id)
    }

    /// The key itself. `owner` is whose it is, for the message.
    pub(crate) fn open(&self, root: &RootKey, kind: KeyKind, place: &Place<'_>, owner: &str) -> StoreResult<KeyBytes> {
        let Some(wrapping) = self.under(root) else { return Err(self.foreign(root, owner)) };
        root.key.open_key(place, KeyName::version(kind, place.version).id, &wrapping.form)
    }

    /// What to say when `root` opens none of the forms.
    pub(crate) fn foreign(&self, root: &RootKey, owner: &str) -> StoreError {
        let next = self.next.as_ref().map(|next| format!(" and {}", next.root_key_id)).unwrap_or_default();
        let message = format!("the root key given is {}, {owner} was sealed with {}{next}", root.id(), self.now.root_key_id);
        let remedy = "give the root key this database was sealed with (`root_key_file`) and restart; while the root key is being changed, \
                      `bailiwick keys status` shows which keys are sealed with which, and `bailiwick keys rotate --root` with the other \
                      key's file makes up for what is missing";
        StoreError::new(StoreErrorKind::Sealed, message, remedy)
    }
}
