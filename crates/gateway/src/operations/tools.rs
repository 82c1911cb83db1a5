//! Which tools an organisation's agents have, for texts that name them.

use std::future::Future;
use std::pin::Pin;

use bailiwick_model::OrgId;
use bailiwick_store::Scope;

/// What is known of tools at this moment. Only a gateway that serves agents knows any.
pub trait LiveTools: Send + Sync {
    /// Those of `names` that no agent of `org` has now: neither one that has called lately, nor the caller's own. `None` when not one
    /// agent's tools are known.
    fn missing<'a>(
        &'a self,
        org: &'a OrgId,
        caller: Option<&'a Scope>,
        names: Vec<String>,
    ) -> Pin<Box<dyn Future<Output = Option<Vec<String>>> + Send + 'a>>;
}
