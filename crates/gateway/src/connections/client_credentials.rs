//! Connections of the organisation itself that need no person: the client has rights of its own at the authorization server (protocol
//! reference 7.5). There is nothing to refresh them with; they are asked for again.

use bailiwick_model::Code;
use bailiwick_model::registered::{EndpointUrl, GrantKind, Holder, RegistrationMode, ServerStatus};
use bailiwick_store::{ConnectionInfo, Grantor, NewTokens, OrgScope, RegisteredServer, Tenant};
use tracing::warn;

use super::refresh::{Failed, tokens_of};
use super::{ConnectFault, Connected, Connections};
use crate::oauth::token::{self, Desk};

impl Connections {
    /// Connects the organisation as the client that an administrator registered.
    ///
    /// # Errors
    /// `server_not_active`; `conflict` for a client that has neither secret nor key; and whatever the authorization server objects to.
    pub async fn connect_as_client(&self, scope: &OrgScope, record: &RegisteredServer) -> Result<Connected, ConnectFault> {
        let name = record.display_name.as_str();
        if record.status != ServerStatus::Active {
            return Err(ConnectFault::not_active(name));
        }
        if record.mode != Some(RegistrationMode::Manual) {
            let message = format!("server `{name}` knows the gateway by no client that has rights of its own");
            return Err(ConnectFault::new(
                Code::Conflict,
                "no_client",
                message,
                "register the server with `manual`, a client id and a secret or key",
            ));
        }
        let asked = self.ask(record).await?;
        let resource = asked.map_or_else(|| record.server_url.as_str().to_owned(), |asked| asked.discovered.resource);
        let issuer = record.endpoints().issuer.ok_or_else(|| ConnectFault::not_active(name))?;
        let tokens = self.client_tokens(scope, record, &issuer, &resource).await?;
        let from = Grantor { issuer: &issuer, resource: Some(&resource), grant: GrantKind::Client };
        self.store().connections().put(scope, record.id, &Holder::Organisation, from, &tokens).await?;
        if let Err(cause) = self.list_tools(scope, record, Some(&Holder::Organisation)).await {
            warn!(server = name, %cause, "connected, and the server gives no list of tools");
        }
        let (org, server, name) = (scope.org().clone(), record.id, record.display_name.clone());
        Ok(Connected { org, server, name, holder: Holder::Organisation })
    }

    /// The same again, for a connection that has ended.
    pub(super) async fn again_as_client(&self, scope: &OrgScope, record: &RegisteredServer, info: &ConnectionInfo) -> Result<(), Failed> {
        let resource = info.resource.clone().unwrap_or_else(|| record.server_url.as_str().to_owned());
        let tokens = self.client_tokens(scope, record, &info.issuer, &resource).await?;
        let from = Grantor { issuer: &info.issuer, resource: Some(&resource), grant: GrantKind::Client };
        let put = self.store().connections().put(scope, record.id, &info.holder, from, &tokens).await;
        put.map(drop).map_err(|fault| Failed::Other(fault.to_string()))
    }

    async fn client_tokens(
        &self,
        scope: &OrgScope,
        record: &RegisteredServer,
        issuer: &EndpointUrl,
        resource: &str,
    ) -> Result<NewTokens, Failed> {
        let (client, endpoint) = self.client_at(scope, record, issuer).await?;
        let desk =
            Desk { settings: self.oauth(), token_endpoint: &endpoint, client: &client, now: self.now(), random: self.0.random.as_ref() };
        let scopes: Vec<String> = record.scopes.iter().map(str::to_owned).collect();
        let grant = token::client_credentials(desk, resource, &scopes).await.map_err(Failed::OAuth)?;
        tokens_of(grant).map_err(|fault| Failed::Other(fault.to_string()))
    }
}
