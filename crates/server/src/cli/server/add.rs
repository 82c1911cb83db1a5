//! Registering a server.

use std::path::Path;

use bailiwick_model::registered::RegistrationChoice;
use secrecy::SecretString;

use super::super::args::{Form, NewServerArgs};
use super::super::desk::Desk;
use super::super::{output, secret};
use crate::exit::Failure;
use crate::http::api::operation::Nothing;
use crate::http::api::secret::Value;
use crate::http::api::server::RegisterServer;
use crate::http::api::server::admin::AdminRegisterServer;
use crate::http::api::server::registration::{AdminRegisterMcpServerRequest, RegisterMcpServerRequest};

/// The client secret, from where it is said to be.
pub(super) fn read_secret(args: &NewServerArgs) -> Result<Option<SecretString>, Failure> {
    let Some(file) = &args.client_secret_file else { return Ok(None) };
    secret::read_value(Some(file.as_path()).filter(|file| *file != Path::new("-"))).map(Some)
}

pub(super) async fn add(form: Form, desk: &Desk, args: NewServerArgs, secret: Option<SecretString>) -> Result<(), Failure> {
    let org = desk.org(args.within.org.clone()).await?;
    let body = request(args.clone(), secret);
    let server = if args.platform {
        desk.ask::<AdminRegisterServer>(Nothing {}, for_platform(body, args)).await?
    } else {
        desk.ensure_org(&org).await?;
        desk.ask_in::<RegisterServer>(&org, Nothing {}, body).await?
    };
    output::done(form, &server, &super::state(&server))
}

fn request(args: NewServerArgs, secret: Option<SecretString>) -> RegisterMcpServerRequest {
    RegisterMcpServerRequest {
        registration_mode: args.mode.unwrap_or(RegistrationChoice::Dcr),
        server_url: args.url,
        display_name: args.name,
        oauth_issuer_url: args.issuer,
        authorization_endpoint: args.authorization_endpoint,
        token_endpoint: args.token_endpoint,
        client_id: args.client_id,
        client_secret: secret.map(Value),
        revocation_endpoint: args.revocation_endpoint,
        scopes: args.scopes,
        extra_auth_params: args.params.into_iter().collect(),
        allowed_tools: (!args.allow.is_empty()).then(|| args.allow.into_iter().map(|tool| (tool, true)).collect()),
        token_endpoint_auth_method: args.auth_method,
        new_tools_policy: Some(args.new_tools),
        era: Some(args.era),
    }
}

/// The same for the platform.
fn for_platform(body: RegisterMcpServerRequest, args: NewServerArgs) -> AdminRegisterMcpServerRequest {
    AdminRegisterMcpServerRequest {
        registration_mode: args.mode.unwrap_or(RegistrationChoice::Manual),
        server_url: body.server_url,
        display_name: body.display_name,
        oauth_issuer_url: body.oauth_issuer_url,
        authorization_endpoint: body.authorization_endpoint,
        token_endpoint: body.token_endpoint,
        client_id: body.client_id,
        client_secret: body.client_secret,
        revocation_endpoint: body.revocation_endpoint,
        scopes: body.scopes,
        extra_auth_params: body.extra_auth_params,
        allowed_tools: body.allowed_tools,
        token_endpoint_auth_method: body.token_endpoint_auth_method,
        new_tools_policy: body.new_tools_policy,
        era: body.era,
        org_ids: args.orgs,
    }
}
