//! Names of servers: no organisation sees two servers of one name, whoever registered them.

use bailiwick_model::ServerId;

use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::store::Tx;

/// Refuses when the server, as it stands now, meets another one of its name before the eyes of some organisation. The transaction must see
/// all of them, and hold the topic of servers.
pub(super) async fn check(tx: &mut Tx, id: ServerId) -> StoreResult<()> {
    let statement = "SELECT 1 FROM mcp_servers own JOIN mcp_servers s ON s.name_folded = own.name_folded AND s.server_id <> own.server_id \
                     WHERE own.server_id = $1 AND (s.is_global = 1 OR own.is_global = 1 OR EXISTS \
                     (SELECT 1 FROM mcp_server_orgs a JOIN mcp_server_orgs b ON a.tenant_id = b.tenant_id \
                      WHERE a.server_id = s.server_id AND b.server_id = own.server_id)) LIMIT 1";
    if sqlx::query(statement).bind(id.to_string()).fetch_optional(tx.connection()).await?.is_none() {
        return Ok(());
    }
    let message = "an organisation that sees this server sees another one of this name; letter case does not count and `-` is `_`";
    Err(StoreError::new(StoreErrorKind::Conflict, message, "choose another display name"))
}
