//! A tool module of your own: `redis` gives each agent its own keys in a Redis that many agents share.
//!
//! `README.md` beside this crate goes through it from top to bottom.
//!
//! | File | Holds |
//! |---|---|
//! | `lib.rs` | the kind: name, configuration keys, credentials, how it is opened |
//! | `keys.rs` | the instance: the four tools |
//! | `connection.rs` | the way to the server, through the guarded exit |
//! | `tools.rs` | what the tools say of themselves |

mod connection;
mod keys;
mod tools;

use std::sync::Arc;

use bailiwick_modules::scope::{Namespace, Owner};
use bailiwick_modules::service::{ALLOW_PRIVATE, CA_FILE, private_ranges, trust};
use bailiwick_modules::{
    Access, ConfigKey, ConfigKind, ConfigReader, CredentialKey, ModuleKind, ModuleSetup, OpenFault, ToolModule, ToolSpec,
};
use serde_json::{Map, Value};

use connection::Server;
use keys::{Keys, Limits};

/// Longest value an operator may allow; still fits into one message.
const VALUE_BYTES_CEILING: u64 = 1 << 20;
/// Most keys an operator may allow in one list.
const LISTED_CEILING: u64 = 10_000;

const REDIS_URL: &str = "REDIS_URL";
const KEYS: &[ConfigKey] = &[
    ConfigKey { name: "max_value_bytes", required: false, doc: "Longest value, in bytes. Default 65536.", kind: ConfigKind::Integer },
    ConfigKey { name: "max_listed_keys", required: false, doc: "Most keys in one list. Default 1000.", kind: ConfigKind::Integer },
    ALLOW_PRIVATE,
    CA_FILE,
];

/// The module kind `redis`.
#[derive(Clone, Copy, Debug)]
pub struct RedisKind;

impl ModuleKind for RedisKind {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        KEYS
    }

    fn credentials(&self, _: &Map<String, Value>) -> Vec<CredentialKey> {
        vec![CredentialKey::required(REDIS_URL)]
    }

    fn tools(&self) -> Vec<(&'static str, Access)> {
        tools::ALL.iter().map(|tool| (tool.name, tool.access)).collect()
    }

    fn specs(&self) -> Vec<ToolSpec> {
        tools::ALL.iter().map(|tool| (tool.spec)()).collect()
    }

    fn open(&self, setup: ModuleSetup<'_>) -> Result<Arc<dyn ToolModule>, OpenFault> {
        let config = ConfigReader::new(setup, KEYS)?;
        let missing = || OpenFault::about(REDIS_URL, "is missing", "set it to an address like `redis://user:password@host:6379/0`");
        let url = setup.credentials.get(REDIS_URL).ok_or_else(missing)?;
        let server = Server::new(url, setup.host, private_ranges(&config, ALLOW_PRIVATE.name)?, trust(&config)?)?;
        let limits = Limits {
            value_bytes: config.integer("max_value_bytes", 64 << 10, 1, VALUE_BYTES_CEILING)?,
            listed: config.integer("max_listed_keys", 1_000, 1, LISTED_CEILING)?,
        };
        Ok(Arc::new(Keys::new(server, Namespace::new(&Owner::of(&setup)), limits, setup.access)))
    }
}
