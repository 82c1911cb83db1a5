//! A governed MCP server of one's own. Organisations, roles, instructions and the call log come from this program; the path of every
//! call, the tools and the ledger come from Bailiwick. See README.md.

mod calls;
mod contents;
mod people;

use std::process::ExitCode;
use std::sync::Arc;

use bailiwick_gateway::OwnParts;
use bailiwick_server::Program;

use calls::Stderr;
use contents::InMemory;
use people::{OneOrganisation, Roster};

fn main() -> ExitCode {
    let own = OwnParts {
        scopes: Some(Arc::new(OneOrganisation("acme"))),
        roles: Some(Arc::new(Roster::new(&[("head-01", bailiwick_model::Role::OrgAdmin), ("worker-01", bailiwick_model::Role::Member)]))),
        contents: Some(Arc::new(InMemory::default())),
        calls: Some(Arc::new(Stderr)),
    };
    Program::new().own(own).main()
}
