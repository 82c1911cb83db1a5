//! The OAuth client towards external MCP servers (protocol reference 7.2, 7.4, 7.5; governance reference 6.1 to 6.4; security reference 7, 10).
//!
//! It knows HTTP and OAuth, and nothing of rows, organisations or calls: everything comes in as an argument and goes out as a value. Who holds
//! which token, who may refresh it, where a flow waits for its person, is decided by those who call it. Why it is ours: decision 0016.
//!
//! In the order of a connection's life:
//!
//! | File | Holds |
//! |---|---|
//! | `oauth/settings.rs` | who we are towards others, and which addresses may be named to us |
//! | `oauth/challenge.rs` | `WWW-Authenticate`, strictly read |
//! | `oauth/discover.rs` | from a server's address to its authorization server's endpoints |
//! | `oauth/identity.rs` | as whom we appear there: registered by hand, by document, or by request |
//! | `oauth/authorize.rs` | the address a person opens |
//! | `oauth/callback.rs` | what that person's browser brings back |
//! | `oauth/token.rs` | exchange, refresh, client credentials, revocation |
//! | `oauth/step_up.rs` | more scopes, a limited number of times |
//! | `oauth/profiles.rs` | what is known of single providers |
//! | `oauth/doctor.rs` | all of it without a person, told in words |

mod address;
mod assertion;
pub(crate) mod authorize;
pub(crate) mod callback;
pub(crate) mod challenge;
pub(crate) mod discover;
pub(crate) mod doctor;
mod fault;
pub(crate) mod identity;
mod listed;
pub(crate) mod profiles;
mod scope;
mod settings;
pub(crate) mod step_up;
#[cfg(test)]
mod tests;
pub(crate) mod token;
mod wire;

#[allow(unused_imports, reason = "read by what registers servers")]
pub(crate) use address::Address;
#[allow(unused_imports, reason = "read by what lends tokens to calls")]
pub(crate) use fault::{FaultKind, OAuthFault, Step};
pub(crate) use settings::Settings;
