//! `bailiwick db`: the tables of the configured database.

use bailiwick_store::{Migrate, OpenOptions, RootKeySource, Store, apply_migrations};
use serde_json::json;

use super::args::{DbCommand, Form};
use super::context::Context;
use super::output;
use crate::exit::Failure;
use crate::places::private_directory;

pub(super) async fn run(context: &Context, command: &DbCommand) -> Result<(), Failure> {
    match command {
        DbCommand::Migrate => migrate(context).await,
        DbCommand::Status => status(context).await,
    }
}

async fn migrate(context: &Context) -> Result<(), Failure> {
    let settings = context.settings()?;
    if settings.database.sqlite_path().is_some() {
        private_directory(&settings.state_dir)?;
    }
    let report = apply_migrations(&settings.database, context.clock.now()).await?;
    let database = settings.database.to_string();
    match context.form {
        Form::Json => output::print_json(
            &json!({"database": database, "version_before": report.before, "version": report.after, "applied": report.applied}),
        ),
        Form::Text => {
            let steps: String = report.applied.iter().map(|name| format!("applied {name}\n")).collect();
            let unchanged = if report.applied.is_empty() { ", nothing to do" } else { "" };
            output::print(&format!("{steps}{database} is at version {}{unchanged}\n", report.after))
        }
    }
}

/// Opens the database as `serve` would, changing nothing.
async fn status(context: &Context) -> Result<(), Failure> {
    let settings = context.settings()?;
    let options = OpenOptions {
        database: settings.database.clone(),
        root_key: RootKeySource::None,
        clock: context.clock.clone(),
        random: context.random.clone(),
        migrate: Migrate::Verify,
    };
    let store = Store::open(options).await?;
    let (database, product) = (store.database().to_string(), store.dialect().name());
    store.close().await;
    match context.form {
        Form::Json => output::print_json(&json!({"database": database, "product": product, "schema": "current"})),
        Form::Text => output::print(&format!("{database} ({product}): schema as this program expects it\n")),
    }
}
