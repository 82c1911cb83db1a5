//! Tests through the public face of the modules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod canary;
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
mod influxdb;
mod influxdb_buckets;
mod influxdb_injection;
mod influxdb_support;
mod influxdb_tables;
mod injections;
mod mail_reader;
mod mail_server;
mod matrix;
mod ntfy;
mod scope;
mod service;
mod smtp;
mod smtp_dialogue;
mod specs;
mod sqlite;
mod sqlite_attacks;
mod sqlite_bombs;
mod support;
mod tls;
mod webhooks;
