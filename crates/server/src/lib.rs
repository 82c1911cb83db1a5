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

use bailiwick_gateway::OwnParts;
use bailiwick_modules::ModuleRegistry;

/// The whole program: parses the process's arguments, runs the command, reports its failure on stderr.
#[must_use]
pub fn main() -> ExitCode {
    Program::new().main()
}

/// The same with other module kinds; see `examples/custom-module`.
#[must_use]
pub fn main_with(modules: ModuleRegistry) -> ExitCode {
    Program::new().modules(modules).main()
}

/// The program with parts of one's own: `run`, `serve` and every other command use them. See `examples/governed-server`.
pub struct Program {
    modules: ModuleRegistry,
    own: OwnParts,
}

impl Default for Program {
    fn default() -> Self {
        Self::new()
    }
}

impl Program {
    /// The program as it comes.
    #[must_use]
    pub fn new() -> Self {
        Self { modules: ModuleRegistry::with_builtin(), own: OwnParts::default() }
    }

    /// With these module kinds instead.
    #[must_use]
    pub fn modules(mut self, modules: ModuleRegistry) -> Self {
        self.modules = modules;
        self
    }

    /// With these parts in place of what configuration and store would do.
    #[must_use]
    pub fn own(mut self, own: OwnParts) -> Self {
        self.own = own;
        self
    }

    /// Parses the process's arguments, runs the command, reports its failure on stderr.
    #[must_use]
    pub fn main(self) -> ExitCode {
        cli::main(self)
    }
}
