//! Tests through the public face of the modules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod examples;
mod filesystem;
mod filesystem_attacks;
mod filesystem_races;
mod grafana;
mod grafana_fake;
mod grafana_references;
mod http_attacks;
mod http_client;
mod http_proxy;
mod scope;
mod service;
mod specs;
mod sqlite;
mod sqlite_attacks;
mod sqlite_bombs;
mod support;
mod tls;
