//! Where the programs of this workspace lie once cargo has built them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The program `fake-upstream` of this crate. It is built now if it is missing or older than its source: cargo builds the
/// programs of a package only for that package's own tests.
#[must_use]
pub fn fake_upstream() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let profile_dir = profile_dir();
        let path = profile_dir.join("fake-upstream");
        let built = path.metadata().and_then(|m| m.modified()).ok();
        if built < newest(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
            build("bailiwick-testkit", "fake-upstream", &profile_dir);
        }
        assert!(path.is_file(), "{} is missing after its build", path.display());
        path
    })
}

/// When the last file below `dir` was changed; none where there is no source, as in a copied test program.
fn newest(dir: &Path) -> Option<SystemTime> {
    let entries = dir.read_dir().ok()?.flatten();
    entries.filter_map(|e| if e.path().is_dir() { newest(&e.path()) } else { e.metadata().ok()?.modified().ok() }).max()
}

/// `target/debug` for a test in `target/debug/deps/`, or for a program in `target/debug/`.
fn profile_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("path of the running program");
    let dir = exe.parent().expect("a program lies in a directory");
    if dir.ends_with("deps") { dir.parent().expect("deps lies in the profile's directory").to_owned() } else { dir.to_owned() }
}

fn build(package: &str, program: &str, profile_dir: &Path) {
    let cargo = crate::needs::variable("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", package, "--bin", program]);
    command.arg("--target-dir").arg(profile_dir.parent().expect("a profile's directory lies in the target directory"));
    if profile_dir.ends_with("release") {
        command.arg("--release");
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let status = command.current_dir(workspace).status().expect("cargo can be started");
    assert!(status.success(), "cargo build of {program}: {status}");
}
