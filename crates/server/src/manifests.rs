//! Reading manifests, with every mistake of every file in one message.

use std::path::Path;

use bailiwick_model::manifest::ModuleCatalog;
use bailiwick_model::{Manifest, Mistake};

use crate::environment::Environment;
use crate::exit::{Exit, Failure};
use crate::settings::read_text;

/// A manifest with its warnings.
pub(crate) struct Read {
    pub(crate) manifest: Manifest,
    pub(crate) warnings: Vec<Mistake>,
}

/// Reads one manifest.
///
/// # Errors
/// [`Exit::Usage`] with every mistake; [`Exit::Unavailable`] when the file cannot be read.
pub(crate) fn read(path: &Path, environment: &Environment, kinds: &dyn ModuleCatalog) -> Result<Read, Failure> {
    let text = read_text(path, "manifest")?;
    let parsed = Manifest::parse(&path.display().to_string(), &text, &|name| environment.get(name).cloned(), kinds);
    let (manifest, warnings) =
        parsed.map_err(|mistakes| Failure::new(Exit::Usage, format!("the manifest `{}` is not valid\n{mistakes}", path.display())))?;
    Ok(Read { manifest, warnings })
}
