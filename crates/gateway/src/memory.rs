//! What the modules of an agent keep across restarts, in the store.

use std::collections::BTreeSet;

use bailiwick_modules::Pending;
use bailiwick_modules::host::{Memory, MemoryFault};
use bailiwick_store::{Scope, Store, StoreError};

/// The memory of one module instance of one agent.
pub(crate) struct StoredMemory {
    store: Store,
    scope: Scope,
    module: Box<str>,
}

impl StoredMemory {
    pub(crate) fn new(store: Store, scope: Scope, module: &str) -> Self {
        Self { store, scope, module: module.into() }
    }
}

impl Memory for StoredMemory {
    fn recall<'a>(&'a self, topic: &'a str) -> Pending<'a, Result<BTreeSet<String>, MemoryFault>> {
        Box::pin(async move { self.store.memory().recall(&self.scope, &self.module, topic).await.map_err(|cause| fault(&cause)) })
    }

    fn remember<'a>(&'a self, topic: &'a str, fact_text: &'a str) -> Pending<'a, Result<(), MemoryFault>> {
        Box::pin(
            async move { self.store.memory().remember(&self.scope, &self.module, topic, fact_text).await.map_err(|cause| fault(&cause)) },
        )
    }
}

fn fault(cause: &StoreError) -> MemoryFault {
    MemoryFault(format!("{}; {}", cause.message(), cause.remedy()))
}
