//! The examples in the repository are accepted; the manifests with the modules they name are read in `crates/modules/tests/it/examples.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use bailiwick_model::Config;
use bailiwick_model::manifest::{Access, Manifest};

use crate::catalog::{Kinds, env};
use crate::schema;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

#[test]
fn the_research_agent_only_reads() {
    let text = fs::read_to_string(examples().join("manifests/research-agent.yml")).unwrap();
    let (manifest, _) = Manifest::parse("research-agent.yml", &text, &env, &Kinds).unwrap();
    let modules: Vec<_> = manifest.modules.iter().map(|m| (m.key.as_str(), m.kind.as_str(), m.access)).collect();
    assert_eq!(modules, [("filesystem", "filesystem", Some(Access::Read)), ("sqlite", "sqlite", Some(Access::Read))]);
    assert_eq!(manifest.modules[1].config["db_dir"], "/tmp/bailiwick-data/sqlite");
}

#[test]
fn the_configuration_is_accepted_with_and_without_its_comments() {
    let text = fs::read_to_string(examples().join("bailiwick.yml")).unwrap();
    schema::admits(&schema::CONFIGURATION, &text);
    let (config, warnings) = Config::parse("bailiwick.yml", &text, &|_| None).unwrap_or_else(|m| panic!("{m}"));
    assert_eq!(warnings, []);
    assert_eq!(config.servers.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["tickets", "search", "internal-wiki"]);
    // The commented keys are real ones.
    let keys: String =
        text.lines().map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line).to_owned() + "\n").collect();
    schema::admits(&schema::CONFIGURATION, &keys);
    let (config, warnings) = Config::parse("bailiwick.yml", &keys, &|_| None).unwrap_or_else(|m| panic!("{m}"));
    assert_eq!(warnings, []);
    assert_eq!(config.public_url.as_deref(), Some("https://gw.example.com"));
}

fn is_key(text: &str) -> bool {
    text.split_once(": ").is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}
