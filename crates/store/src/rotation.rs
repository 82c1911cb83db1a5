//! Changing the keys that seal (security reference section 4): the root key, which wraps keys only anew; an organisation's key, which gets
//! a version and then takes over the data keys in batches; and the end of a version. Every step is a transaction that leaves each value
//! openable, so all of it may be cut off at any moment and begun again, while gateways read and write.

mod open;
mod org;
mod root;
mod status;
mod step;
mod tables;

use bailiwick_model::OrgId;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::root_key::{Loaded, RootKey, RootKeySource, load};
use crate::scope::PlatformScope;
use crate::store::Store;

pub use open::Opened;
pub use org::Rotated;
pub use root::RootMoved;
pub use status::{KeyVersion, PlatformKey};

/// Pages that one walk takes at most; far beyond what a database holds.
const PAGES_MAX: usize = 1_000_000;

/// Functions on the keys that seal; see [`Store::rotation`].
#[derive(Clone, Copy, Debug)]
pub struct Rotation<'a>(&'a Store);

/// A root key beside the configured one.
pub struct OtherRoot(RootKey);

impl OtherRoot {
    /// Its public name, as it stands beside what it wraps.
    #[must_use]
    pub fn id(&self) -> String {
        self.0.id()
    }
}

impl Store {
    /// Changing the keys that seal.
    #[must_use]
    pub const fn rotation(&self) -> Rotation<'_> {
        Rotation(self)
    }

    /// The public name of the root key that this store was opened with; `None` without one.
    #[must_use]
    pub fn root_key_id(&self) -> Option<String> {
        self.vault().keys().ok().map(|keys| keys.root.id())
    }
}

impl Rotation<'_> {
    /// Reads the other root key; makes its file when the source says so and there is none.
    ///
    /// # Errors
    /// `Invalid` when there is no key, the file may be read by others, or it is the configured key itself; `Sealed` without the root key.
    pub fn other_root(&self, source: &RootKeySource) -> StoreResult<OtherRoot> {
        let own = self.0.vault().keys()?.root.id();
        match load(source, true, self.0.random())? {
            Loaded::Missing(reason) => Err(StoreError::invalid(reason, "give the file of the other root key")),
            Loaded::Key(root, _) if root.id() == own => {
                let message = format!("the other root key is {own} as well, the one that is configured");
                Err(StoreError::invalid(message, "give the file of the other key, or name that one in `root_key_file`"))
            }
            Loaded::Key(root, _) => Ok(OtherRoot(root)),
        }
    }

    /// One page of organisations, those after `after`.
    async fn orgs_after(&self, scope: &PlatformScope, after: Option<&OrgId>) -> StoreResult<Vec<OrgId>> {
        let page = self.0.orgs().list(scope, after.map_or("", OrgId::as_str)).await?;
        Ok(page.into_iter().map(|organisation| organisation.org).collect())
    }
}

fn endless() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the rows do not come to an end", "run the command again; report this if it persists")
}
