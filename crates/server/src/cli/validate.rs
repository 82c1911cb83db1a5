//! `bailiwick validate`: every mistake of manifests and configurations, without opening anything.

use std::path::Path;

use bailiwick_model::document::{Document, Value as Written};
use bailiwick_model::mistake::Severity;
use bailiwick_model::{Config, Manifest, Mistake};
use serde_json::{Value, json};

use super::args::{Form, ValidateArgs};
use super::context::Context;
use super::output;
use crate::exit::{Exit, Failure};
use crate::settings::read_text;

/// What a file was checked as.
#[derive(Clone, Copy)]
enum Kind {
    Manifest,
    Configuration,
}

/// Exit 0 or 1 only, as scoped-mcp has it.
pub(super) fn run(context: &Context, args: &ValidateArgs) -> Result<(), Failure> {
    let mut shown = Vec::new();
    let mut invalid = 0_usize;
    for file in args.manifest.iter().chain(&args.files) {
        let known = args.manifest.is_some().then_some(Kind::Manifest);
        let mistakes = match check(context, file, known) {
            Ok(mistakes) => mistakes,
            Err(failure) => {
                invalid += 1;
                eprintln!("INVALID: {}", failure.message());
                continue;
            }
        };
        let errors = mistakes.iter().filter(|mistake| mistake.severity == Severity::Error).count();
        invalid += usize::from(errors > 0);
        match context.form {
            Form::Json => shown.extend(mistakes.iter().map(as_json)),
            Form::Text => output::print(&mistakes.iter().map(|mistake| format!("{mistake}\n\n")).collect::<String>())?,
        }
        match (errors, mistakes.len() - errors) {
            (0, 0) => eprintln!("OK: {}", file.display()),
            (0, warnings) => eprintln!("OK: {} ({warnings} warnings)", file.display()),
            (errors, _) => eprintln!("INVALID: {} ({errors} errors)", file.display()),
        }
    }
    if context.form == Form::Json {
        output::print_json(&shown)?;
    }
    if invalid == 0 { Ok(()) } else { Err(Failure::told(Exit::Failed)) }
}

fn check(context: &Context, path: &Path, known: Option<Kind>) -> Result<Vec<Mistake>, Failure> {
    let text = read_text(path, "file")?;
    let name = path.display().to_string();
    let environment = |variable: &str| context.environment.get(variable).cloned();
    let checked = match known.unwrap_or_else(|| kind(&name, &text)) {
        Kind::Manifest => Manifest::parse(&name, &text, &environment, &context.modules).map(|(_, warnings)| warnings),
        Kind::Configuration => Config::parse(&name, &text, &environment).map(|(_, warnings)| warnings),
    };
    Ok(checked.unwrap_or_else(|mistakes| mistakes.list().to_vec()))
}

/// Manifests say for which agents they are; nothing else has these keys.
fn kind(name: &str, text: &str) -> Kind {
    let Ok(document) = Document::parse(name, text) else { return Kind::Manifest };
    let Written::Map(entries) = &document.root.value else { return Kind::Configuration };
    let manifest = entries.iter().any(|entry| matches!(entry.key.as_str(), "agent_type" | "modules" | "credentials"));
    if manifest { Kind::Manifest } else { Kind::Configuration }
}

fn as_json(mistake: &Mistake) -> Value {
    let severity = if mistake.severity == Severity::Error { "error" } else { "warning" };
    json!({
        "severity": severity, "file": mistake.file, "line": mistake.place.line, "column": mistake.place.column,
        "path": mistake.path, "message": mistake.message, "hint": mistake.hint,
    })
}
