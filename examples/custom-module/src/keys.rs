//! The instance: one agent's keys.

use bailiwick_model::Code;
use bailiwick_modules::scope::{Namespace, Scoping};
use bailiwick_modules::{Access, CallContext, Pending, ToolFault, ToolModule, ToolOutput, ToolSpec, decode};
use redis::cmd;
use serde::Deserialize;

use crate::connection::Server;
use crate::tools;

/// Longest pattern of a list.
const PATTERN_BYTES_MAX: usize = 256;
/// Keys of the whole server that one step of a list looks at.
const SCAN_COUNT: usize = 1_000;
/// Steps of one list; beyond them the server holds too much to be searched.
const SCAN_STEPS_MAX: usize = 1_000;

pub(crate) struct Limits {
    pub(crate) value_bytes: u64,
    pub(crate) listed: u64,
}

/// The keys of one agent. Another agent gets another instance with another namespace.
pub(crate) struct Keys {
    server: Server,
    scope: Namespace,
    limits: Limits,
    mode: Option<Access>,
}

/// A call whose arguments were read and found sound. Keys are the server's names already: code behind this line cannot forget to scope one.
enum Order {
    Get { placed: String },
    List { pattern: String },
    Set { placed: String, value: String, ttl: u64 },
    Delete { placed: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyArguments {
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArguments {
    #[serde(default = "everything")]
    pattern: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetArguments {
    key: String,
    value: String,
    #[serde(default)]
    ttl: u64,
}

fn everything() -> String {
    "*".to_owned()
}

impl Keys {
    pub(crate) fn new(server: Server, scope: Namespace, limits: Limits, mode: Option<Access>) -> Self {
        Self { server, scope, limits, mode }
    }

    /// Reads the arguments without doing anything: `confine` and `call` both begin here, so they cannot disagree.
    fn read(&self, tool: &str, arguments: &str) -> Result<Order, ToolFault> {
        let offered = tools::ALL.iter().any(|known| known.name == tool && known.access.offered_in(self.mode));
        match tool {
            _ if !offered => Err(ToolFault::no_tool()),
            "get_key" => Ok(Order::Get { placed: self.scope.place(&decode::<KeyArguments>(arguments)?.key)? }),
            "delete_key" => Ok(Order::Delete { placed: self.scope.place(&decode::<KeyArguments>(arguments)?.key)? }),
            "list_keys" => {
                let ListArguments { pattern } = decode(arguments)?;
                if pattern.len() > PATTERN_BYTES_MAX || pattern.chars().any(char::is_control) {
                    let message = format!("the pattern is longer than {PATTERN_BYTES_MAX} bytes or holds a control character");
                    return Err(ToolFault::invalid(message, "use a short pattern like `session:*`"));
                }
                Ok(Order::List { pattern })
            }
            _ => {
                let SetArguments { key, value, ttl } = decode(arguments)?;
                if value.len() as u64 > self.limits.value_bytes {
                    return Err(self.too_long(value.len() as u64));
                }
                if ttl > tools::TTL_SECONDS_MAX {
                    let message = format!("`ttl` is more than {} seconds", tools::TTL_SECONDS_MAX);
                    return Err(ToolFault::invalid(message, "use a shorter time, or 0 for none"));
                }
                Ok(Order::Set { placed: self.scope.place(&key)?, value, ttl })
            }
        }
    }

    async fn run(&self, order: Order, context: &CallContext<'_>) -> Result<ToolOutput, ToolFault> {
        match order {
            Order::Get { placed } => {
                let length: u64 = self.server.ask(cmd("STRLEN").arg(&placed), context).await?;
                if length > self.limits.value_bytes {
                    return Err(self.too_long(length));
                }
                let value: Option<Vec<u8>> = self.server.ask(cmd("GET").arg(&placed), context).await?;
                let Some(value) = value else { return ToolOutput::json(&None::<String>) };
                let not_text = |_| ToolFault::new(Code::NotText, "the value is not UTF-8 text", "use another key");
                ToolOutput::text(String::from_utf8(value).map_err(not_text)?)
            }
            Order::List { pattern } => ToolOutput::json(&self.list(&pattern, context).await?),
            Order::Set { placed, value, ttl } => {
                let mut command = cmd("SET");
                command.arg(&placed).arg(value);
                if ttl > 0 {
                    command.arg("EX").arg(ttl);
                }
                self.server.ask::<()>(&command, context).await?;
                Ok(ToolOutput::done())
            }
            Order::Delete { placed } => {
                let deleted: u64 = self.server.ask(cmd("DEL").arg(&placed), context).await?;
                ToolOutput::json(&(deleted > 0))
            }
        }
    }

    /// Ids hold no pattern characters, so the prefix stands for itself; `own` looks at every key again all the same.
    async fn list(&self, pattern: &str, context: &CallContext<'_>) -> Result<Vec<String>, ToolFault> {
        let wanted = format!("{}{pattern}", self.scope.prefix());
        let (mut cursor, mut found) = (0_u64, Vec::new());
        for _ in 0..SCAN_STEPS_MAX {
            context.check()?;
            let step = cmd("SCAN").arg(cursor).arg("MATCH").arg(&wanted).arg("COUNT").arg(SCAN_COUNT).to_owned();
            let (next, keys): (u64, Vec<Vec<u8>>) = self.server.ask(&step, context).await?;
            let keys = keys.into_iter().filter_map(|key| String::from_utf8(key).ok());
            found.extend(keys.filter_map(|key| self.scope.own(&key).map(|own| own.into_owned())));
            // A scan may show a key twice.
            found.sort_unstable();
            found.dedup();
            if found.len() as u64 > self.limits.listed {
                let message = format!("there are more than {} such keys", self.limits.listed);
                return Err(ToolFault::limit("max_listed_keys", self.limits.listed, message, "use a narrower pattern"));
            }
            if next == 0 {
                return Ok(found);
            }
            cursor = next;
        }
        let steps = u64::try_from(SCAN_STEPS_MAX).unwrap_or(u64::MAX);
        Err(ToolFault::limit("scan_steps", steps, "the key store holds too much to be searched", "read keys by their names"))
    }

    fn too_long(&self, length: u64) -> ToolFault {
        let limit = self.limits.value_bytes;
        ToolFault::limit("max_value_bytes", limit, format!("the value has {length} bytes, more than {limit}"), "split it over several keys")
    }
}

impl ToolModule for Keys {
    fn tools(&self) -> Vec<ToolSpec> {
        tools::ALL.iter().filter(|tool| tool.access.offered_in(self.mode)).map(|tool| (tool.spec)()).collect()
    }

    fn confine(&self, tool: &str, arguments: &str) -> Result<(), ToolFault> {
        self.read(tool, arguments).map(drop)
    }

    fn call<'a>(&'a self, tool: &'a str, arguments: &'a str, context: CallContext<'a>) -> Pending<'a, Result<ToolOutput, ToolFault>> {
        Box::pin(async move {
            context.check()?;
            self.run(self.read(tool, arguments)?, &context).await
        })
    }
}
