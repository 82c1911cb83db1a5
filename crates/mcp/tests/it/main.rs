//! Tests of the protocol through its public faces, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(unreachable_pub, missing_docs, reason = "one binary; its modules are not an interface")]

mod client_asked;
mod client_authorized;
mod client_cost;
mod client_fake;
mod client_hostile;
mod client_http;
mod client_kit;
mod client_notices;
mod client_offers;
mod client_stdio;
mod client_streams;
mod client_versions;
mod encode;
mod exchange;
mod http_rules;
mod json;
mod message;
mod sse;
mod stdio;
