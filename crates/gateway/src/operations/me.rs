//! Who the caller is, as far as he may know.

use bailiwick_model::{Code, Standing};
use bailiwick_store::Scope;

use super::Acting;
use super::fault::{Done, Fault};

/// The caller.
#[derive(Clone, Debug)]
pub struct Me {
    /// Organisation, agent, member and key.
    pub scope: Scope,
    /// Role and groups at this moment.
    pub standing: Standing,
    /// Whether he may act above organisations.
    pub platform: bool,
}

/// The caller himself.
///
/// # Errors
/// `invalid_argument` for the operator at the machine, who is nobody's principal.
pub fn get(acting: &Acting) -> Done<Me> {
    let (Some(scope), Some(standing)) = (acting.scope(), acting.standing()) else {
        return Err(Fault::new(Code::InvalidArgument, "the operator at the machine has no principal", "ask with a key, with `--server`"));
    };
    Ok(Me { scope: scope.clone(), standing: standing.clone(), platform: acting.above().is_some() })
}
