//! A whole gateway in one process, with a network of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod arguments;
mod connected;
mod contracts;
mod door;
mod governed;
mod house;
mod jwt_attacks;
mod mail;
mod manifests;
mod neighbours;
mod town;
