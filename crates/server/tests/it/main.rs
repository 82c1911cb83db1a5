//! Stories over the doors and the real program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod audit;
mod base;
mod canary;
mod cli;
mod demo;
mod door;
mod ear;
mod endpoint;
mod filters;
mod keys;
mod kill;
mod leaks;
mod listening;
mod modules;
mod notifiers;
mod offers;
mod outage;
mod proof;
mod recorder;
mod reference;
mod refusals;
mod resumption;
mod run_http;
mod scene;
mod services;
mod shared_rates;
mod spool;
mod stdio;
mod stop;
mod stories;
mod support;
mod validate;
mod vault;
