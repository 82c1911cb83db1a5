//! Stories over the doors and the real program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod audit;
mod base;
mod cli;
mod demo;
mod door;
mod endpoint;
mod keys;
mod kill;
mod listening;
mod offers;
mod outage;
mod proof;
mod recorder;
mod refusals;
mod scene;
mod spool;
mod stdio;
mod stop;
mod stories;
mod support;
mod vault;
