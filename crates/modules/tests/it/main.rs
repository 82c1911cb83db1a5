//! Tests through the public face of the modules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod examples;
mod filesystem;
mod filesystem_attacks;
mod filesystem_races;
mod flux_reader;
mod http_client;
mod influxdb;
mod influxdb_buckets;
mod influxdb_injection;
mod influxdb_support;
mod influxdb_tables;
mod scope;
mod service;
mod specs;
mod sqlite;
mod sqlite_attacks;
mod sqlite_bombs;
mod support;
mod tls;
