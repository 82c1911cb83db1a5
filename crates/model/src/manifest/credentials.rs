//! Where the credentials of modules come from (reference, tool modules section 4).

use crate::address::Cidr;
use crate::id::{AgentId, AgentType};
use crate::reader::{Field, Table};
use crate::shape::{Also, Choice, Key, Need, Section, Shape, formats, words};
use crate::substitute::is_variable;
use crate::template::{self, TemplateFault};
use crate::upstream::address;

/// Where the key/value engine is mounted unless the manifest says otherwise.
const MOUNT: &str = "secret";

/// The `credentials` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The source.
    pub source: CredentialSource,
    /// Whether a secrets file readable by others is refused (default) or only warned about.
    pub strict_permissions: bool,
}

/// One source of credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CredentialSource {
    /// The environment of the process, read once.
    #[default]
    Env,
    /// A YAML mapping in a file of its own.
    File {
        /// Path of the file.
        path: String,
    },
    /// HashiCorp Vault.
    Vault(Vault),
}

/// Access to Vault by AppRole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vault {
    /// Base address, http or https.
    pub addr: String,
    /// Variable that holds the role id; default `VAULT_ROLE_ID`.
    pub role_id_env: String,
    /// Variable that holds the secret id; default `VAULT_SECRET_ID`.
    pub secret_id_env: String,
    /// Path of the secret: a checked template without `..`; see [`Vault::path_for`].
    pub path: String,
    /// Version of the key/value engine, 1 or 2 (default).
    pub kv_version: u8,
    /// Where the key/value engine is mounted; default `secret`. `path` lies beneath it.
    pub mount: String,
    /// Private addresses that the name in `addr` may lead to; an address written out is allowed as it is.
    pub allow_private: Vec<Cidr>,
}

impl Default for Credentials {
    fn default() -> Self {
        Self { source: CredentialSource::Env, strict_permissions: true }
    }
}

impl Vault {
    /// The path for one agent.
    ///
    /// # Errors
    /// [`TemplateFault`] never happens for a path that was read from a manifest.
    pub fn path_for(&self, agent_id: &AgentId, agent_type: &AgentType) -> Result<String, TemplateFault> {
        template::render(&self.path, agent_id, agent_type)
    }
}

const SOURCES: [(&str, Kind); 3] = [("env", Kind::Env), ("file", Kind::File), ("vault", Kind::Vault)];
const AUTHS: [(&str, ()); 1] = [("approle", ())];

pub(super) static CREDENTIALS: Section = Section {
    path: "credentials",
    doc: "Where the credentials of modules come from. Each module is lent the ones it declares, and the agent sees none of them.",
    keys: &[
        Key::new("source", Shape::Word(&words(&SOURCES), Also::Nothing), "The environment of the process, a file, or HashiCorp Vault.")
            .or("env"),
        Key::new(
            "path",
            Shape::Filled,
            "For `source: file`: a YAML mapping of names to values, of mode 0600 and owned by the running user.",
        ),
        Key::new(
            "strict_permissions",
            Shape::Boolean,
            "Whether a secrets file that others can read is refused; otherwise it is a warning.",
        )
        .or("true"),
        Key::new("vault", Shape::Section(&VAULT), "For `source: vault`: which secret, and how to sign in."),
    ],
    needs: &[
        Need { when: "source", word: "file", key: "path", hint: "`source: file` reads the credentials from the YAML mapping at `path`" },
        Need { when: "source", word: "vault", key: "vault", hint: "`source: vault` needs at least `vault.addr` and `vault.path`" },
    ],
    choice: Choice::Free,
};

static VAULT: Section = Section {
    path: "credentials.vault",
    doc: "One secret of HashiCorp Vault or OpenBao, read when an agent is opened.",
    keys: &[
        Key::new("addr", Shape::Format(&formats::ADDRESS), "Base address of the server.").required(),
        Key::new("auth", Shape::Word(&words(&AUTHS), Also::Nothing), "How to sign in.").or("approle"),
        Key::new("role_id_env", Shape::Format(&formats::VARIABLE), "Environment variable that holds the role id.").or("VAULT_ROLE_ID"),
        Key::new("secret_id_env", Shape::Format(&formats::VARIABLE), "Environment variable that holds the secret id.")
            .or("VAULT_SECRET_ID"),
        Key::new(
            "path",
            Shape::Format(&formats::VAULT_PATH),
            "Path of the secret; `{agent_id}` and `{agent_type}` are replaced, `..` is refused.",
        )
        .required(),
        Key::new("kv_version", Shape::Integer { min: 1, max: 2 }, "Version of the key/value engine.").or("2"),
        Key::new("mount", Shape::Format(&formats::MOUNT), "Where the key/value engine is mounted; `path` lies beneath it.").or(MOUNT),
        Key::new(
            "allow_private",
            Shape::List(&Shape::Format(&formats::CIDR)),
            "Private ranges that the name in `addr` may lead to; an address written out is allowed as it is.",
        )
        .or("[]"),
    ],
    needs: &[],
    choice: Choice::Free,
};

#[derive(Clone, Copy)]
enum Kind {
    Env,
    File,
    Vault,
}

pub(super) fn read(field: &Field<'_>) -> Option<Credentials> {
    let table = field.table()?;
    let kind = table.read("source", |f| f.word(&SOURCES)).unwrap_or(Kind::Env);
    let path = table.read("path", |f| f.filled().map(str::to_owned));
    let vault = table.read("vault", vault);
    let strict_permissions = table.read("strict_permissions", Field::boolean).unwrap_or(true);
    let source = match kind {
        Kind::Env => CredentialSource::Env,
        Kind::File => CredentialSource::File { path: path.unwrap_or_default() },
        Kind::Vault => vault.map_or(CredentialSource::Env, CredentialSource::Vault),
    };
    table.finish();
    Some(Credentials { source, strict_permissions })
}

fn vault(field: &Field<'_>) -> Option<Vault> {
    let table = field.table()?;
    let addr = table.read("addr", address);
    table.read("auth", |f| f.word(&AUTHS));
    let role_id_env = variable(&table, "role_id_env", "VAULT_ROLE_ID");
    let secret_id_env = variable(&table, "secret_id_env", "VAULT_SECRET_ID");
    let path = table.read("path", path);
    let kv_version = table.read("kv_version", |f| f.integer()).map_or(2, |version| if version == 1 { 1 } else { 2 });
    let mount = table.read("mount", mount).unwrap_or_else(|| MOUNT.to_owned());
    let cidr = |f: &Field<'_>| Cidr::parse(f.filled()?).map_err(|rule| f.error(rule)).ok();
    let allow_private = table.read("allow_private", |f| f.each(cidr)).unwrap_or_default();
    table.finish();
    Some(Vault { addr: addr?, role_id_env, secret_id_env, path: path?, kv_version, mount, allow_private })
}

fn variable(table: &Table<'_>, key: &'static str, default: &str) -> String {
    let read = |f: &Field<'_>| {
        let name = f.text()?;
        if !is_variable(name) {
            f.error("not a valid name of an environment variable");
        }
        Some(name.to_owned())
    };
    table.read(key, read).unwrap_or_else(|| default.to_owned())
}

fn mount(field: &Field<'_>) -> Option<String> {
    let mount = field.filled()?;
    if mount.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        field.error("must be the path of a mount, such as `secret`, without `/` at its ends and without `..`");
        return None;
    }
    Some(mount.to_owned())
}

fn path(field: &Field<'_>) -> Option<String> {
    let path = field.filled()?;
    if let Err(fault) = template::check(path) {
        field.error(fault.to_string());
        return None;
    }
    // Agent ids and types have no dots, so the rendered path has `..` only where the template has it.
    if path.contains("..") {
        field.error("must not contain `..`");
        return None;
    }
    Some(path.to_owned())
}
