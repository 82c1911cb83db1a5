//! Manifests and configurations, checked as far as it goes without opening what they name. `validate`, `run` and `serve` all use this,
//! so that they find the same and tell it in the same words.

use std::path::{Path, PathBuf};

use bailiwick_model::document::{Document, Value};
use bailiwick_model::mistake::{Reading, Severity, nearest};
use bailiwick_model::{Config, Manifest, Mistake};
use bailiwick_modules::ModuleRegistry;

use crate::environment::Environment;
use crate::exit::{Exit, Failure};
use crate::report::Source;
use crate::settings::read_text;

/// What files are checked against, and how far.
#[derive(Clone, Copy)]
pub(crate) struct Checks<'c> {
    /// Answers `${NAME}` and, where a manifest says so, lends credentials.
    pub(crate) environment: &'c Environment,
    /// The module kinds of this build.
    pub(crate) modules: &'c ModuleRegistry,
    /// Whether the credentials that modules require are looked for.
    pub(crate) credentials: bool,
    /// Whether a module with writing tools must have a `mode`.
    pub(crate) strict: bool,
}

/// One file with everything there is to say about it.
pub(crate) struct Checked<T> {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) reading: Reading<T>,
}

impl<T> Checked<T> {
    /// The report for people, empty when there is nothing to say.
    pub(crate) fn told(&self, color: bool) -> String {
        Source::new(&self.text, self.reading.document.as_ref()).tell(&self.reading.mistakes, self.reading.dropped, color)
    }

    /// The value when there is no error.
    ///
    /// # Errors
    /// [`Exit::Usage`] with the whole report; `what` is the word for the file.
    pub(crate) fn accepted(self, what: &str, color: bool) -> Result<(T, Vec<Mistake>), Failure> {
        let told = self.told(color);
        let refused = Failure::new(Exit::Usage, format!("the {what} `{}` is not valid", self.path.display())).details(&told);
        self.reading.finish().map_err(|_| refused)
    }
}

/// A file, told apart by what is in it.
pub(crate) enum AnyFile {
    Manifest(Checked<Manifest>),
    Configuration(Checked<Config>),
}

/// Reads one manifest.
///
/// # Errors
/// When the file cannot be read, is too large or is not text.
pub(crate) fn manifest(path: &Path, checks: Checks<'_>) -> Result<Checked<Manifest>, Failure> {
    let text = read_text(path, "manifest")?;
    Ok(manifest_text(path, text, checks))
}

/// Reads one file of either kind.
///
/// # Errors
/// As [`manifest`]; also when there is nothing in the file that would tell what it is.
pub(crate) fn any(path: &Path, checks: Checks<'_>) -> Result<AnyFile, Failure> {
    let text = read_text(path, "file")?;
    if Document::parse("", &text).is_ok_and(|document| document.root.value == Value::Null) {
        let message = format!("the file `{}` is empty, so it is neither a manifest nor a configuration", path.display());
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(if is_manifest(&text) {
        AnyFile::Manifest(manifest_text(path, text, checks))
    } else {
        AnyFile::Configuration(configuration_text(path, text, checks.environment))
    })
}

fn manifest_text(path: &Path, text: String, checks: Checks<'_>) -> Checked<Manifest> {
    let mut reading = Manifest::examine(&path.display().to_string(), &text, &|name| checks.environment.get(name).cloned(), checks.modules);
    if checks.strict {
        reading.be_strict();
    }
    if let (Some(manifest), Some(document)) = (&reading.value, &reading.document) {
        // What the reader has told about a key is not told again by the module.
        let told = |found: &Mistake| reading.mistakes.iter().any(|m| m.severity == Severity::Error && m.path == found.path);
        let mut found = bailiwick_gateway::module_faults(manifest, document, checks.modules);
        found.retain(|mistake| !told(mistake));
        if checks.credentials {
            found.extend(bailiwick_gateway::missing_credentials(manifest, document, checks.modules, checks.environment));
        }
        reading.extend(found);
    }
    Checked { path: path.to_path_buf(), text, reading }
}

/// Checks a configuration; `environment` stands over the file.
pub(crate) fn configuration_text(path: &Path, text: String, environment: &Environment) -> Checked<Config> {
    let reading = Config::examine(&path.display().to_string(), &text, &|name| environment.get(name).cloned());
    Checked { path: path.to_path_buf(), text, reading }
}

/// Servers that manifests grant must be declared by one of the configurations.
pub(crate) fn grants(manifests: &mut [&mut Checked<Manifest>], configs: &[&Config]) {
    for checked in manifests {
        let unknown = checked.reading.value.as_ref().map(|manifest| bailiwick_gateway::unknown_servers(manifest, configs));
        checked.reading.extend(unknown.unwrap_or_default());
    }
}

/// Keys at top level that only one of the two has.
const OF_MANIFESTS: [&str; 16] = [
    "agent_type",
    "description",
    "modules",
    "policy",
    "credentials",
    "state_backend",
    "rate_limits",
    "argument_filters",
    "response_filters",
    "hitl",
    "content_limits",
    "max_auto_risk",
    "interaction_permissions",
    "workspace_access",
    "agent_id",
    "compat",
];
const OF_CONFIGURATIONS: [&str; 19] = [
    "allowed_hosts",
    "allowed_origins",
    "auth",
    "connections",
    "database",
    "feedback",
    "instructions",
    "limits",
    "listen",
    "log",
    "manifests",
    "names",
    "org",
    "path",
    "public_url",
    "root_key_file",
    "runs",
    "shutdown",
    "state_dir",
];

/// Manifests say for which agents they are and what these may do; a configuration has none of these keys. Where no key is right, the
/// likeness of the wrong ones decides. What is not YAML is told apart by the beginnings of its lines, where JSON may stand behind a brace
/// and blanks.
fn is_manifest(text: &str) -> bool {
    match Document::parse("", text).map(|document| document.root.value) {
        Ok(Value::Map(entries)) => {
            let has = |keys: &[&str]| entries.iter().any(|entry| keys.contains(&entry.key.as_str()));
            has(&OF_MANIFESTS) || !has(&OF_CONFIGURATIONS) && entries.iter().any(|entry| resembles_manifest(&entry.key))
        }
        Ok(_) => false,
        Err(_) => {
            let key = |line: &str| line.split(':').next().unwrap_or_default().trim_matches(['"', '\'']).to_owned();
            let is_json = text.trim_start().starts_with('{');
            let begun = |line: &str| key(if is_json { line.trim_start_matches(['{', ' ', '\t']) } else { line });
            text.lines().map(begun).any(|key| OF_MANIFESTS.contains(&key.as_str()))
        }
    }
}

/// Whether a key that neither kind of file has is most like one of manifests.
fn resembles_manifest(key: &str) -> bool {
    let known = OF_MANIFESTS.into_iter().chain(OF_CONFIGURATIONS).chain(["servers", "audit"]);
    nearest(key, known).is_some_and(|near| OF_MANIFESTS.contains(&near))
}
