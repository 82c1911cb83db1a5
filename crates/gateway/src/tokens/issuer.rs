//! One authorization server: what was configured, what its tokens must be for, and its keys.

use std::sync::Arc;

use bailiwick_model::config::IssuerConfig;
use bailiwick_modules::egress::Egress;

use super::fetch::Source;
use super::keys::Keys;
use super::resource::Resource;

/// An issuer whose tokens are accepted.
pub(super) struct Issuer {
    pub(super) config: IssuerConfig,
    pub(super) audience: Audience,
    pub(super) keys: Arc<Keys>,
}

/// The names that `aud` may have.
pub(super) struct Audience {
    /// For all endpoints of the gateway.
    pub(super) whole: String,
    /// For the endpoint of one server: this, followed by the name of the server. `None` when the configuration names the audience.
    pub(super) servers: Option<String>,
}

impl Issuer {
    pub(super) fn new(config: &IssuerConfig, resource: &Resource, egress: &Egress) -> Self {
        let audience = match &config.audience {
            Some(named) => Audience { whole: named.clone(), servers: None },
            None => Audience { whole: resource.identifier(None), servers: Some(resource.servers()) },
        };
        let keys = Keys::new(config.issuer.clone(), Source::new(config, egress.clone()));
        Self { config: config.clone(), audience, keys: Arc::new(keys) }
    }
}
