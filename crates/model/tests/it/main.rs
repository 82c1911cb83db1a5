//! The model through its public face.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "tests; the helpers are no test functions")]

mod catalog;
mod config;
mod document;
mod examples;
mod issuers;
mod manifest;
mod manifest_mistakes;
mod properties;
mod schema;
