//! What is given to register a server. Texts are checked where the operation is, so that every mistake is told at once.

use std::collections::BTreeMap;

use bailiwick_gateway::operations::server::Registration;
use bailiwick_model::OrgId;
use bailiwick_model::registered::{AuthMethod, NewToolsPolicy, RegistrationChoice, ServerEra};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schemas;
use crate::http::api::secret::Value;

/// The request of an organisation and that of the platform differ in one default and one member.
macro_rules! registration {
    ($(#[$doc:meta])* $name:ident, $default:literal, { $($(#[$member_doc:meta])* $member:ident: $kind:ty),* }) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            #[serde(default = $default)]
            #[schema(value_type = schemas::RegistrationChoice, required = false)]
            pub(crate) registration_mode: RegistrationChoice,
            /// Where it is: https, without user name, password and fragment.
            #[schema(max_length = 2048)]
            pub(crate) server_url: String,
            #[schema(value_type = schemas::ServerName)]
            pub(crate) display_name: String,
            /// Its issuer; `manual` needs it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(max_length = 2048)]
            pub(crate) oauth_issuer_url: Option<String>,
            /// Where people consent; `manual` needs it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(max_length = 2048)]
            pub(crate) authorization_endpoint: Option<String>,
            /// Where codes become tokens; `manual` needs it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(max_length = 2048)]
            pub(crate) token_endpoint: Option<String>,
            /// What the issuer calls us; `manual` needs it, and nothing else takes it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(max_length = 2048)]
            pub(crate) client_id: Option<String>,
            /// With what we prove it; for `manual` only. It is in no answer.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<String>, min_length = 1, max_length = 4096, write_only)]
            pub(crate) client_secret: Option<Value>,
            /// Where tokens are given back.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(max_length = 2048)]
            pub(crate) revocation_endpoint: Option<String>,
            /// Which scopes to ask for; none: what the server says. At most 64.
            #[serde(default)]
            #[schema(required = false)]
            pub(crate) scopes: Vec<String>,
            /// What to add to authorization requests: at most 16 names, none of which belongs to the flow itself.
            #[serde(default)]
            #[schema(required = false)]
            pub(crate) extra_auth_params: BTreeMap<String, String>,
            /// Tool by tool, whether it is exposed; null: all that it lists when it is first asked.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub(crate) allowed_tools: Option<BTreeMap<String, bool>>,
            /// How we prove at the token endpoint who we are; null: found out.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<schemas::AuthMethod>)]
            pub(crate) token_endpoint_auth_method: Option<AuthMethod>,
            /// What becomes of tools that appear later; `review` when it is not given.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<schemas::NewToolsPolicy>)]
            pub(crate) new_tools_policy: Option<NewToolsPolicy>,
            /// Which revisions to speak; found out when it is not given.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<schemas::ServerEra>)]
            pub(crate) era: Option<ServerEra>,
            $($(#[$member_doc])* pub(crate) $member: $kind,)*
        }

        impl From<$name> for Registration {
            fn from(given: $name) -> Self {
                Self {
                    choice: given.registration_mode,
                    server_url: given.server_url,
                    display_name: given.display_name,
                    oauth_issuer_url: given.oauth_issuer_url,
                    authorization_endpoint: given.authorization_endpoint,
                    token_endpoint: given.token_endpoint,
                    revocation_endpoint: given.revocation_endpoint,
                    client_id: given.client_id,
                    client_secret: given.client_secret.map(|Value(secret)| secret),
                    auth_method: given.token_endpoint_auth_method,
                    scopes: given.scopes,
                    extra_auth_params: given.extra_auth_params,
                    allowed_tools: given.allowed_tools,
                    new_tools_policy: given.new_tools_policy.unwrap_or(NewToolsPolicy::Review),
                    era: given.era.unwrap_or(ServerEra::Auto),
                }
            }
        }
    };
}

registration!(
    /// A server to be registered for the acting organisation. The mode is `dcr` when it is not given.
    RegisterMcpServerRequest, "dcr", {}
);
registration!(
    /// A server to be registered for the platform. The mode is `manual` when it is not given.
    AdminRegisterMcpServerRequest, "manual", {
        /// Who is to see it; none: everybody.
        #[serde(default)]
        #[schema(value_type = Vec<schemas::OrgId>, required = false)]
        org_ids: Vec<OrgId>
    }
);

const fn dcr() -> RegistrationChoice {
    RegistrationChoice::Dcr
}

const fn manual() -> RegistrationChoice {
    RegistrationChoice::Manual
}
