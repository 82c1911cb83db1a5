//! The harness against itself: what a test relies on must hold before anything is tested with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod app;
mod client;
mod faults;
mod provider;
mod stdio;
