//! The look-ups that cross organisations. There are no others; each takes the operator's scope and says why it must exist.

use bailiwick_model::{AgentId, AgentType, KeyId, OrgId, Subject, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, StoreResult};
use crate::scope::PlatformScope;
use crate::store::Store;

/// A key as the keyring needs it.
pub(crate) struct KeyRow {
    pub(crate) org: OrgId,
    pub(crate) key_id: KeyId,
    pub(crate) agent_id: AgentId,
    pub(crate) agent_type: AgentType,
    pub(crate) sub: Option<Subject>,
    pub(crate) email: Option<String>,
    pub(crate) mac: Vec<u8>,
    pub(crate) pepper_version: i64,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) revoked: bool,
    pub(crate) disabled: bool,
    pub(crate) last_used_at: Option<Timestamp>,
}

/// Keys that changed after `known`; `newest` is their counter. A caller is not known before its key is found, so there is no
/// organisation to ask in.
pub(crate) async fn keys_changed_since(store: &Store, scope: &PlatformScope, known: i64, newest: i64) -> StoreResult<Vec<KeyRow>> {
    // Changes become visible in the order of their counter, so this sees at least everything up to `newest`.
    let statement = "SELECT k.tenant_id, k.key_id, k.agent_id, a.agent_type, k.mac, k.pepper_version, k.expires_at, k.revoked_at, \
                     k.last_used_at, a.disabled_at, k.sub, m.sub AS member, m.email FROM api_keys k \
                     JOIN agents a ON a.tenant_id = k.tenant_id AND a.agent_id = k.agent_id \
                     LEFT JOIN memberships m ON m.tenant_id = k.tenant_id AND m.sub = k.sub WHERE k.generation > $1";
    let mut tx = store.read_keys_of_all(scope).await?;
    // A counter that went down means another database (a restored backup): everything is read anew.
    let after = if newest < known { -1 } else { known };
    let rows = sqlx::query(statement).bind(after).fetch_all(tx.connection()).await?;
    rows.iter().map(read_key).collect()
}

fn read_key(row: &AnyRow) -> StoreResult<KeyRow> {
    let broken = |_| StoreError::corrupt("a key's stored identity is not valid");
    let text = |name| row.try_get::<String, _>(name);
    let time = |name| row.try_get::<Option<i64>, _>(name).map(|at| at.map(Timestamp::from_micros));
    let sub = row.try_get::<Option<String>, _>("sub")?.map(|sub| Subject::parse(&sub).map_err(broken)).transpose()?;
    let has_left = sub.is_some() && row.try_get::<Option<String>, _>("member")?.is_none();
    Ok(KeyRow {
        org: OrgId::parse(&text("tenant_id")?).map_err(broken)?,
        key_id: KeyId::parse(&text("key_id")?).map_err(broken)?,
        agent_id: AgentId::parse(&text("agent_id")?).map_err(broken)?,
        agent_type: AgentType::parse(&text("agent_type")?).map_err(broken)?,
        sub,
        email: row.try_get("email")?,
        mac: row.try_get("mac")?,
        pepper_version: row.try_get("pepper_version")?,
        expires_at: time("expires_at")?,
        revoked: time("revoked_at")?.is_some(),
        disabled: has_left || time("disabled_at")?.is_some(),
        last_used_at: time("last_used_at")?,
    })
}
