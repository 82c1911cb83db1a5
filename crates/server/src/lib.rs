//! The doors of Bailiwick: MCP endpoints and the command line; the program `bailiwick`.

mod app;
mod check;
mod cli;
mod demo;
mod environment;
pub mod exit;
mod harden;
pub mod http;
mod logging;
mod operator;
mod places;
mod reference;
mod report;
mod serve;
mod settings;
mod shim;
mod signals;
pub mod stdio;
mod system;

use std::process::ExitCode;

use bailiwick_modules::ModuleRegistry;

/// The whole program: parses the process's arguments, runs the command, reports its failure on stderr.
#[must_use]
pub fn main() -> ExitCode {
    main_with(ModuleRegistry::with_builtin())
}

/// The same with other module kinds; see `examples/custom-module`.
#[must_use]
pub fn main_with(modules: ModuleRegistry) -> ExitCode {
    cli::main(modules)
}
