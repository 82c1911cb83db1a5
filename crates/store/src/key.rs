//! API keys: made, listed, revoked here; verified in `keyring.rs`. The secret is shown once and stored only as a keyed hash.

use std::time::Duration;

use aws_lc_rs::hmac;
use bailiwick_model::{AgentId, AgentType, KeyId, OrgId, Subject, Timestamp};
use secrecy::SecretString;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::generation::{Topic, bump};
use crate::member;
use crate::org::PAGE_ROWS_MAX;
use crate::scope::{OrgScope, Tenant};
use crate::store::{Store, Tx};
use crate::token::{self, TokenSecret};

/// Keys that are not revoked one organisation may have; all of them are held in memory by every replica.
pub const LIVE_KEYS_PER_ORG_MAX: i64 = 10_000;
/// Longest label.
const LABEL_CHARS_MAX: usize = 128;

/// What a new key is for.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The agent it identifies; must exist.
    pub agent_id: AgentId,
    /// The member it identifies as well: who presents it is that member, acting through the agent. Must be one.
    pub sub: Option<Subject>,
    /// A note for people.
    pub label: String,
    /// When it stops working; `None`: never by itself.
    pub expires_at: Option<Timestamp>,
}

/// A fresh key. Its text cannot be shown again.
pub struct CreatedKey {
    /// The public half, for lists and logs.
    pub id: KeyId,
    /// The whole text, for the agent's client.
    pub token: SecretString,
}

/// What may be shown of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// The public half.
    pub id: KeyId,
    /// The agent it identifies.
    pub agent_id: AgentId,
    /// The type of that agent.
    pub agent_type: AgentType,
    /// Whether that agent is disabled, and its keys with it.
    pub agent_disabled: bool,
    /// The member it identifies as well.
    pub sub: Option<Subject>,
    /// A note for people.
    pub label: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: String,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to within about a minute.
    pub last_used_at: Option<Timestamp>,
}

/// Functions on API keys; see [`Store::keys`].
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a>(&'a Store);

impl Store {
    /// API keys.
    #[must_use]
    pub const fn keys(&self) -> Keys<'_> {
        Keys(self)
    }
}

/// A key with its agent.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT k.key_id, k.agent_id, a.agent_type, a.disabled_at, k.sub, k.label, k.created_at, k.created_by, k.expires_at, k.revoked_at, ",
            "k.last_used_at FROM api_keys k JOIN agents a ON a.tenant_id = k.tenant_id AND a.agent_id = k.agent_id WHERE k.tenant_id = $1 ",
            $rest
        )
    };
}

impl Keys<'_> {
    /// Makes a key for an existing agent.
    ///
    /// # Errors
    /// `Conflict` when the agent does not exist or the organisation has [`LIVE_KEYS_PER_ORG_MAX`] keys, `Invalid` for a bad label or a
    /// past expiry, `Sealed` without the root key.
    pub async fn create(&self, scope: &OrgScope, new: NewKey) -> StoreResult<CreatedKey> {
        let store = self.0;
        store.vault().keys()?;
        let now = store.now();
        check(&new, now)?;
        let mut tx = store.write(scope).await?;
        let created = self.insert(&mut tx, scope, new, now).await?;
        tx.commit().await?;
        Ok(created)
    }

    async fn insert(&self, tx: &mut Tx, scope: &OrgScope, new: NewKey, now: Timestamp) -> StoreResult<CreatedKey> {
        let store = self.0;
        let vault = store.vault().keys()?;
        let id = KeyId::random(store.random());
        let mut secret = TokenSecret::default();
        store.random().fill(secret.as_mut_slice());
        let mac = mac(&vault.pepper, &mac_subject(scope.org(), &new.agent_id, new.sub.as_ref(), id), &secret);
        check_count(tx, scope).await?;
        if let Some(sub) = &new.sub {
            member::find(tx, scope, sub).await?.ok_or_else(|| StoreError::not_found("the member"))?;
        }
        let generation = bump(tx, Topic::Keys).await?;
        let insert = "INSERT INTO api_keys (tenant_id, key_id, agent_id, label, mac, pepper_version, generation, created_at, created_by, \
                      expires_at, sub) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        sqlx::query(insert)
            .bind(scope.org().as_str())
            .bind(id.to_string())
            .bind(new.agent_id.as_str())
            .bind(new.label)
            .bind(mac.as_ref().to_vec())
            .bind(vault.platform_version)
            .bind(generation)
            .bind(now.as_micros())
            .bind(scope.actor())
            .bind(new.expires_at.map(Timestamp::as_micros))
            .bind(new.sub.as_ref().map(Subject::as_str))
            .execute(tx.connection())
            .await?;
        Ok(CreatedKey { id, token: token::format(id, &secret) })
    }

    /// Makes another key for whomever `id` identifies, with the same note, and lets the old one work for `overlap` yet (it may end earlier
    /// by itself), in one step.
    ///
    /// # Errors
    /// `NotFound`, also for a key of another organisation; `Conflict` for a key that is revoked or has expired; otherwise as
    /// [`create`](Self::create).
    pub async fn rotate(&self, scope: &OrgScope, id: KeyId, expires_at: Option<Timestamp>, overlap: Duration) -> StoreResult<CreatedKey> {
        let now = self.0.now();
        let mut tx = self.0.write(scope).await?;
        let old = find(&mut tx, scope, id).await?.ok_or_else(|| StoreError::not_found("the key"))?;
        if old.revoked_at.is_some() || old.expires_at.is_some_and(|at| at <= now) {
            return Err(StoreError::new(StoreErrorKind::Conflict, "the key works no more", "create another key instead"));
        }
        let new = NewKey { agent_id: old.agent_id, sub: old.sub, label: old.label, expires_at };
        check(&new, now)?;
        let created = self.insert(&mut tx, scope, new, now).await?;
        let end = old.expires_at.map_or(now.after(overlap), |at| at.min(now.after(overlap)));
        let generation = bump(&mut tx, Topic::Keys).await?;
        sqlx::query("UPDATE api_keys SET expires_at = $3, generation = $4 WHERE tenant_id = $1 AND key_id = $2")
            .bind(scope.org().as_str())
            .bind(id.to_string())
            .bind(end.as_micros())
            .bind(generation)
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        Ok(created)
    }

    /// One key.
    ///
    /// # Errors
    /// `NotFound`, also for a key of another organisation.
    pub async fn get(&self, tenant: &impl Tenant, id: KeyId) -> StoreResult<KeyInfo> {
        let mut tx = self.0.read(tenant).await?;
        find(&mut tx, tenant, id).await?.ok_or_else(|| StoreError::not_found("the key"))
    }

    /// One page of keys by id, those after `after` (empty: from the beginning), at most [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    /// `Unavailable` or `Locked`.
    pub async fn list(&self, tenant: &impl Tenant, after: &str) -> StoreResult<Vec<KeyInfo>> {
        let statement = select!("AND k.key_id > $2 ORDER BY k.key_id LIMIT $3");
        let mut tx = self.0.read(tenant).await?;
        let query = sqlx::query(statement).bind(tenant.org().as_str()).bind(after).bind(PAGE_ROWS_MAX);
        query.fetch_all(tx.connection()).await?.iter().map(read).collect()
    }

    /// Revokes a key; every replica refuses it within a second. Revoking again changes nothing.
    ///
    /// # Errors
    /// `NotFound`, also for a key of another organisation.
    pub async fn revoke(&self, scope: &OrgScope, id: KeyId) -> StoreResult<()> {
        let mut tx = self.0.write(scope).await?;
        let generation = bump(&mut tx, Topic::Keys).await?;
        let done =
            sqlx::query("UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3), generation = $4 WHERE tenant_id = $1 AND key_id = $2")
                .bind(scope.org().as_str())
                .bind(id.to_string())
                .bind(self.0.now().as_micros())
                .bind(generation)
                .execute(tx.connection())
                .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::not_found("the key"));
        }
        tx.commit().await
    }
}

async fn find(tx: &mut Tx, tenant: &impl Tenant, id: KeyId) -> StoreResult<Option<KeyInfo>> {
    let query = sqlx::query(select!("AND k.key_id = $2")).bind(tenant.org().as_str()).bind(id.to_string());
    query.fetch_optional(tx.connection()).await?.as_ref().map(read).transpose()
}

/// What a key's MAC covers beside the secret: a row that is moved to another organisation or agent no longer verifies.
pub(crate) fn mac_subject(org: &OrgId, agent_id: &AgentId, sub: Option<&Subject>, id: KeyId) -> Vec<u8> {
    // The names cannot contain a zero byte, so the parts cannot be shifted. A key of a member has one part more.
    let mut subject = [b"bw api key v1\0".as_slice(), org.as_str().as_bytes(), b"\0", agent_id.as_str().as_bytes(), b"\0"].concat();
    if let Some(sub) = sub {
        subject.extend_from_slice(sub.as_str().as_bytes());
        subject.push(0);
    }
    subject.extend_from_slice(id.as_bytes());
    subject
}

pub(crate) fn mac(pepper: &hmac::Key, subject: &[u8], secret: &TokenSecret) -> hmac::Tag {
    let mut context = hmac::Context::with_key(pepper);
    context.update(subject);
    context.update(secret.as_slice());
    context.sign()
}

fn check(new: &NewKey, now: Timestamp) -> StoreResult<()> {
    if new.label.chars().count() > LABEL_CHARS_MAX || new.label.chars().any(char::is_control) {
        return Err(StoreError::invalid("the label is too long or contains control characters", "use at most 128 printable characters"));
    }
    if new.expires_at.is_some_and(|at| at <= now) {
        return Err(StoreError::invalid("the key would have expired already", "give a later time"));
    }
    Ok(())
}

async fn check_count(tx: &mut Tx, scope: &OrgScope) -> StoreResult<()> {
    let statement = "SELECT count(*) FROM api_keys WHERE tenant_id = $1 AND revoked_at IS NULL";
    let live: i64 = sqlx::query(statement).bind(scope.org().as_str()).fetch_one(tx.connection()).await?.try_get(0)?;
    if live < LIVE_KEYS_PER_ORG_MAX {
        return Ok(());
    }
    let message = format!("the organisation has {LIVE_KEYS_PER_ORG_MAX} keys that are not revoked");
    Err(StoreError::new(StoreErrorKind::Conflict, message, "revoke keys that are no longer used"))
}

fn read(row: &AnyRow) -> StoreResult<KeyInfo> {
    let broken = |_| StoreError::corrupt("a key's stored id or agent is not valid");
    let time = |name| row.try_get::<Option<i64>, _>(name).map(|at| at.map(Timestamp::from_micros));
    Ok(KeyInfo {
        id: KeyId::parse(&row.try_get::<String, _>("key_id")?).map_err(broken)?,
        agent_id: AgentId::parse(&row.try_get::<String, _>("agent_id")?).map_err(broken)?,
        agent_type: AgentType::parse(&row.try_get::<String, _>("agent_type")?).map_err(broken)?,
        agent_disabled: row.try_get::<Option<i64>, _>("disabled_at")?.is_some(),
        sub: row.try_get::<Option<String>, _>("sub")?.map(|sub| Subject::parse(&sub).map_err(broken)).transpose()?,
        label: row.try_get("label")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        created_by: row.try_get("created_by")?,
        expires_at: time("expires_at")?,
        revoked_at: time("revoked_at")?,
        last_used_at: time("last_used_at")?,
    })
}
