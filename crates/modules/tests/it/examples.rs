//! Every example manifest is accepted, with the modules of this build.

use std::fs;
use std::path::Path;

use bailiwick_model::manifest::Manifest;
use bailiwick_modules::{ModuleDraft, ModuleRegistry};

#[test]
fn manifests_are_accepted_without_warning() {
    let registry = ModuleRegistry::with_builtin();
    let mut read = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/manifests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let parsed = Manifest::parse(&name, &fs::read_to_string(&path).unwrap(), &|_| Some("value".to_owned()), &registry);
        let (manifest, warnings) = parsed.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(warnings, [], "{name}");
        assert!(!manifest.description.is_empty(), "{name}");
        for entry in manifest.modules.iter().filter(|entry| entry.proxy.is_none()) {
            let draft = ModuleDraft { agent_id: None, agent_type: &manifest.agent_type, access: entry.access, config: &entry.config };
            assert_eq!(registry.get(&entry.kind).unwrap().check(draft), [], "{name}: {}", entry.key);
        }
        read += 1;
    }
    assert!(read >= 6, "{read}");
}
