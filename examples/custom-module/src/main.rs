//! Bailiwick with one module more: `run`, `serve`, `validate` and every other command know it.

use std::process::ExitCode;
use std::sync::Arc;

use bailiwick_example_custom_module::RedisKind;
use bailiwick_modules::ModuleRegistry;

fn main() -> ExitCode {
    let mut modules = ModuleRegistry::with_builtin();
    if let Err(taken) = modules.add(Arc::new(RedisKind)) {
        eprintln!("{taken}");
        return ExitCode::FAILURE;
    }
    bailiwick_server::main_with(modules)
}
