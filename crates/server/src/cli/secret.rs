//! `bailiwick secret`: sealed values. A value comes from stdin or a file, never from the command line, and is never shown.

use std::io::{self, IsTerminal, Read};
use std::path::Path;

use bailiwick_model::OrgId;
use bailiwick_store::SECRET_BYTES_MAX;
use secrecy::SecretString;

use super::args::{Form, SecretCommand};
use super::context::Context;
use super::desk::{Desk, Work};
use super::output;
use crate::exit::{Exit, Failure};
use crate::http::api::operation::Nothing;
use crate::http::api::org::OrgPath;
use crate::http::api::secret::{ListSecrets, NewSecret, PutSecret, RemoveSecret, SecretPath, Value};
use crate::http::api::text::SecretName;

pub(super) async fn run(context: &Context, command: SecretCommand) -> Result<(), Failure> {
    // Read before the database is opened: nobody waits for a lock while a person types.
    let value = match &command {
        SecretCommand::Set { from_file, .. } => Some(read_value(from_file.as_deref())?),
        _ => None,
    };
    let work = if matches!(command, SecretCommand::List { .. }) { Work::Reads } else { Work::Changes };
    if let SecretCommand::Rm { name, confirm, .. } = &command {
        output::confirm(&format!("Remove secret `{name}`"), confirm.yes)?;
    }
    let desk = context.desk(work).await?;
    let done = match (command, value) {
        (SecretCommand::Set { name, org, .. }, Some(value)) => set(context.form, &desk, (&name, org), value).await,
        (SecretCommand::Rm { name, org, .. }, _) => remove(context.form, &desk, &name, org).await,
        (SecretCommand::List { org }, _) => list(context.form, &desk, org).await,
        (SecretCommand::Set { .. }, None) => Ok(()),
    };
    done.and(desk.close().await)
}

async fn set(form: Form, desk: &Desk, (name, org): (&str, Option<OrgId>), value: SecretString) -> Result<(), Failure> {
    let path = SecretPath { org: desk.org(org).await?, name: parsed(name)? };
    desk.ensure_org(&path.org).await?;
    let secret = desk.ask::<PutSecret>(path, NewSecret { value: Value(value) }).await?;
    let text = format!("Secret `{name}` of `{}` is sealed (version {}). Refer to it as ${{secret:{name}}}.", secret.org, secret.version);
    output::done(form, &secret, &text)
}

async fn remove(form: Form, desk: &Desk, name: &str, org: Option<OrgId>) -> Result<(), Failure> {
    let path = SecretPath { org: desk.org(org).await?, name: parsed(name)? };
    let text = format!("Secret `{name}` of `{}` is removed. Servers that use it fail until it is set again.", path.org);
    output::done(form, &desk.ask::<RemoveSecret>(path, Nothing {}).await?, &text)
}

async fn list(form: Form, desk: &Desk, org: Option<OrgId>) -> Result<(), Failure> {
    let rows = desk.all::<ListSecrets, _>(OrgPath { org: desk.org(org).await? }).await?;
    output::print_rows(form, &rows, ["NAME", "ORG", "VERSION", "UPDATED", "BY"], |row| {
        [row.name.clone(), row.org.to_string(), row.version.to_string(), row.updated_at.clone(), row.updated_by.clone()]
    })
}

fn parsed(name: &str) -> Result<SecretName, Failure> {
    let invalid = |rule| Failure::new(Exit::Usage, "the name of the secret is not usable").hint(format!("use {rule}"));
    SecretName::parse(name).map_err(invalid)
}

pub(super) fn read_value(file: Option<&Path>) -> Result<SecretString, Failure> {
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
