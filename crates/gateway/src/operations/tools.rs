//! Which tools an organisation's agents have, for texts that name them.

use std::future::Future;
use std::pin::Pin;

use bailiwick_model::OrgId;
use bailiwick_store::Scope;

/// What is known of tools at this moment. Only a gateway that serves agents knows any.
pub trait LiveTools: Send + Sync {
    /// Those of `names` that the caller does not have in `org` now, nor, when `everybodys` are asked for, any agent that has called
    /// lately. `None` when nobody's tools are known.
    fn missing<'a>(
        &'a self,
        org: &'a OrgId,
        caller: Option<&'a Scope>,
        everybodys: bool,
        names: Vec<String>,
    ) -> Pin<Box<dyn Future<Output = Option<Vec<String>>> + Send + 'a>>;
}
