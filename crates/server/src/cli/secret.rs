//! `bailiwick secret`: sealed values. A value comes from stdin or a file, never from the command line, and is never shown.

use std::io::{self, IsTerminal, Read};
use std::path::Path;

use bailiwick_model::OrgId;
use bailiwick_store::event::EventKind;
use bailiwick_store::{SECRET_BYTES_MAX, SecretInfo};
use secrecy::SecretString;
use serde::Serialize;

use super::args::SecretCommand;
use super::context::Context;
use super::{output, pages};
use crate::exit::{Exit, Failure};
use crate::operator::Deed;
use crate::settings::Settings;

/// A sealed value as shown to operators.
#[derive(Serialize)]
struct Row {
    name: String,
    org: OrgId,
    version: i64,
    updated_at: String,
    updated_by: String,
}

pub(super) async fn run(context: &Context, command: SecretCommand) -> Result<(), Failure> {
    // Read before the database is opened: nobody waits for a lock while a person types.
    let value = match &command {
        SecretCommand::Set { from_file, .. } => Some(read_value(from_file.as_deref())?),
        _ => None,
    };
    let settings = context.settings()?;
    let home = settings.config.org.clone();
    match (command, value) {
        (SecretCommand::Set { name, org, .. }, Some(value)) => set(context, &settings, &name, &org.unwrap_or(home), &value).await,
        (SecretCommand::Rm { name, org, confirm }, _) => {
            let org = org.unwrap_or(home);
            output::confirm(&format!("Remove secret `{name}` of `{org}`"), confirm.yes)?;
            remove(context, &settings, &name, &org).await
        }
        (SecretCommand::List { org }, _) => list(context, &settings, org.unwrap_or(home)).await,
        (SecretCommand::Set { .. }, None) => Ok(()),
    }
}

async fn set(context: &Context, settings: &Settings, name: &str, org: &OrgId, value: &SecretString) -> Result<(), Failure> {
    let operator = context.operator(settings).await?;
    operator.store.orgs().ensure(&operator.scope, org).await?;
    let deed = Deed { kind: EventKind::Secret, operation: "secret set", org: Some(org), subject: name };
    let inside = operator.scope.within(org);
    let done = operator.record(deed, operator.store.secrets().put(&inside, name, value)).await;
    operator.close().await?;
    let version = done?;
    eprintln!("Secret `{name}` of `{org}` is sealed (version {version}). Refer to it as ${{secret:{name}}}.");
    Ok(())
}

async fn remove(context: &Context, settings: &Settings, name: &str, org: &OrgId) -> Result<(), Failure> {
    let operator = context.operator(settings).await?;
    let deed = Deed { kind: EventKind::Secret, operation: "secret rm", org: Some(org), subject: name };
    let inside = operator.scope.within(org);
    let done = operator.record(deed, operator.store.secrets().delete(&inside, name)).await;
    operator.close().await?;
    done?;
    eprintln!("Secret `{name}` of `{org}` is removed. Servers that use it fail until it is set again.");
    Ok(())
}

async fn list(context: &Context, settings: &Settings, org: OrgId) -> Result<(), Failure> {
    let (store, scope) = context.store(settings).await?;
    let found = pages::secrets(&store, &scope.within(&org)).await;
    store.close().await;
    let row = |secret: SecretInfo| Row {
        name: secret.name,
        org: org.clone(),
        version: secret.version,
        updated_at: secret.updated_at.to_string(),
        updated_by: secret.updated_by,
    };
    let rows: Vec<Row> = found?.into_iter().map(row).collect();
    output::print_rows(context.form, &rows, ["NAME", "ORG", "VERSION", "UPDATED", "BY"], |row| {
        [row.name.clone(), row.org.to_string(), row.version.to_string(), row.updated_at.clone(), row.updated_by.clone()]
    })
}

fn read_value(file: Option<&Path>) -> Result<SecretString, Failure> {
    let limit = SECRET_BYTES_MAX as u64 + 2;
    let mut text = String::new();
    let (source, read) = match file {
        Some(path) => {
            (format!("`{}`", path.display()), std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text)))
        }
        None => {
            if io::stdin().is_terminal() {
                eprintln!("Type or paste the value, then Enter and Ctrl-D:");
            }
            ("stdin".to_owned(), io::stdin().lock().take(limit).read_to_string(&mut text))
        }
    };
    let unreadable = |cause: io::Error| Failure::new(Exit::Unavailable, format!("cannot read the value from {source} as text: {cause}"));
    read.map_err(unreadable)?;
    // What editors and `echo` add; a value that must end in a newline has two.
    let value = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if value.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("{source} holds no value")).hint("for example `bailiwick secret set NAME < file`"));
    }
    if value.len() > SECRET_BYTES_MAX {
        return Err(Failure::new(Exit::Usage, format!("the value from {source} is larger than {SECRET_BYTES_MAX} bytes")));
    }
    Ok(SecretString::from(value))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn one_line_end_is_not_part_of_the_value() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("value");
        for (text, expected) in [("x\n", Some("x")), ("x\r\n", Some("x")), ("x\n\n", Some("x\n")), (" x ", Some(" x ")), ("\n", None)] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_value(Some(&path)).ok().as_ref().map(|value| value.expose_secret()), expected, "{text:?}");
        }
        std::fs::write(&path, "x".repeat(SECRET_BYTES_MAX + 1)).unwrap();
        let failure = read_value(Some(&path)).unwrap_err();
        assert!(failure.message().ends_with("bytes") && !failure.message().contains("xx"), "{failure}");
    }
}
