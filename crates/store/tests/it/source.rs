//! A rule of the source text: no statement on an organisation's table without its tenant.

use std::fs;
use std::path::Path;

use crate::support::TestDb;
use sqlx::Row;

/// Counts and looks across organisations by design, and says so.
const CROSSING_FILE: &str = "system.rs";

#[tokio::test]
async fn every_statement_names_its_tenant() {
    let db = TestDb::sqlite();
    let store = db.open().await;
    let with_tenant =
        "SELECT m.name AS name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'tenant_id'";
    let tables: Vec<String> = db.raw_rows(with_tenant).await.iter().map(|row| row.try_get("name").unwrap()).collect();
    drop(store);
    let mut statements = 0;
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &tables, &mut statements);
    assert!(statements > 20, "found only {statements} statements: the search is broken");
}

fn check(dir: &Path, tables: &[String], statements: &mut usize) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            check(&path, tables, statements);
        } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|n| n != CROSSING_FILE) {
            for text in literals(&fs::read_to_string(&path).unwrap()) {
                let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
                let statement = words.first().is_some_and(|w| ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains(w));
                if statement && words.iter().any(|w| tables.iter().any(|t| t == w)) {
                    *statements += 1;
                    assert!(words.contains(&"tenant_id"), "{}: {text}", path.display());
                }
            }
        }
    }
}

/// The contents of string literals; good enough for source that rustfmt has seen.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current: Option<String> = None;
    let mut characters = source.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| line.chars().chain(['\n']));
    while let Some(character) = characters.next() {
        match (character, &mut current) {
            ('\\', Some(text)) => text.extend(characters.next().filter(|c| *c != '\n')),
            ('"', Some(_)) => found.extend(current.take().map(|text| text.trim_start().to_owned())),
            ('"', None) => current = Some(String::new()),
            (other, Some(text)) => text.push(other),
            ('\'', None) => {
                // A character literal such as '"' must not open a string.
                let next = characters.next();
                if matches!(next, Some('"' | '\\')) {
                    characters.next();
                }
            }
            (_, None) => {}
        }
    }
    found
}
