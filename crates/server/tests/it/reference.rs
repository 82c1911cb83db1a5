//! The files in `docs/reference` are what the program says, and what editors check examples against.

use std::path::{Path, PathBuf};
use std::process::Command;

use bailiwick_model::schema;
use bailiwick_modules::ModuleRegistry;
use serde_json::Value;

const FILES: [(&str, &[&str]); 6] = [
    ("manifest.schema.json", &["schema", "manifest"]),
    ("bailiwick.schema.json", &["schema", "config"]),
    ("manifest.md", &["schema", "manifest", "--markdown"]),
    ("configuration.md", &["schema", "config", "--markdown"]),
    ("modules.md", &["schema", "modules"]),
    ("openapi.json", &["schema", "openapi"]),
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_committed_files_are_what_the_program_says() {
    for (name, args) in FILES {
        let output = Command::new(env!("CARGO_BIN_EXE_bailiwick")).args(args).env_clear().output().unwrap();
        assert!(output.status.success());
        let said = String::from_utf8(output.stdout).unwrap();
        let committed = std::fs::read_to_string(repository().join("docs/reference").join(name)).unwrap_or_default();
        let differs = said.lines().zip(committed.lines()).position(|(said, committed)| said != committed);
        assert!(said == committed, "docs/reference/{name} is stale from line {differs:?} on; `just reference` writes it anew");
    }
}

#[test]
fn examples_name_their_schema_and_fit_it() {
    let mut examples = vec![repository().join("examples/bailiwick.yml"), repository().join("examples/team.yml")];
    let manifests = std::fs::read_dir(repository().join("examples/manifests")).unwrap();
    examples.extend(manifests.map(|entry| entry.unwrap().path()));
    assert!(examples.len() >= 7);
    for path in examples {
        let text = std::fs::read_to_string(&path).unwrap();
        let named = text.lines().next().unwrap().strip_prefix("# yaml-language-server: $schema=");
        let schema = path.parent().unwrap().join(named.unwrap_or_else(|| panic!("{} names no schema", path.display())));
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(&schema).unwrap()).unwrap();
        let wanted = if path.parent().unwrap().ends_with("manifests") {
            schema::manifest(&ModuleRegistry::with_builtin())
        } else {
            schema::configuration()
        };
        assert_eq!(schema["title"], wanted["title"], "{}", path.display());
        let instance: Value = serde_json::to_value(serde_saphyr::from_str::<Value>(&text).unwrap()).unwrap();
        let faults: Vec<String> = jsonschema::draft202012::new(&schema).unwrap().iter_errors(&instance).map(|f| f.to_string()).collect();
        assert!(faults.is_empty(), "{}: {faults:?}", path.display());
    }
}
