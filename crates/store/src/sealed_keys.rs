//! Two keys that the ledger needs and that are sealed rows themselves: the key of keyed hashes, one per organisation, and the key that
//! signs checkpoints, one per installation.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bailiwick_model::OrgId;
use data_encoding::HEXLOWER;
use sqlx::Row;
use tokio::sync::OnceCell;

use crate::error::{StoreError, StoreResult};
use crate::scope::{PlatformScope, Tenant};
use crate::seal::{Envelope, KeyBytes, Place, SealingKey, open_value, random_key, seal_value};
use crate::store::{Store, Tx};

/// Audit keys kept in memory; beyond that the cache starts anew.
const AUDIT_KEYS_CACHED_MAX: usize = 4096;
const AUDIT_KEY_VERSION: i64 = 1;
const CHECKPOINT_KEY_NAME: &str = "checkpoint_signing_key";
const CHECKPOINT_KEY_VERSION: i64 = 1;

#[derive(Default)]
pub(crate) struct SealedKeyCache {
    audit: Mutex<HashMap<OrgId, AuditKey>>,
    checkpoint: OnceCell<CheckpointKey>,
}

/// The key of an organisation's keyed hashes in the ledger: equal values give equal digests inside the organisation and say nothing
/// outside it. A clone is cheap.
#[derive(Clone)]
pub struct AuditKey {
    version: i64,
    key: Arc<hmac::Key>,
}

impl AuditKey {
    pub(crate) fn new(version: i64, bytes: &KeyBytes) -> Self {
        Self { version, key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice())) }
    }

    /// HMAC-SHA-256 of `data`.
    #[must_use]
    pub fn digest(&self, data: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.key, data);
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }

    /// Which key this is, to stand beside the digests.
    #[must_use]
    pub const fn version(&self) -> i64 {
        self.version
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditKey(version {})", self.version)
    }
}

/// The installation's Ed25519 key that signs checkpoints of the ledger. A clone is cheap.
#[derive(Clone)]
pub struct CheckpointKey(Arc<Ed25519KeyPair>);

impl CheckpointKey {
    fn new(seed: &KeyBytes) -> StoreResult<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice());
        pair.map(|pair| Self(Arc::new(pair))).map_err(|_| StoreError::corrupt("the checkpoint signing key is damaged"))
    }

    /// The Ed25519 signature of `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).as_ref().first_chunk().copied().unwrap_or([0; 64])
    }

    /// The key that verifies, to be handed out.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().first_chunk().copied().unwrap_or_default()
    }
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckpointKey(public {})", HEXLOWER.encode(&self.public_key()))
    }
}

impl Store {
    /// The audit key of the scope's organisation, created when it is first asked for; from memory afterwards.
    ///
    /// # Errors
    /// `Sealed` without the root key; `Conflict` when an operator named an organisation that does not exist.
    pub async fn audit_key(&self, tenant: &impl Tenant) -> StoreResult<AuditKey> {
        let cache = &self.0.sealed_keys.audit;
        if let Some(key) = cache.lock().unwrap_or_else(PoisonError::into_inner).get(tenant.org()) {
            return Ok(key.clone());
        }
        self.vault().keys()?;
        let stored = self.read_audit_key(&mut self.read(tenant).await?, tenant).await?;
        let key = match stored {
            Some(key) => key,
            None => {
                self.create_audit_key(tenant).await?;
                let created = self.read_audit_key(&mut self.read(tenant).await?, tenant).await?;
                created.ok_or_else(|| StoreError::corrupt("the audit key vanished after it was created"))?
            }
        };
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= AUDIT_KEYS_CACHED_MAX {
            cache.clear();
        }
        cache.insert(tenant.org().clone(), key.clone());
        Ok(key)
    }

    async fn read_audit_key(&self, tx: &mut Tx, tenant: &impl Tenant) -> StoreResult<Option<AuditKey>> {
        let statement = "SELECT version, tenant_key, data_key, sealed FROM audit_keys WHERE tenant_id = $1 ORDER BY version DESC LIMIT 1";
        let Some(row) = sqlx::query(statement).bind(tenant.org().as_str()).fetch_optional(tx.connection()).await? else { return Ok(None) };
        let version = row.try_get("version")?;
        let key = self.tenant_key_for_opening(tx, tenant.org(), row.try_get("tenant_key")?).await?;
        let envelope = Envelope { data_key: row.try_get("data_key")?, sealed: row.try_get("sealed")? };
        Ok(Some(AuditKey::new(version, &open_key(&key, &audit_place(tenant, version), &envelope)?)))
    }

    /// When two processes do this at once the first row stays, and both read it afterwards.
    async fn create_audit_key(&self, tenant: &impl Tenant) -> StoreResult<()> {
        let mut tx = self.write(tenant).await?;
        let (tenant_key, key) = self.tenant_key_for_sealing(&mut tx, tenant.org()).await?;
        let place = audit_place(tenant, AUDIT_KEY_VERSION);
        let envelope = seal_value(&key, &place, random_key(self.random()).as_slice(), self.random())?;
        let insert = "INSERT INTO audit_keys (tenant_id, version, tenant_key, data_key, sealed, created_at) \
                      VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        sqlx::query(insert)
            .bind(tenant.org().as_str())
            .bind(AUDIT_KEY_VERSION)
            .bind(tenant_key)
            .bind(envelope.data_key)
            .bind(envelope.sealed)
            .bind(self.now().as_micros())
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// The key that signs checkpoints, created when it is first asked for; from memory afterwards.
    ///
    /// # Errors
    /// `Sealed` without the root key.
    pub async fn checkpoint_key(&self) -> StoreResult<CheckpointKey> {
        self.0.sealed_keys.checkpoint.get_or_try_init(|| self.load_checkpoint_key()).await.cloned()
    }

    async fn load_checkpoint_key(&self) -> StoreResult<CheckpointKey> {
        let keys = self.vault().keys()?;
        if let Some(key) = self.read_checkpoint_key(&keys.platform).await? {
            return Ok(key);
        }
        let seed = random_key(self.random());
        let envelope = seal_value(&keys.platform, &CHECKPOINT_PLACE, seed.as_slice(), self.random())?;
        let mut tx = self.write_platform(&PlatformScope::system()).await?;
        let insert = "INSERT INTO platform_secrets (name, version, data_key, sealed, created_at) VALUES ($1, $2, $3, $4, $5) \
                      ON CONFLICT DO NOTHING";
        sqlx::query(insert)
            .bind(CHECKPOINT_KEY_NAME)
            .bind(CHECKPOINT_KEY_VERSION)
            .bind(envelope.data_key)
            .bind(envelope.sealed)
            .bind(self.now().as_micros())
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        let created = self.read_checkpoint_key(&keys.platform).await?;
        created.ok_or_else(|| StoreError::corrupt("the checkpoint signing key vanished after it was created"))
    }

    async fn read_checkpoint_key(&self, platform: &SealingKey) -> StoreResult<Option<CheckpointKey>> {
        let mut tx = self.read_platform(&PlatformScope::system()).await?;
        let statement = "SELECT data_key, sealed FROM platform_secrets WHERE name = $1 AND version = $2";
        let query = sqlx::query(statement).bind(CHECKPOINT_KEY_NAME).bind(CHECKPOINT_KEY_VERSION);
        let Some(row) = query.fetch_optional(tx.connection()).await? else { return Ok(None) };
        let envelope = Envelope { data_key: row.try_get(0)?, sealed: row.try_get(1)? };
        CheckpointKey::new(&open_key(platform, &CHECKPOINT_PLACE, &envelope)?).map(Some)
    }
}

const CHECKPOINT_PLACE: Place<'static> =
    Place { tenant: "", table: "platform_secrets", row: CHECKPOINT_KEY_NAME, field: "sealed", version: CHECKPOINT_KEY_VERSION };

fn audit_place(tenant: &impl Tenant, version: i64) -> Place<'_> {
    Place { tenant: tenant.org().as_str(), table: "audit_keys", row: "", field: "sealed", version }
}

fn open_key(wrapping: &SealingKey, place: &Place<'_>, envelope: &Envelope) -> StoreResult<KeyBytes> {
    let plain = open_value(wrapping, place, envelope)?;
    KeyBytes::copy_of(&plain).ok_or_else(|| StoreError::corrupt("a sealed key has the wrong length"))
}
