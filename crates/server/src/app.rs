//! From settings to a running gateway: everything is opened and checked in order, and nothing is left half-started.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_gateway::{CallLog, Gateway, LoadedManifest, OwnParts, Setup, SingleAgent, StartFault};
use bailiwick_mcp::client::Launcher;
use bailiwick_model::config::Config;
use bailiwick_model::mistake::{Mistake, Severity};
use bailiwick_model::time::{Clock, Random};
use bailiwick_modules::ModuleRegistry;
use bailiwick_modules::egress::SystemNetwork;
use bailiwick_store::ledger::{Ledger, LedgerError, LedgerOptions, Place, SigningKey, load_or_create_key};
use bailiwick_store::{Dialect, Keyring, Store};

use crate::check::{self, Checks};
use crate::cli::output;
use crate::environment::Environment;
use crate::exit::{Exit, Failure};
use crate::logging;
use crate::places::private_directory;
use crate::settings::Settings;

/// What a gateway is started from.
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) manifests: Vec<LoadedManifest>,
    pub(crate) environment: Environment,
    pub(crate) modules: ModuleRegistry,
    /// What the program brings along.
    pub(crate) own: OwnParts,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    /// The only agent, when it is reached over HTTP with a token of its own.
    pub(crate) single_agent: Option<SingleAgent>,
    pub(crate) call_log: Option<Arc<dyn CallLog>>,
}

/// Reads manifests, checked as `validate` does; their warnings go to the log. Every mistake of every file is in one failure. With the
/// gateway's configuration, the servers that they grant must be declared in it.
///
/// # Errors
/// [`Exit::Usage`] with all mistakes, or the first file that cannot be read.
pub(crate) fn load_manifests(files: &[PathBuf], config: &Config, checks: Checks<'_>) -> Result<Vec<LoadedManifest>, Failure> {
    let read: Result<Vec<_>, Failure> = files.iter().map(|path| check::manifest(path, checks)).collect();
    let mut read = read?;
    check::grants(&mut read.iter_mut().collect::<Vec<_>>(), &[config]);
    let color = output::color(checks.environment, std::io::stderr().is_terminal());
    let mut loaded = Vec::new();
    let mut refused: Option<Failure> = None;
    for checked in read {
        let path = checked.path.clone();
        checked.reading.mistakes.iter().for_each(note);
        match checked.accepted("manifest", color) {
            Ok((manifest, _)) => {
                tracing::info!(target: "ops", event = "manifest_loaded", file = %path.display(), agent_type = %manifest.agent_type, "manifest loaded");
                loaded.push(LoadedManifest { path, manifest });
            }
            Err(failure) => {
                refused = Some(match refused {
                    None => failure,
                    Some(first) => first.details(&format!("{failure}\n\n")),
                });
            }
        }
    }
    refused.map_or(Ok(loaded), Err)
}

/// Errors go to the file alone: on stderr they are told in full when the process ends.
fn note(mistake: &Mistake) {
    let (line, hint, path) = (mistake.place.line, mistake.hint.as_deref().unwrap_or_default(), mistake.path.as_str());
    let (file, text) = (mistake.file.as_str(), mistake.message.as_str());
    match mistake.severity {
        Severity::Warning => tracing::warn!(target: "ops", event = "manifest_warning", file, line, path, hint, "{text}"),
        Severity::Error => tracing::error!(target: logging::OPS_FILE, event = "manifest_mistake", file, line, path, hint, "{text}"),
    }
}

/// Opens store, ledger and keys, then starts the gateway.
///
/// # Errors
/// The first step that fails, with its remedy. What was opened is closed again.
pub(crate) async fn start(plan: Plan) -> Result<Gateway, Failure> {
    let Plan { settings, manifests, environment, modules, own, clock, random, single_agent, call_log } = plan;
    let store = settings.open_store(&clock, &random).await?;
    let ledger = match open_ledger(&settings, &store, &clock, &random).await {
        Ok(ledger) => ledger,
        Err(failure) => {
            store.close().await;
            return Err(failure);
        }
    };
    let keyring = Keyring::start(store.clone()).await?;
    let setup = Setup {
        config: settings.config,
        manifests,
        store: store.clone(),
        ledger: ledger.clone(),
        keyring,
        modules,
        clock,
        random,
        network: Arc::new(SystemNetwork),
        environment,
        launcher: Some(launcher()?),
        single_agent,
        call_log,
        own,
    };
    match Gateway::start(setup).await {
        Ok(gateway) => Ok(gateway),
        Err(fault) => {
            let _ = ledger.close().await;
            store.close().await;
            Err(fault.into())
        }
    }
}

/// Opens the ledger where the database says: segments beside SQLite, rows in PostgreSQL. The store is its readable index.
///
/// # Errors
/// When the directory, the key or the ledger cannot be used.
pub(crate) async fn open_ledger(
    settings: &Settings,
    store: &Store,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<Ledger, Failure> {
    let dir = settings.ledger_dir();
    private_directory(&dir)?;
    let key = signing_key(&dir, store, random.as_ref()).await?;
    let place = match store.dialect() {
        Dialect::Sqlite => Place::Segments { dir },
        Dialect::Postgres => Place::Postgres { store: store.clone() },
    };
    let options = LedgerOptions::new(place, Arc::new(key), Arc::clone(clock)).with_index(Arc::new(store.clone()));
    Ok(Ledger::open(options).await?)
}

/// The key that signs checkpoints: the store's, sealed under the root key. While the store is sealed, calls are refused, but what is
/// refused is recorded too: then a key file beside the ledger signs.
async fn signing_key(dir: &Path, store: &Store, random: &dyn Random) -> Result<SigningKey, Failure> {
    if store.sealed().is_none() {
        return Ok(SigningKey::sealed(store.checkpoint_key().await?));
    }
    load_or_create_key(dir, random).map_err(|cause| {
        let failure = Failure::new(Exit::Unavailable, format!("cannot use the signing key of the ledger in `{}`: {cause}", dir.display()));
        failure.hint("it must be a file of mode 0600 that belongs to this user")
    })
}

impl From<LedgerError> for Failure {
    fn from(fault: LedgerError) -> Self {
        Self::new(Exit::Unavailable, format!("cannot open the ledger: {fault}"))
    }
}

impl From<StartFault> for Failure {
    fn from(fault: StartFault) -> Self {
        Self::new(Exit::Usage, fault.message).hint(fault.remedy)
    }
}

/// This program, put in front of stdio servers; see `shim`.
fn launcher() -> Result<Launcher, Failure> {
    let program = std::env::current_exe()
        .map_err(|cause| Failure::new(Exit::Unavailable, format!("cannot find this program's own file: {cause}")))?;
    let parent = std::process::id().to_string();
    Ok(Launcher { program, args: ["__stdio-exec", "--parent", &parent, "--"].map(Into::into).into() })
}
