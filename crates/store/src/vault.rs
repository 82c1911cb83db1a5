//! The keys that seal values: the platform's, wrapped by the root key, and one per organisation and version. Without a root key the
//! vault is sealed, and everything that needs a secret says so.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::hmac;
use bailiwick_model::OrgId;
use bailiwick_model::time::Random;
use sqlx::{AnyConnection, Row};

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::root_key::{Loaded, RootKey, RootKeySource, load};
use crate::seal::{KeyKind, KeyName, Place, SealingKey, derive, random_key};
use crate::store::{Store, Tx};
use crate::wrapped::{Wrapped, Wrapping};

/// Keys of organisations kept unwrapped in memory; beyond that the cache starts anew.
const TENANT_KEYS_CACHED_MAX: usize = 4096;
/// AES-GCM with random nonces allows 2^32 messages under one key (NIST SP 800-38D); we change the key long before.
const WRAPS_PER_TENANT_KEY_MAX: i64 = 1 << 30;
/// How often a writer looks for the newest key, when the one it found is retired under its hands.
const SEALING_ATTEMPTS_MAX: usize = 3;

pub(crate) enum Vault {
    Open(Box<OpenVault>),
    Sealed { reason: String },
}

pub(crate) struct OpenVault {
    pub(crate) root: RootKey,
    pub(crate) platform: SealingKey,
    pub(crate) platform_version: i64,
    /// Keys the MACs of API keys. Derived from the platform's key and not from the root key itself, so that changing the root key,
    /// which only wraps anew, leaves every API key valid.
    pub(crate) pepper: hmac::Key,
    tenants: RwLock<HashMap<(OrgId, i64), Arc<SealingKey>>>,
}

impl Vault {
    /// Takes the root key and opens, or on first use creates, the platform's key. Gives warnings for the operator as well.
    pub(crate) async fn open(
        connection: &mut AnyConnection,
        begin: &'static str,
        source: &RootKeySource,
        random: &dyn Random,
        now: i64,
    ) -> StoreResult<(Self, Vec<String>)> {
        let sealed_rows = newest_platform_key(connection).await?.is_some();
        let (root, warning) = match load(source, !sealed_rows, random)? {
            Loaded::Key(root, warning) => (root, warning),
            Loaded::Missing(reason) => return Ok((Self::Sealed { reason }, Vec::new())),
        };
        if !sealed_rows {
            create_platform_key(connection, begin, &root, random, now).await?;
        }
        let Some((version, wrapped)) = newest_platform_key(connection).await? else {
            return Err(StoreError::corrupt("the platform's key vanished while the store opened"));
        };
        let bytes = wrapped.open(&root, KeyKind::Platform, &platform_place(version), "this database")?;
        let vault = OpenVault {
            platform: SealingKey::new(KeyName::version(KeyKind::Platform, version), &derive(&bytes, b"bailiwick platform seal v1")?)?,
            platform_version: version,
            pepper: hmac::Key::new(hmac::HMAC_SHA256, derive(&bytes, b"bailiwick api key pepper v1")?.as_slice()),
            root,
            tenants: RwLock::default(),
        };
        Ok((Self::Open(Box::new(vault)), warning.into_iter().collect()))
    }

    /// The keys, or the answer of everything that needs a secret.
    pub(crate) fn keys(&self) -> StoreResult<&OpenVault> {
        match self {
            Self::Open(keys) => Ok(keys),
            Self::Sealed { reason } => Err(StoreError::new(
                StoreErrorKind::Sealed,
                format!("the store is sealed: {reason}"),
                "give the root key this database was sealed with (`root_key_file`) and restart",
            )),
        }
    }
}

pub(crate) const fn platform_place(version: i64) -> Place<'static> {
    Place { tenant: "", table: "platform_keys", row: "", field: "wrapped", version }
}

async fn newest_platform_key(connection: &mut AnyConnection) -> StoreResult<Option<(i64, Wrapped)>> {
    let statement = "SELECT version, root_key_id, wrapped, next_root_key_id, next_wrapped FROM platform_keys ORDER BY version DESC LIMIT 1";
    let row = sqlx::query(statement).fetch_optional(&mut *connection).await?;
    row.map(|row| Ok((row.try_get("version")?, Wrapped::read(&row)?))).transpose()
}

/// Two processes may do this at once: the first row stays, and both read it afterwards.
async fn create_platform_key(
    connection: &mut AnyConnection,
    begin: &'static str,
    root: &RootKey,
    random: &dyn Random,
    now: i64,
) -> StoreResult<()> {
    use sqlx::Connection as _;
    let wrapping = Wrapping::new(root, KeyKind::Platform, &platform_place(1), &random_key(random), random)?;
    let mut transaction = connection.begin_with(begin).await?;
    sqlx::query("INSERT INTO platform_keys (version, root_key_id, wrapped, created_at) VALUES (1, $1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(wrapping.root_key_id)
        .bind(wrapping.form)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}

pub(crate) fn tenant_place(org: &OrgId, version: i64) -> Place<'_> {
    Place { tenant: org.as_str(), table: "tenant_keys", row: "", field: "wrapped", version }
}

impl Store {
    /// The key under which new values of an organisation are sealed, and its version; counts one use.
    pub(crate) async fn tenant_key_for_sealing(&self, tx: &mut Tx, org: &OrgId) -> StoreResult<(i64, SealingKey)> {
        self.vault().keys()?;
        for _ in 0..SEALING_ATTEMPTS_MAX {
            let version = match newest_tenant_key(tx, org).await? {
                Some((version, wraps)) if wraps < WRAPS_PER_TENANT_KEY_MAX => version,
                Some((version, _)) => self.create_tenant_key(tx, org, version + 1).await?,
                None => self.create_tenant_key(tx, org, 1).await?,
            };
            if count_wraps(tx, org, version, 1).await? {
                // Not through the cache: a key made in this transaction does not exist if the transaction is rolled back.
                return Ok((version, self.unwrap_tenant_key(tx, org, version).await?));
            }
        }
        let message = "the organisation's key was changed and retired at the same moment";
        Err(StoreError::new(StoreErrorKind::Conflict, message, "try again"))
    }

    /// The key that sealed a value which was read in the same transaction.
    pub(crate) async fn tenant_key_for_opening(&self, tx: &mut Tx, org: &OrgId, version: i64) -> StoreResult<Arc<SealingKey>> {
        let keys = self.vault().keys()?;
        let id = (org.clone(), version);
        if let Some(key) = keys.tenants.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(self.unwrap_tenant_key(tx, org, version).await?);
        let mut cache = keys.tenants.write().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= TENANT_KEYS_CACHED_MAX {
            cache.clear();
        }
        cache.insert(id, Arc::clone(&key));
        Ok(key)
    }

    async fn unwrap_tenant_key(&self, tx: &mut Tx, org: &OrgId, version: i64) -> StoreResult<SealingKey> {
        let keys = self.vault().keys()?;
        let statement =
            "SELECT root_key_id, wrapped, next_root_key_id, next_wrapped FROM tenant_keys WHERE tenant_id = $1 AND version = $2";
        let row = sqlx::query(statement)
            .bind(org.as_str())
            .bind(version)
            .fetch_optional(tx.connection())
            .await?
            .ok_or_else(|| StoreError::corrupt(format!("version {version} of the organisation's key is missing")))?;
        let owner = format!("version {version} of the key of organisation `{org}`");
        let bytes = Wrapped::read(&row)?.open(&keys.root, KeyKind::Tenant, &tenant_place(org, version), &owner)?;
        SealingKey::new(KeyName::version(KeyKind::Tenant, version), &bytes)
    }

    /// Makes a version of the organisation's key, unless another process has made it in the meantime.
    pub(crate) async fn create_tenant_key(&self, tx: &mut Tx, org: &OrgId, version: i64) -> StoreResult<i64> {
        let keys = self.vault().keys()?;
        self.root_key_in_use(tx).await?;
        let wrapping = Wrapping::new(&keys.root, KeyKind::Tenant, &tenant_place(org, version), &random_key(self.random()), self.random())?;
        let insert = "INSERT INTO tenant_keys (tenant_id, version, root_key_id, wrapped, wraps, created_at) VALUES ($1, $2, $3, $4, 0, $5) \
                      ON CONFLICT DO NOTHING";
        sqlx::query(insert)
            .bind(org.as_str())
            .bind(version)
            .bind(wrapping.root_key_id)
            .bind(wrapping.form)
            .bind(self.now().as_micros())
            .execute(tx.connection())
            .await?;
        Ok(version)
    }

    /// Refuses when this process still holds a root key that was given up since it started: what it wrapped could not be opened by others.
    /// The row stays as it is until the transaction ends.
    async fn root_key_in_use(&self, tx: &mut Tx) -> StoreResult<()> {
        let row = sqlx::query(self.dialect().hold_platform_key()).fetch_optional(tx.connection()).await?;
        let row = row.ok_or_else(|| StoreError::corrupt("the platform's key is missing"))?;
        let keys = self.vault().keys()?;
        let wrapped = Wrapped::read(&row)?;
        wrapped.under(&keys.root).map(drop).ok_or_else(|| wrapped.foreign(&keys.root, "this database"))
    }
}

/// The version that new values are sealed with, and how often it was used.
pub(crate) async fn newest_tenant_key(tx: &mut Tx, org: &OrgId) -> StoreResult<Option<(i64, i64)>> {
    let statement = "SELECT version, wraps FROM tenant_keys WHERE tenant_id = $1 ORDER BY version DESC LIMIT 1";
    let row = sqlx::query(statement).bind(org.as_str()).fetch_optional(tx.connection()).await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// Counts uses of a key; `false` when it was retired. Until the transaction ends it cannot be.
pub(crate) async fn count_wraps(tx: &mut Tx, org: &OrgId, version: i64, uses: i64) -> StoreResult<bool> {
    let statement = "UPDATE tenant_keys SET wraps = wraps + $3 WHERE tenant_id = $1 AND version = $2";
    let query = sqlx::query(statement).bind(org.as_str()).bind(version).bind(uses);
    Ok(query.execute(tx.connection()).await?.rows_affected() > 0)
}
