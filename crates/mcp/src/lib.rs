//! The Model Context Protocol on the wire: both eras, HTTP and stdio, server and client side.
//!
//! Nothing here knows an organisation, an agent or a policy. Messages are read strictly (`json`, `message`), kept as text, and told apart
//! by era (`exchange`); answers are put together around shared bytes (`encode`).

pub mod bulk;
pub mod client;
pub mod encode;
pub mod error;
pub mod exchange;
pub mod http_rules;
pub mod json;
pub mod message;
pub mod meta;
pub mod method;
mod request_id;
pub mod revision;
pub mod sse;
pub mod stdio;

pub use encode::Frame;
pub use error::{RpcError, WireError};
pub use exchange::{Exchange, Headers, Modern, ParamHeader};
pub use json::{Fault, FaultKind, Json, Kind, Limits, Token, TokenKind};
pub use message::{Id, Message, Notification, Request, Response, decode};
pub use meta::RequestMeta;
pub use revision::{Era, Revision};
