//! The configuration with everything it refers to: where it came from, which files and directories it means.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_model::Config;
use bailiwick_model::config::VARIABLES;
use bailiwick_model::glob::Glob;
use bailiwick_model::time::{Clock, Random};
use bailiwick_store::{DatabaseUrl, Migrate, OpenOptions, RootKeySource, Store};
use secrecy::SecretString;

use crate::check;
use crate::cli::output;
use crate::environment::Environment;
use crate::exit::{Exit, Failure};
use crate::places::{Places, database_file, make_directory, private_directory};

/// Largest manifest, configuration or secret file.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;
/// Manifests that one configuration may name.
const MANIFESTS_MAX: usize = 1_000;
/// Holds the root key itself, for places without files.
const ROOT_KEY_VARIABLE: &str = "BAILIWICK_ROOT_KEY";

/// The root key: what the environment holds needs no place for a file.
enum RootKey {
    File(PathBuf),
    Value(SecretString),
}

impl RootKey {
    fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Value(_) => None,
        }
    }

    /// As the store wants it; the directory of a file is made.
    fn source(&self) -> Result<RootKeySource, Failure> {
        let path = match self {
            Self::Value(value) => return Ok(RootKeySource::Environment { name: ROOT_KEY_VARIABLE.to_owned(), value: value.clone() }),
            Self::File(path) => path,
        };
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let unusable = |cause| {
                Failure::new(Exit::Unavailable, format!("cannot make the directory `{}` of the root key: {cause}", directory.display()))
            };
            make_directory(directory).map_err(unusable)?;
        }
        Ok(RootKeySource::File { path: path.clone(), create: true })
    }
}

/// A checked configuration and the places it means.
pub(crate) struct Settings {
    pub(crate) config: Config,
    /// The file it was read from; `None` when there is none and every value is a default or from the environment.
    pub(crate) file: Option<PathBuf>,
    pub(crate) state_dir: PathBuf,
    pub(crate) database: DatabaseUrl,
    root_key: RootKey,
    /// Whether what an operator has to know is left unsaid: in the demonstration nothing lasts.
    pub(crate) quiet: bool,
}

impl Settings {
    /// Finds, reads and checks the configuration; the environment stands over the file.
    ///
    /// # Errors
    /// [`Exit::Usage`] with every mistake, [`Exit::Unavailable`] for a named file that cannot be read.
    pub(crate) fn load(named: Option<&Path>, environment: &Environment) -> Result<Self, Failure> {
        let places = Places::new(environment);
        let file = named.map(Path::to_path_buf).or_else(|| places.config_candidates().into_iter().find(|path| path.is_file()));
        let text = file.as_deref().map_or_else(|| Ok(String::new()), |path| read_text(path, "configuration"))?;
        let environment = with_secret_files(environment)?;
        let checked = check::configuration_text(file.as_deref().unwrap_or(Path::new("bailiwick.yml")), text, &environment);
        let told = checked.told(output::color(&environment, io::stderr().is_terminal()));
        let (config, warnings) =
            checked.reading.finish().map_err(|_| Failure::new(Exit::Usage, "the configuration is not valid").details(&told))?;
        if !warnings.is_empty() {
            eprint!("{told}");
        }
        let base = file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let within = |path: &str| base.join(path);
        let state_dir = places.state_dir(config.state_dir.as_deref().map(within).as_deref())?;
        let root_key = match environment.get(ROOT_KEY_VARIABLE) {
            Some(value) => RootKey::Value(SecretString::from(value.as_str())),
            None => RootKey::File(places.root_key_file(config.root_key_file.as_deref().map(within).as_deref())?),
        };
        let database = database(&config, base, &state_dir)?;
        Ok(Self { config, file, state_dir, database, root_key, quiet: false })
    }

    /// Where the ledger's segments lie.
    pub(crate) fn ledger_dir(&self) -> PathBuf {
        self.state_dir.join("ledger")
    }

    /// Opens the store: makes the state directory and, for a database without sealed values, the root key; applies migrations.
    /// Tells the operator on stderr what he has to know.
    ///
    /// # Errors
    /// When a directory, the key or the database cannot be used.
    pub(crate) async fn open_store(&self, clock: &Arc<dyn Clock>, random: &Arc<dyn Random>) -> Result<Store, Failure> {
        private_directory(&self.state_dir)?;
        let new_key = self.root_key.file().filter(|file| !file.exists());
        let options = OpenOptions {
            database: self.database.clone(),
            root_key: self.root_key.source()?,
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            migrate: Migrate::Apply,
        };
        let store = Store::open(options).await?;
        if let Some(file) = new_key.filter(|file| file.exists() && !self.quiet) {
            let path = file.display();
            eprintln!("note: created the root key `{path}`; keep a copy elsewhere: without it sealed values and API keys are lost");
        }
        if !self.quiet {
            store.warnings().iter().for_each(|warning| eprintln!("warning: {warning}"));
        }
        Ok(store)
    }

    /// The manifest files that the configuration names, globs resolved, in order, each once.
    ///
    /// # Errors
    /// [`Exit::Usage`] naming an entry that matches nothing, [`Exit::Unavailable`] for a directory that cannot be read.
    pub(crate) fn manifest_files(&self) -> Result<Vec<PathBuf>, Failure> {
        let base = self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in &self.config.manifests {
            for file in matching(&base.join(entry), entry)? {
                if !files.contains(&file) {
                    files.push(file);
                }
            }
        }
        if files.len() > MANIFESTS_MAX {
            return Err(Failure::new(Exit::Usage, format!("`manifests` names {} files, at most {MANIFESTS_MAX} are served", files.len())));
        }
        Ok(files)
    }
}

fn matching(path: &Path, entry: &str) -> Result<Vec<PathBuf>, Failure> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.contains(['*', '?']) {
        return Ok(vec![path.to_path_buf()]);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unreadable = |cause: io::Error| {
        Failure::new(Exit::Unavailable, format!("cannot read the directory `{}` of `manifests`: {cause}", directory.display()))
    };
    let glob = Glob::parse(name).map_err(|cause| Failure::new(Exit::Usage, format!("`manifests` entry `{entry}`: {cause}")))?;
    let mut found = Vec::new();
    for item in std::fs::read_dir(directory).map_err(unreadable)? {
        let item = item.map_err(unreadable)?;
        if item.file_name().to_str().is_some_and(|name| glob.matches(name)) {
            found.push(item.path());
        }
    }
    found.sort();
    if found.is_empty() {
        let failure = Failure::new(Exit::Usage, format!("`manifests` entry `{entry}` matches no file in `{}`", directory.display()));
        return Err(failure.hint("put a manifest there, or remove the entry"));
    }
    Ok(found)
}

fn database(config: &Config, base: &Path, state_dir: &Path) -> Result<DatabaseUrl, Failure> {
    use bailiwick_model::config::DatabaseUrl as Written;
    let opened = match &config.database {
        None => DatabaseUrl::sqlite(&database_file(state_dir)),
        Some(Written::Sqlite { path }) => DatabaseUrl::sqlite(&base.join(path)),
        Some(Written::Postgres(url)) => DatabaseUrl::parse(url.expose()),
    };
    opened.map_err(Failure::from)
}

/// Variables that may be secret can also be given as `NAME_FILE`, the path of a file that holds the value.
fn with_secret_files(environment: &Environment) -> Result<BTreeMap<String, String>, Failure> {
    let mut all = environment.clone();
    for variable in VARIABLES.iter().filter(|variable| variable.secret) {
        let Some(path) = environment.get(&format!("{}_FILE", variable.name)) else { continue };
        if environment.contains_key(variable.name) {
            return Err(Failure::new(Exit::Usage, format!("both `{0}` and `{0}_FILE` are set", variable.name)).hint("keep one of them"));
        }
        let text = read_text(Path::new(path), variable.name)?;
        all.insert(variable.name.to_owned(), text.trim_end_matches(['\r', '\n']).to_owned());
    }
    Ok(all)
}

/// Reads a small UTF-8 file.
///
/// # Errors
/// [`Exit::Unavailable`] when it cannot be read, [`Exit::Usage`] when it is too large or not UTF-8.
pub(crate) fn read_text(path: &Path, what: &str) -> Result<String, Failure> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|cause| Failure::new(Exit::Unavailable, format!("cannot read the {what} `{shown}`: {cause}")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::new(Exit::Usage, format!("the {what} `{shown}` is larger than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|cause| {
        let at = cause.utf8_error().valid_up_to();
        Failure::new(Exit::Usage, format!("the {what} `{shown}` is not UTF-8 text (byte {at})"))
    })
}
