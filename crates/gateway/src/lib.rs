//! What happens: the call path, the catalog of tools, the servers behind it, and the gateway that holds them.
//!
//! Read `call.rs` first: it is the path of a tool call, one stage a line.

mod agents;
mod asked;
mod asking;
mod bailiwick;
mod batch;
mod body;
mod call;
mod call_log;
mod catalog;
mod changes;
mod credentials;
mod detach;
mod dial;
mod discover;
mod examine;
mod exchange;
mod fault;
mod filters;
mod gateway;
mod health;
mod inflight;
mod initialize;
mod limits;
mod listen;
mod lock;
mod mask;
mod memory;
mod methods;
mod peer;
mod product;
mod progress;
mod rates;
mod refusal;
mod replay;
mod schema;
mod servers;
mod sessions;
mod settings;
mod spool;
mod stream;
mod way;
mod window;

pub use body::AnswerBody;
pub use call::authenticate::Caller;
pub use call_log::CallLog;
pub use examine::{missing_credentials, module_faults, unknown_servers};
pub use exchange::ServerEndpoint;
pub use gateway::{Gateway, LoadedManifest, Setup, StartFault};
pub use health::{Health, Part};
pub use peer::Peer;
pub use refusal::Refusal;
