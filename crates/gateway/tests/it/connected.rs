//! Registered servers behind the call path: tokens lent, refreshed, consented to, given back, before fake providers on loopback.

mod bench;
mod by_itself;
mod forms;
mod listing;
mod replicas;
mod stories;
