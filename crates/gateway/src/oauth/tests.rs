//! The client against fake providers on loopback, and against metadata that means harm.
//!
//! | File | Holds |
//! |---|---|
//! | `tests/kit.rs` | settings, a network that keeps what is dialled, one connection step by step |
//! | `tests/life.rs` | the whole life of a connection at each provider, with its quirk on |
//! | `tests/headers.rs` | challenges, table by table |
//! | `tests/hostile.rs` | documents and callbacks that mean harm |
//! | `tests/answers.rs` | what token endpoints answer |
//! | `tests/choices.rs` | registration, scopes, parameters, step-up |
//! | `tests/data.rs` | the profiles |
//! | `tests/doctor.rs` | reports |

mod answers;
mod choices;
mod data;
mod doctor;
mod headers;
mod hostile;
mod kit;
mod life;
