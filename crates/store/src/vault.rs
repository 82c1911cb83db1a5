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
use crate::seal::{KeyBytes, KeyKind, KeyName, Place, SealingKey, derive, random_key};
use crate::store::{Store, Tx};

/// Keys of organisations kept unwrapped in memory; beyond that the cache starts anew.
const TENANT_KEYS_CACHED_MAX: usize = 4096;
/// AES-GCM with random nonces allows 2^32 messages under one key (NIST SP 800-38D); we change the key long before.
const WRAPS_PER_TENANT_KEY_MAX: i64 = 1 << 30;

pub(crate) enum Vault {
    Open(Box<OpenVault>),
    Sealed { reason: String },
}

pub(crate) struct OpenVault {
    root: RootKey,
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
        let Some((version, root_key_id, wrapped)) = newest_platform_key(connection).await? else {
            return Err(StoreError::corrupt("the platform's key vanished while the store opened"));
        };
        let bytes = unwrap_key(&root, KeyKind::Platform, &platform_place(version), &root_key_id, &wrapped)?;
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

const fn platform_place(version: i64) -> Place<'static> {
    Place { tenant: "", table: "platform_keys", row: "", field: "wrapped", version }
}

async fn newest_platform_key(connection: &mut AnyConnection) -> StoreResult<Option<(i64, String, Vec<u8>)>> {
    let row = sqlx::query("SELECT version, root_key_id, wrapped FROM platform_keys ORDER BY version DESC LIMIT 1")
        .fetch_optional(&mut *connection)
        .await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).transpose()
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
    let wrapped = root.key.seal(&platform_place(1), 1i64.to_be_bytes(), random_key(random).as_slice(), random)?;
    let mut transaction = connection.begin_with(begin).await?;
    sqlx::query("INSERT INTO platform_keys (version, root_key_id, wrapped, created_at) VALUES (1, $1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(root.id())
        .bind(wrapped)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}

fn unwrap_key(root: &RootKey, kind: KeyKind, place: &Place<'_>, root_key_id: &str, wrapped: &[u8]) -> StoreResult<KeyBytes> {
    if root.id() != root_key_id {
        let message = format!("the root key given is {}, this database was sealed with {root_key_id}", root.id());
        return Err(StoreError::new(StoreErrorKind::Sealed, message, "give the root key this database was sealed with (`root_key_file`)"));
    }
    root.key.open_key(place, KeyName::version(kind, place.version).id, wrapped)
}

fn tenant_place(org: &OrgId, version: i64) -> Place<'_> {
    Place { tenant: org.as_str(), table: "tenant_keys", row: "", field: "wrapped", version }
}

impl Store {
    /// The key under which new values of an organisation are sealed, and its version; counts one use.
    pub(crate) async fn tenant_key_for_sealing(&self, tx: &mut Tx, org: &OrgId) -> StoreResult<(i64, SealingKey)> {
        self.vault().keys()?;
        let newest = "SELECT version, wraps FROM tenant_keys WHERE tenant_id = $1 ORDER BY version DESC LIMIT 1";
        let row = sqlx::query(newest).bind(org.as_str()).fetch_optional(tx.connection()).await?;
        let version = match row {
            Some(row) if row.try_get::<i64, _>(1)? < WRAPS_PER_TENANT_KEY_MAX => row.try_get(0)?,
            Some(row) => self.create_tenant_key(tx, org, row.try_get::<i64, _>(0)? + 1).await?,
            None => self.create_tenant_key(tx, org, 1).await?,
        };
        let count = "UPDATE tenant_keys SET wraps = wraps + 1 WHERE tenant_id = $1 AND version = $2";
        sqlx::query(count).bind(org.as_str()).bind(version).execute(tx.connection()).await?;
        // Not through the cache: a key made in this transaction does not exist if the transaction is rolled back.
        Ok((version, self.unwrap_tenant_key(tx, org, version).await?))
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
        let row = sqlx::query("SELECT root_key_id, wrapped FROM tenant_keys WHERE tenant_id = $1 AND version = $2")
            .bind(org.as_str())
            .bind(version)
            .fetch_optional(tx.connection())
            .await?
            .ok_or_else(|| StoreError::corrupt(format!("version {version} of the organisation's key is missing")))?;
        let (root_key_id, wrapped): (String, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
        let bytes = unwrap_key(&keys.root, KeyKind::Tenant, &tenant_place(org, version), &root_key_id, &wrapped)?;
        SealingKey::new(KeyName::version(KeyKind::Tenant, version), &bytes)
    }

    async fn create_tenant_key(&self, tx: &mut Tx, org: &OrgId, version: i64) -> StoreResult<i64> {
        let keys = self.vault().keys()?;
        let bytes = random_key(self.random());
        let subject = KeyName::version(KeyKind::Tenant, version).id;
        let wrapped = keys.root.key.seal(&tenant_place(org, version), subject, bytes.as_slice(), self.random())?;
        let insert = "INSERT INTO tenant_keys (tenant_id, version, root_key_id, wrapped, wraps, created_at) VALUES ($1, $2, $3, $4, 0, $5) \
                      ON CONFLICT DO NOTHING";
        sqlx::query(insert)
            .bind(org.as_str())
            .bind(version)
            .bind(keys.root.id())
            .bind(wrapped)
            .bind(self.now().as_micros())
            .execute(tx.connection())
            .await?;
        Ok(version)
    }
}
