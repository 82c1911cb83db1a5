//! The list of migrations, embedded in the binary. A published migration is never edited: its checksum is compared at every start.

/// One step of the schema: the same number and name for both databases.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
        }
    };
}

/// Ascending, without gaps.
pub(crate) const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_foundation"),
    migration!(2, "0002_ledger"),
    migration!(3, "0003_session_state"),
    migration!(4, "0004_module_memory"),
    migration!(5, "0005_rate_counters"),
    migration!(6, "0006_people"),
    migration!(7, "0007_instructions"),
    migration!(8, "0008_idempotency"),
    migration!(9, "0009_tool_revisions"),
    migration!(10, "0010_next_root_key"),
    migration!(11, "0011_registered_servers"),
];

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn versions_have_no_gaps_and_names_carry_them() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version, i64::try_from(index).unwrap() + 1);
            assert!(migration.name.starts_with(&format!("{:04}_", migration.version)), "{}", migration.name);
        }
    }
}
