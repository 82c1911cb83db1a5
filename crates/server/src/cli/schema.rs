//! `bailiwick schema`: what may be written, for editors and for people.

use bailiwick_model::schema;

use super::args::SchemaCommand;
use super::context::Context;
use super::output;
use crate::exit::Failure;
use crate::http::api::{self, document};
use crate::reference::modules_page;

pub(super) fn run(context: &Context, command: &SchemaCommand) -> Result<(), Failure> {
    match command {
        SchemaCommand::Manifest { markdown: false } => output::print_json(&schema::manifest(&context.modules)),
        SchemaCommand::Manifest { markdown: true } => output::print(&schema::manifest_page()),
        SchemaCommand::Config { markdown: false } => output::print_json(&schema::configuration()),
        SchemaCommand::Config { markdown: true } => output::print(&schema::configuration_page()),
        SchemaCommand::Openapi => output::print(&document::text(&api::routes())),
        SchemaCommand::Modules => output::print(&modules_page(&context.modules)),
    }
}
