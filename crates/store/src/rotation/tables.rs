//! The tables whose rows an organisation's key seals. A test holds this list against the schema.

use crate::scope::{OrgScope, Tenant};
use crate::seal::Place;

/// One of them, with its statements. `$1` is always the organisation. Rows have a name and a version; where there is one row of each
/// version the name is empty.
pub(super) struct SealedTable {
    pub(super) name: &'static str,
    /// Rows by key: `tenant_key, sealed_rows`.
    pub(super) count: &'static str,
    /// Rows under keys older than `$2`, after name `$3` and version `$4`, at most `$5`; of the value only its head.
    pub(super) older: &'static str,
    /// Puts key `$2` and data key `$3` into the row of name `$4` and version `$5`, if key `$6` still seals it.
    pub(super) update: &'static str,
    /// Whole rows after name `$2` and version `$3`, at most `$4`.
    pub(super) whole: &'static str,
}

impl SealedTable {
    /// Where the value of a row stands.
    pub(super) fn place<'a>(&self, scope: &'a OrgScope, row: &'a str, version: i64) -> Place<'a> {
        Place { tenant: scope.org().as_str(), table: self.name, row, field: "sealed", version }
    }

    /// What to call a row.
    pub(super) fn row_name(&self, row: &str, version: i64) -> String {
        if row.is_empty() { format!("{} version {version}", self.name) } else { format!("{} `{row}`", self.name) }
    }
}

pub(super) const SEALED_TABLES: &[SealedTable] = &[
    SealedTable {
        name: "secrets",
        count: "SELECT tenant_key, count(*) AS sealed_rows FROM secrets WHERE tenant_id = $1 GROUP BY tenant_key",
        older: "SELECT name AS row_name, version, tenant_key, data_key, substr(sealed, 1, 10) AS head FROM secrets \
                WHERE tenant_id = $1 AND tenant_key < $2 AND (name > $3 OR (name = $3 AND version > $4)) ORDER BY name, version LIMIT $5",
        update: "UPDATE secrets SET tenant_key = $2, data_key = $3 WHERE tenant_id = $1 AND name = $4 AND version = $5 AND tenant_key = $6",
        whole: "SELECT name AS row_name, version, tenant_key, data_key, sealed FROM secrets \
                WHERE tenant_id = $1 AND (name > $2 OR (name = $2 AND version > $3)) ORDER BY name, version LIMIT $4",
    },
    SealedTable {
        name: "audit_keys",
        count: "SELECT tenant_key, count(*) AS sealed_rows FROM audit_keys WHERE tenant_id = $1 GROUP BY tenant_key",
        older: "SELECT CAST('' AS TEXT) AS row_name, version, tenant_key, data_key, substr(sealed, 1, 10) AS head FROM audit_keys \
                WHERE tenant_id = $1 AND tenant_key < $2 AND ('' > $3 OR version > $4) ORDER BY version LIMIT $5",
        update: "UPDATE audit_keys SET tenant_key = $2, data_key = $3 WHERE tenant_id = $1 AND '' = $4 AND version = $5 AND tenant_key = $6",
        whole: "SELECT CAST('' AS TEXT) AS row_name, version, tenant_key, data_key, sealed FROM audit_keys \
                WHERE tenant_id = $1 AND ('' > $2 OR version > $3) ORDER BY version LIMIT $4",
    },
    SealedTable {
        name: "server_secrets",
        count: "SELECT tenant_key, count(*) AS sealed_rows FROM server_secrets WHERE tenant_id = $1 GROUP BY tenant_key",
        older: "SELECT server_id || '/' || kind || '/' || holder AS row_name, version, tenant_key, data_key, substr(sealed, 1, 10) AS head \
                FROM server_secrets WHERE tenant_id = $1 AND tenant_key < $2 AND (server_id || '/' || kind || '/' || holder > $3 \
                OR (server_id || '/' || kind || '/' || holder = $3 AND version > $4)) \
                ORDER BY server_id || '/' || kind || '/' || holder, version LIMIT $5",
        update: "UPDATE server_secrets SET tenant_key = $2, data_key = $3 \
                 WHERE tenant_id = $1 AND server_id || '/' || kind || '/' || holder = $4 AND version = $5 AND tenant_key = $6",
        whole: "SELECT server_id || '/' || kind || '/' || holder AS row_name, version, tenant_key, data_key, sealed FROM server_secrets \
                WHERE tenant_id = $1 AND (server_id || '/' || kind || '/' || holder > $2 \
                OR (server_id || '/' || kind || '/' || holder = $2 AND version > $3)) \
                ORDER BY server_id || '/' || kind || '/' || holder, version LIMIT $4",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::HEAD_BYTES;

    #[test]
    fn the_head_is_as_long_as_it_has_to_be() {
        let wanted = format!("substr(sealed, 1, {HEAD_BYTES})");
        assert!(SEALED_TABLES.iter().all(|table| table.older.contains(&wanted)));
    }

    /// Whatever has a data key under an organisation's key is moved with it: a table that is forgotten here would keep old keys for ever.
    #[test]
    fn every_table_with_such_a_key_is_on_the_list() {
        let schema: String = crate::migrations::MIGRATIONS.iter().map(|step| step.sqlite).collect();
        let tables = schema.split("CREATE TABLE ").skip(1).filter(|text| {
            let body = text.split(") STRICT").next().unwrap_or_default();
            body.contains("tenant_key INTEGER")
        });
        let named: Vec<&str> = tables.filter_map(|text| text.split(' ').next()).collect();
        assert_eq!(named, SEALED_TABLES.iter().map(|table| table.name).collect::<Vec<_>>());
        assert!(!schema.contains("ADD COLUMN tenant_key"), "teach this test to see added columns");
    }
}
