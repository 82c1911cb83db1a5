//! The HTTP door: listener, connections with their limits, routes, graceful stop.
//!
//! One task per connection from accept to answer. The MCP endpoint is handed on without any router in between; everything
//! else (health, and later the management API) is an ordinary `axum` router.

mod connection;
mod health;
mod limits;
mod listener;
mod routes;
mod watch;

pub use health::{Health, Part};
pub use limits::HttpLimits;
pub use listener::{Door, Reserved, StopSwitch};
pub use routes::Endpoint;
