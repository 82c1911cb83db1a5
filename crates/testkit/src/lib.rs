//! Test harness: application under test, fake upstreams, an honest client, clock, PostgreSQL starter.
//!
//! Nothing here is part of the product. A broken precondition ends the test at once with a message that says what was
//! missing, which is why this crate, alone among ours, may panic.
//!
//! | Need | Take |
//! |---|---|
//! | an MCP server that does what the test says and writes down what arrived | [`upstream::FakeUpstream`], [`upstream::StdioUpstream`] |
//! | a provider: such a server behind an authorization server, with the habits of real ones | [`provider::Provider`] |
//! | an HTTP service that keeps every byte it receives | [`service::FakeService`] |
//! | a Grafana or an InfluxDB with state, for that service to answer as | [`grafana::Grafana`], [`influxdb::Influx`] |
//! | Flux literals as the language reads them | [`flux`] |
//! | the program `bailiwick` as a child process, to be killed and restarted | [`app::App`] |
//! | a client that checks every answer against the rules of its era | [`client::Client`] |
//! | time and randomness under control | [`time::ManualClock`], [`time::SeededRandom`] |
//! | a private directory | [`place::Place`] |
//! | something that may be absent on a developer's machine | [`needs::needs`] |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test harness: a broken precondition must end the test with its reason"
)]

pub mod app;
pub mod client;
pub mod flux;
pub mod grafana;
pub mod influxdb;
pub mod needs;
pub mod place;
pub mod postgres;
pub mod program;
pub mod provider;
pub mod service;
pub mod time;
pub mod upstream;
