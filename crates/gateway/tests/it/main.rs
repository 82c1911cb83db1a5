//! A whole gateway in one process, with a network of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod house;
mod manifests;
mod town;
