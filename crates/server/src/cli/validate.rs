//! `bailiwick validate`: every mistake of manifests and configurations, without opening what they name.

use bailiwick_model::mistake::Severity;
use bailiwick_model::{Config, Manifest, Mistake};
use serde_json::{Value, json};
use std::io::IsTerminal as _;

use super::args::{Form, ValidateArgs};
use super::context::Context;
use super::output;
use crate::check::{self, AnyFile, Checked, Checks};
use crate::exit::{Exit, Failure};

/// Exit 0 or 1 only, as scoped-mcp has it: one `OK:` or `INVALID:` line for each file on stderr, the report on stdout.
pub(super) fn run(context: &Context, args: &ValidateArgs) -> Result<(), Failure> {
    let checks = Checks { credentials: !args.no_credentials, ..context.checks(args.strict) };
    let manifests = args.manifest.iter().map(|path| check::manifest(path, checks).map(AnyFile::Manifest));
    let others = args.files.iter().map(|path| check::any(path, checks));
    let mut files: Vec<Result<AnyFile, Failure>> = manifests.chain(others).collect();
    across(&mut files);
    let color = output::color(&context.environment, std::io::stdout().is_terminal());
    let mut shown = Vec::new();
    let mut invalid = false;
    for file in &files {
        let (good, verdict) = match file {
            Ok(AnyFile::Manifest(checked)) => verdict(checked, "manifest"),
            Ok(AnyFile::Configuration(checked)) => verdict(checked, "configuration"),
            Err(failure) => (false, format!("INVALID: {}", failure.message())),
        };
        let (mistakes, told) = match file {
            Ok(AnyFile::Manifest(checked)) => (&checked.reading.mistakes[..], checked.told(color)),
            Ok(AnyFile::Configuration(checked)) => (&checked.reading.mistakes[..], checked.told(color)),
            Err(_) => (&[][..], String::new()),
        };
        match context.form {
            Form::Json => shown.extend(mistakes.iter().map(as_json)),
            Form::Text => output::print(&told)?,
        }
        eprintln!("{verdict}");
        invalid |= !good;
    }
    if context.form == Form::Json {
        output::print_json(&shown)?;
    }
    if invalid { Err(Failure::told(Exit::Failed)) } else { Ok(()) }
}

/// Manifests and the configurations beside them belong together; without a configuration nothing is known about servers.
fn across(files: &mut [Result<AnyFile, Failure>]) {
    let mut configs: Vec<&Config> = Vec::new();
    let mut manifests: Vec<&mut Checked<Manifest>> = Vec::new();
    let mut unread = false;
    for file in files {
        match file {
            Ok(AnyFile::Configuration(checked)) => match &checked.reading.value {
                Some(config) if !checked.reading.is_refused() => configs.push(config),
                _ => unread = true,
            },
            Ok(AnyFile::Manifest(checked)) => manifests.push(checked),
            Err(_) => {}
        }
    }
    // A server whose entry is wrong is left out of the configuration: its absence says nothing.
    let whole = !unread && !configs.is_empty();
    if whole {
        check::grants(&mut manifests, &configs);
    }
}

/// Says also what the file was taken for.
fn verdict<T>(checked: &Checked<T>, what: &str) -> (bool, String) {
    let file = checked.path.display();
    let some = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    match checked.reading.count() {
        (0, 0) => (true, format!("OK: {file} ({what})")),
        (0, warnings) => (true, format!("OK: {file} ({what}, {})", some(warnings, "warning"))),
        (errors, 0) => (false, format!("INVALID: {file} ({what}, {})", some(errors, "error"))),
        (errors, warnings) => (false, format!("INVALID: {file} ({what}, {}, {})", some(errors, "error"), some(warnings, "warning"))),
    }
}

fn as_json(mistake: &Mistake) -> Value {
    let severity = if mistake.severity == Severity::Error { "error" } else { "warning" };
    json!({
        "severity": severity, "file": mistake.file, "line": mistake.place.line, "column": mistake.place.column,
        "path": mistake.path, "message": mistake.message, "hint": mistake.hint,
    })
}
