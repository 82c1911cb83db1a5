//! Beginning and ending an authorization. The form for browsers is not here: it is a page (`http/connect.rs`).

use bailiwick_gateway::Returned;
use bailiwick_gateway::operations::connection::{self, Whose};
use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Fault, Operations};
use bailiwick_model::Subject;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::McpTokenRecord;
use crate::http::api::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use crate::http::api::route::Route;
use crate::http::api::schemas;
use crate::http::api::secret::Value;
use crate::http::api::server::{ServerPath, example_path};

/// Longest member of an answer of an authorization server.
const TEXT_BYTES_MAX: usize = 8 << 10;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<StartOAuth>(), Route::of::<FinishOAuth>(), Route::of::<MakeLink>()]
}

/// An authorization that waits for its person.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct StartOAuthFlowResponse {
    /// What he opens, within ten minutes.
    #[schema(value_type = String)]
    pub(crate) authorization_url: Value,
    /// What comes back with him; good once, and for him alone.
    #[schema(value_type = String)]
    pub(crate) state: Value,
}

/// Begins an authorization.
pub(crate) struct StartOAuth;

impl Operation for StartOAuth {
    const FACTS: Facts = Facts {
        secret: true,
        ..Facts::new(
            "start_oauth",
            "connections",
            Verb::Post,
            "/v1/mcp/servers/{server_id}/oauth/start",
            Needs::Person,
            "Begins an authorization at a server for the caller himself, who alone can end it.",
        )
    };
    type Path = ServerPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = StartOAuthFlowResponse;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<StartOAuthFlowResponse> {
        let org = acting.org(ask.org)?;
        let started = connection::start(operations, acting, &org, ask.path.server_id.0).await?;
        Ok(StartOAuthFlowResponse { authorization_url: Value(started.authorization_url), state: Value(started.state) })
    }
}

/// What the authorization server sent back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OAuthCallbackRequest {
    /// The code; absent when there was an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 8192, write_only)]
    pub(crate) code: Option<Value>,
    /// The state, as it was given at the beginning.
    #[schema(value_type = String, min_length = 1, max_length = 8192, write_only)]
    pub(crate) state: Value,
    /// Who sent it (RFC 9207), when that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 8192)]
    pub(crate) iss: Option<String>,
    /// The error, when there is no code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 8192)]
    pub(crate) error: Option<String>,
}

impl OAuthCallbackRequest {
    /// # Errors
    /// For a member that is too long.
    fn read(self) -> Result<Returned, Fault> {
        let secret = |value: &Value| value.0.expose_secret().len();
        let lengths = [
            ("/code", self.code.as_ref().map(secret)),
            ("/state", Some(secret(&self.state))),
            ("/iss", self.iss.as_ref().map(String::len)),
            ("/error", self.error.as_ref().map(String::len)),
        ];
        if let Some((place, _)) = lengths.iter().find(|(_, bytes)| bytes.is_some_and(|bytes| bytes > TEXT_BYTES_MAX)) {
            return Err(Fault::invalid(*place, "at most 8192 bytes"));
        }
        if self.code.is_none() && self.error.is_none() {
            return Err(Fault::invalid("/code", "a code, or an error"));
        }
        let code: Option<SecretString> = self.code.map(|Value(code)| code);
        Ok(Returned::new(code, self.state.0, self.iss, self.error))
    }
}

/// Ends an authorization.
pub(crate) struct FinishOAuth;

impl Operation for FinishOAuth {
    const FACTS: Facts = Facts::new(
        "finish_oauth",
        "connections",
        Verb::Post,
        "/v1/mcp/oauth/callback",
        Needs::Person,
        "Ends an authorization that the caller began; the state is used up, however it ends.",
    );
    type Path = Nothing;
    type Query = Nothing;
    type Body = OAuthCallbackRequest;
    type Answer = McpTokenRecord;

    fn example() -> Example {
        Example { path: json!({}), body: json!({"code": "a-code-of-no-use", "state": "a-state-of-no-use"}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpTokenRecord> {
        let org = acting.org(ask.org)?;
        let row = connection::finish(operations, acting, &org, ask.body.read()?).await?;
        Ok(McpTokenRecord::of(&org, row))
    }
}

/// For whom a link is to be; for the caller himself when nothing is said.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkQuery {
    /// For this member; only administrators of the organisation may ask for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Subject>)]
    pub(crate) sub: Option<Subject>,
    /// For the organisation itself; only its administrators may ask for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) organisation: Option<bool>,
}

/// A link to open in a browser.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ConnectLink {
    /// Good for ten minutes; the page says for whom it is before anything happens.
    #[schema(value_type = String)]
    pub(crate) url: Value,
}

/// Makes a link.
pub(crate) struct MakeLink;

impl Operation for MakeLink {
    const FACTS: Facts = Facts {
        secret: true,
        ..Facts::new(
            "make_connect_link",
            "connections",
            Verb::Post,
            "/v1/mcp/servers/{server_id}/oauth/link",
            Needs::Person,
            "Makes a link that a person opens in a browser to connect with a server.",
        )
    };
    type Path = ServerPath;
    type Query = LinkQuery;
    type Body = Nothing;
    type Answer = ConnectLink;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<ConnectLink> {
        let org = acting.org(ask.org)?;
        let LinkQuery { sub, organisation } = ask.query;
        let own = acting.scope().filter(|scope| *scope.org() == org).and_then(|scope| scope.principal().sub.as_ref());
        let whose = match (sub, organisation.unwrap_or_default()) {
            (Some(_), true) => return Err(Fault::invalid("organisation", "not together with `sub`")),
            (None, true) => Whose::Organisation,
            (Some(sub), false) if Some(&sub) != own => Whose::Member(sub),
            _ => Whose::Own,
        };
        let url = connection::link(operations, acting, (&org, ask.path.server_id.0), whose).await?;
        Ok(ConnectLink { url: Value(SecretString::from(url)) })
    }
}
