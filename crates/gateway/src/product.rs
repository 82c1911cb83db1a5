//! How the program names itself on the wire.

/// The `serverInfo` object.
pub(crate) const SERVER_INFO: &str = concat!(r#"{"name":"bailiwick","title":"Bailiwick","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);

/// The `_meta` object that carries it in 2026-07-28 results.
pub(crate) const SERVER_INFO_META: &str = concat!(
    r#"{"io.modelcontextprotocol/serverInfo":{"name":"bailiwick","title":"Bailiwick","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}"#
);

/// `_meta` key of a list: the servers whose last discovery failed; what they offered before is still listed.
pub(crate) const META_UNAVAILABLE: &str = "dev.bailiwick/unavailableServers";
/// `_meta` key: the name a tool has at its server.
pub(crate) const META_ORIGINAL_NAME: &str = "dev.bailiwick/originalName";
/// `_meta` key: why a tool with an output schema of its own was refused.
pub(crate) const META_REFUSAL: &str = "dev.bailiwick/refusal";
/// `_meta` key of a request: the run that a call belongs to.
pub(crate) const META_RUN_ID: &str = "dev.bailiwick/runId";
/// `_meta` key of one of the house's tools: the role that its caller needs.
pub(crate) const META_REQUIRED_ROLE: &str = "dev.bailiwick/requiredRole";
/// `_meta` key of a request: the organisation in which it is meant.
pub(crate) const META_ORG: &str = "dev.bailiwick/org";
