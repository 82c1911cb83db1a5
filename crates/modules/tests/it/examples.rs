//! Every example manifest is accepted by the parser and by the modules it names.

use std::fs;
use std::path::Path;

use bailiwick_model::manifest::Manifest;
use bailiwick_modules::{ModuleDraft, ModuleRegistry};

#[test]
fn manifests_are_accepted_without_warning() {
    let registry = ModuleRegistry::with_builtin();
    let mut seen = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/manifests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let (manifest, warnings) = Manifest::parse(name, &text, &|_| Some("value".to_owned()), &registry).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(warnings, [], "{name}");
        assert!(!manifest.description.is_empty(), "{name}");
        for module in manifest.modules.iter().filter(|module| module.proxy.is_none()) {
            let draft = ModuleDraft { agent_id: None, agent_type: &manifest.agent_type, config: &module.config };
            assert_eq!(registry.get(&module.kind).unwrap().check(draft), [], "{name}: {}", module.key);
        }
        seen += 1;
    }
    assert!(seen >= 7);
}
