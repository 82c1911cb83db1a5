//! The HTTP door: listener, connections with their limits, routes, graceful stop.
//!
//! One task per connection from accept to answer. The MCP endpoint is handed on without any router in between; everything
//! else of the same kind, health, is an ordinary `axum` router. The management API (`api.rs`) has a table of its own.

pub(crate) mod api;
pub(crate) mod connect;
mod connection;
mod health;
mod limits;
mod listener;
mod routes;
mod watch;

pub use api::Api;
pub use health::{Health, Part};
pub use limits::HttpLimits;
pub use listener::{Door, Reserved, StopSwitch};
pub use routes::Endpoint;
