//! The ledger: durability, faults, recovery, verification.

mod basics;
mod faults;
mod harness;
pub(crate) mod index;
mod kill;
mod postgres;
mod recovery;
mod verification;
