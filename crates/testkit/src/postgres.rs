//! A throw-away PostgreSQL for one test process: its own cluster in a temporary directory, reached by a Unix socket only, stopped and
//! removed when the value is dropped or the test process ends in whatever way.

use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where Debian and its relatives put the server programs of each major version.
const PROGRAMS_ROOT: &str = "/usr/lib/postgresql";
/// Accounts that may run the server when the tests run as root, which PostgreSQL refuses.
const PLAIN_ACCOUNTS: &[&str] = &["postgres", "nobody"];
/// Socket paths are limited to 107 bytes, so the cluster lives under a short directory.
const SHORT_TEMPORARY_ROOT: &str = "/tmp";
/// The superuser of the cluster.
const ADMIN: &str = "admin";
/// The role that owns the databases of tests: neither superuser nor BYPASSRLS.
const ROLE: &str = "bailiwick";
/// How long the server may take to start.
const START_SECONDS_MAX: &str = "60";

/// A running server.
pub struct Postgres {
    programs: PathBuf,
    directory: PathBuf,
    account: Option<Account>,
    watchdog: Option<Child>,
    databases: AtomicU32,
}

/// One fresh, empty database.
#[derive(Clone, Debug)]
pub struct TestDatabase {
    /// For the plain role that owns the database.
    pub url: String,
    /// For the superuser of the cluster, same database.
    pub admin_url: String,
    name: String,
}

/// A session of the superuser that stays open, with whatever it locked; ended when dropped.
#[derive(Debug)]
pub struct HeldSession(Child);

impl Drop for HeldSession {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Postgres {
    /// The server shared by all tests of this process, started at the first call. `None`, with a line that begins with `skipped:` on
    /// standard error, when the server programs are missing.
    ///
    /// # Panics
    /// When the programs are missing and the environment variable `CI` is `true`, and when the server does not start.
    pub fn shared() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
        SERVER.get_or_init(Self::start).as_ref()
    }

    /// A server of one's own, for tests that stop or kill it.
    ///
    /// # Panics
    /// As [`shared`](Self::shared).
    #[allow(clippy::panic, clippy::print_stderr, reason = "test support: a broken environment must be loud")]
    pub fn start() -> Option<Self> {
        let missing = match (programs_directory(), plain_account()) {
            (Some(programs), Ok(account)) => match Self::launch(programs, account) {
                Ok(server) => return Some(server),
                Err(message) => panic!("PostgreSQL does not start: {message}"),
            },
            (None, _) => "PostgreSQL server programs (initdb, pg_ctl, psql)",
            (_, Err(())) => "PostgreSQL server programs and an unprivileged account (postgres or nobody) to run them",
        };
        assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "needs {missing}");
        eprintln!("skipped: needs {missing}");
        None
    }

    fn launch(programs: PathBuf, account: Option<Account>) -> Result<Self, String> {
        let directory = private_directory(account)?;
        let mut server = Self { programs, directory, account, watchdog: None, databases: AtomicU32::new(0) };
        server.watchdog = Some(server.spawn_watchdog()?);
        let data = server.data();
        let locale = ["--encoding=UTF8", "--locale=C", "--no-sync", "--auth=trust"];
        run(server.program("initdb").arg("-D").arg(&data).args(["-U", ADMIN]).args(locale))?;
        run(server.program("pg_ctl").arg("-D").arg(&data).args(server.start_arguments()))?;
        server.admin_sql("postgres", &format!("CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB"))?;
        Ok(server)
    }

    fn start_arguments(&self) -> Vec<String> {
        // Nothing here has to survive a power cut; a killed *client* is what tests look at.
        let settings = "-c listen_addresses='' -c fsync=off -c full_page_writes=off -c max_connections=100 -c shared_buffers=32MB";
        let options = format!("{settings} -k {}", self.directory.display());
        let log = self.directory.join("log").display().to_string();
        ["-w", "-s", "-t", START_SECONDS_MAX, "-l", &log, "-o", &options, "start"].map(str::to_owned).to_vec()
    }

    /// The watchdog waits for the end of its input, which comes with our death at the latest; then it stops the server and removes
    /// the directory. It has a process group of its own, so that a signal to the tests' group does not reach it.
    fn spawn_watchdog(&self) -> Result<Child, String> {
        const SCRIPT: &str = "read -r _; \"$1\" -D \"$2/data\" -m immediate -s stop; rm -rf -- \"$2\"";
        let mut command = self.program("sh");
        command.args(["-c", SCRIPT, "watchdog"]).arg(self.programs.join("pg_ctl")).arg(&self.directory);
        command.stdin(Stdio::piped()).process_group(0);
        command.spawn().map_err(|e| format!("sh: {e}"))
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn program(&self, name: &str) -> Command {
        let own = self.programs.join(name);
        let mut command = if own.exists() { Command::new(own) } else { Command::new(name) };
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC").current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    /// Creates an empty database that belongs to the plain role.
    ///
    /// # Panics
    /// When the server refuses.
    #[allow(clippy::panic, reason = "test support")]
    pub fn database(&self) -> TestDatabase {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        if let Err(message) = self.admin_sql("postgres", &format!("CREATE DATABASE {name} OWNER {ROLE}")) {
            panic!("{message}");
        }
        TestDatabase { url: self.url(ROLE, &name), admin_url: self.url(ADMIN, &name), name }
    }

    /// Runs statements as the superuser of the cluster, which row policies do not bind, and gives the rows: one a line, columns
    /// separated by `|`.
    ///
    /// # Panics
    /// When a statement fails.
    #[allow(clippy::panic, reason = "test support")]
    pub fn sql(&self, database: &TestDatabase, statements: &str) -> String {
        let mut command = self.psql(&database.name);
        command.args(["-A", "-t", "-c", statements]).stdout(Stdio::piped());
        run(&mut command).unwrap_or_else(|message| panic!("{statements}: {message}"))
    }

    /// Runs statements in a session of the superuser that stays open; comes back when they are done.
    ///
    /// # Panics
    /// When the session ends before they are.
    #[allow(clippy::panic, reason = "test support")]
    pub fn hold(&self, database: &TestDatabase, statements: &str) -> HeldSession {
        const DONE: &str = "statements are done";
        let mut child =
            self.psql(&database.name).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("psql: {e}"));
        let script = format!("{statements};\n\\echo {DONE}\n");
        let input = child.stdin.as_mut().map(|input| input.write_all(script.as_bytes()).and_then(|()| input.flush()));
        assert!(matches!(input, Some(Ok(()))), "psql does not read");
        let told = child.stdout.take().map(|output| BufReader::new(output).lines().map_while(Result::ok).any(|line| line == DONE));
        let held = HeldSession(child);
        assert_eq!(told, Some(true), "the session ended early: {statements}");
        held
    }

    /// Stops the server, cutting every connection; its databases are kept.
    ///
    /// # Panics
    /// When it does not stop.
    #[allow(clippy::panic, reason = "test support")]
    pub fn stop(&self) {
        let mut command = self.program("pg_ctl");
        command.arg("-D").arg(self.data()).args(["-w", "-s", "-t", START_SECONDS_MAX, "-m", "fast", "stop"]);
        run(&mut command).unwrap_or_else(|message| panic!("{message}"));
    }

    /// Starts the server again after [`stop`](Self::stop).
    ///
    /// # Panics
    /// When it does not start.
    #[allow(clippy::panic, reason = "test support")]
    pub fn start_again(&self) {
        let mut command = self.program("pg_ctl");
        run(command.arg("-D").arg(self.data()).args(self.start_arguments())).unwrap_or_else(|message| panic!("{message}"));
    }

    /// User and group that the server runs as.
    ///
    /// # Panics
    /// When its directory cannot be read.
    #[allow(clippy::expect_used, reason = "test support")]
    pub fn owner(&self) -> (u32, u32) {
        let directory = fs::metadata(&self.directory).expect("the directory of the cluster");
        (directory.uid(), directory.gid())
    }

    fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@localhost/{database}?host={}", self.directory.display())
    }

    fn admin_sql(&self, database: &str, statement: &str) -> Result<(), String> {
        let mut command = self.psql(database);
        run(command.args(["-c", statement])).map(drop)
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = self.program("psql");
        command.arg("-h").arg(&self.directory).args(["-U", ADMIN, "-d", database, "-X", "-q", "-v", "ON_ERROR_STOP=1"]);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            drop(watchdog.stdin.take());
            let _ = watchdog.wait();
        }
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Postgres({})", self.directory.display())
    }
}

fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(Stdio::piped()).output().map_err(|e| format!("{name}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// The newest version's directory, else the first directory of PATH that has the programs.
fn programs_directory() -> Option<PathBuf> {
    let complete = |dir: &Path| ["initdb", "pg_ctl"].iter().all(|name| dir.join(name).is_file());
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(PROGRAMS_ROOT)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, dir)| complete(dir))
        .collect();
    versions.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    versions.pop().map(|(_, dir)| dir).or_else(|| std::env::split_paths(&path).find(|dir| complete(dir)))
}

/// `Ok(None)`: run as we are. `Ok(Some)`: we are root, run as this account.
fn plain_account() -> Result<Option<Account>, ()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &&str| {
        accounts.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [found, _, uid, gid, ..] = fields[..] else { return None };
            (found == *name).then_some(Account { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
        })
    };
    PLAIN_ACCOUNTS.iter().find_map(find).map(Some).ok_or(())
}

fn private_directory(account: Option<Account>) -> Result<PathBuf, String> {
    let short = Path::new(SHORT_TEMPORARY_ROOT);
    let root =
        if fs::metadata(short).is_ok_and(|m| m.is_dir() && m.mode() & 0o1000 != 0) { short.to_owned() } else { std::env::temp_dir() };
    let made = tempfile::Builder::new().prefix("bw-pg-").tempdir_in(root).map_err(|e| e.to_string())?;
    if let Some(account) = account {
        chown(made.path(), Some(account.uid), Some(account.gid)).map_err(|e| e.to_string())?;
    }
    // The watchdog removes it, also when this process is killed.
    Ok(made.keep())
}

#[cfg(test)]
mod tests {
    use super::Postgres;

    #[test]
    fn starts_serves_and_leaves_nothing_behind() {
        let Some(server) = Postgres::start() else { return };
        let (first, second) = (server.database(), server.database());
        assert_ne!(first.url, second.url);
        assert!(server.admin_sql("t0", "SELECT 1").is_ok());
        assert!(server.admin_sql("t9", "SELECT 1").is_err());
        let directory = server.directory.clone();
        drop(server);
        assert!(!directory.exists());
    }
}
