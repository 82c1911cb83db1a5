//! As whom we appear at an authorization server: registered by a person, by a document of ours, or by request (governance reference 6.1).
//!
//! What comes out is bound to the issuer it was made for and is never shown to another; a client id that is a document is the exception.

mod register;

use bailiwick_model::Timestamp;
use secrecy::SecretString;
use serde_json::json;

use super::assertion::ClientKey;
use super::discover::{Capabilities, Discovered};
use super::fault::{OAuthFault, Step};
use super::profiles::Profile;
use super::{FaultKind, Settings};

/// Longest client id.
const CLIENT_ID_BYTES_MAX: usize = 2_048;

/// How a client came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// A person registered it.
    Manual,
    /// Our metadata document is its id.
    Cimd,
    /// The authorization server made it at our request.
    Dcr,
}

impl Mode {
    /// The word of records.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Cimd => "cimd",
            Self::Dcr => "dcr",
        }
    }
}

/// How a client proves who it is at the token endpoint (RFC 7591 section 2). Exactly one way is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuthMethod {
    /// It does not: a public client.
    None,
    /// HTTP Basic.
    ClientSecretBasic,
    /// In the form.
    ClientSecretPost,
    /// An assertion signed with its key (RFC 7523).
    PrivateKeyJwt,
}

impl AuthMethod {
    /// The registered word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// The method with this word.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt].into_iter().find(|one| one.as_str() == text)
    }
}

/// What a client proves itself with.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// Nothing.
    None,
    /// A secret in an `Authorization` header.
    Basic(SecretString),
    /// A secret in the form.
    Post(SecretString),
    /// A key.
    Key(ClientKey),
}

impl Proof {
    /// A proof out of what a row keeps.
    ///
    /// # Errors
    /// `BadInput` when the method needs a secret and there is none, or is another than the three that use one or nothing.
    pub(crate) fn of(method: AuthMethod, secret: Option<SecretString>) -> Result<Self, OAuthFault> {
        match (method, secret) {
            (AuthMethod::None, _) => Ok(Self::None),
            (AuthMethod::ClientSecretBasic, Some(secret)) => Ok(Self::Basic(secret)),
            (AuthMethod::ClientSecretPost, Some(secret)) => Ok(Self::Post(secret)),
            (AuthMethod::PrivateKeyJwt, Some(pem)) => Ok(Self::Key(ClientKey::from_pem(&pem, None)?)),
            _ => {
                let message = format!("the method `{}` needs a secret or key that is not there", method.as_str());
                Err(OAuthFault::new(FaultKind::BadInput, Step::Registration, message, "set `client_secret`, or register the client anew"))
            }
        }
    }

    /// The word for it.
    pub(crate) const fn method(&self) -> AuthMethod {
        match self {
            Self::None => AuthMethod::None,
            Self::Basic(_) => AuthMethod::ClientSecretBasic,
            Self::Post(_) => AuthMethod::ClientSecretPost,
            Self::Key(_) => AuthMethod::PrivateKeyJwt,
        }
    }

    /// The secret, to be sealed.
    pub(crate) const fn secret(&self) -> Option<&SecretString> {
        match self {
            Self::Basic(secret) | Self::Post(secret) => Some(secret),
            Self::None | Self::Key(_) => None,
        }
    }
}

/// What one issuer knows us as.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) client_id: String,
    pub(crate) proof: Proof,
    /// When the secret ends; `None` for one that does not, and for none.
    pub(crate) secret_expires_at: Option<Timestamp>,
    pub(crate) mode: Mode,
    /// The only issuer it is for.
    pub(crate) issuer: String,
    /// The callback that is registered for it.
    pub(crate) redirect_uri: String,
}

/// What a caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The order of governance reference 6.1, or what the profile prefers.
    Auto,
    /// This one or none.
    Only(Mode),
}

/// A client that a person registered.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) client_id: String,
    pub(crate) secret: Option<SecretString>,
    /// As the person says; `None` lets profile and metadata decide.
    pub(crate) method: Option<AuthMethod>,
    /// The callback at which the person registered it; `None` for the one that serves every server.
    pub(crate) redirect_uri: Option<String>,
}

/// Everything that a choice is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice<'c> {
    pub(crate) wanted: Wanted,
    pub(crate) registered: Option<&'c Registered>,
    pub(crate) profile: Option<&'c Profile>,
    /// Names the server in the callback of a registered client.
    pub(crate) server_id: &'c str,
}

/// Which way is taken; asks nobody.
///
/// # Errors
/// `RegistrationNeeded` when no way is open.
pub(crate) fn choose(settings: &Settings, discovered: &Discovered, choice: Choice<'_>) -> Result<Mode, OAuthFault> {
    let open = |mode: Mode| match mode {
        Mode::Manual => choice.registered.is_some(),
        Mode::Cimd => takes_documents(&discovered.capabilities) && settings.client_metadata_url().is_some(),
        Mode::Dcr => discovered.endpoints.registration.is_some(),
    };
    let order: &[Mode] = match (choice.wanted, choice.profile.map(|profile| profile.prefer)) {
        (Wanted::Only(Mode::Manual), _) | (Wanted::Auto, Some(Some(Mode::Manual))) => &[Mode::Manual],
        (Wanted::Only(Mode::Cimd), _) => &[Mode::Cimd],
        (Wanted::Only(Mode::Dcr), _) => &[Mode::Dcr],
        (Wanted::Auto, Some(Some(Mode::Dcr))) => &[Mode::Manual, Mode::Dcr, Mode::Cimd],
        (Wanted::Auto, _) => &[Mode::Manual, Mode::Cimd, Mode::Dcr],
    };
    order.iter().copied().find(|mode| open(*mode)).ok_or_else(|| needed(settings, discovered, choice))
}

/// A document as client id needs a client without secret.
fn takes_documents(capabilities: &Capabilities) -> bool {
    let public = capabilities.auth_methods.as_ref().is_some_and(|methods| methods.iter().any(|method| method == "none"));
    capabilities.client_id_metadata_document && public
}

fn needed(settings: &Settings, discovered: &Discovered, choice: Choice<'_>) -> OAuthFault {
    let message = match choice.wanted {
        Wanted::Auto => format!("{} registers no clients by request", discovered.issuer),
        Wanted::Only(mode) => format!("the way `{}` is not open at {}", mode.as_str(), discovered.issuer),
    };
    let remedy = format!(
        "register an application there by hand, with the callback {}, and give its `client_id` and `client_secret`",
        settings.redirect_uri()
    );
    OAuthFault::new(FaultKind::RegistrationNeeded, Step::Registration, message, remedy)
}

/// Chooses a way and goes it. Only [`Mode::Dcr`] sends a request, and makes a client at the authorization server.
///
/// # Errors
/// As [`choose`]; for a request also what came of it.
pub(crate) async fn obtain(settings: &Settings, discovered: &Discovered, choice: Choice<'_>) -> Result<Client, OAuthFault> {
    match (choose(settings, discovered, choice)?, choice.registered) {
        (Mode::Manual, Some(registered)) => by_hand(settings, discovered, registered, choice.profile),
        (Mode::Manual, None) => Err(needed(settings, discovered, choice)),
        (Mode::Cimd, _) => Ok(Client {
            client_id: settings.client_metadata_url().unwrap_or_default().to_owned(),
            proof: Proof::None,
            secret_expires_at: None,
            mode: Mode::Cimd,
            issuer: discovered.issuer.clone(),
            redirect_uri: settings.redirect_uri(),
        }),
        (Mode::Dcr, _) => register::register(settings, discovered, choice).await,
    }
}

fn by_hand(settings: &Settings, discovered: &Discovered, registered: &Registered, profile: Option<&Profile>) -> Result<Client, OAuthFault> {
    if !is_client_id(&registered.client_id) {
        let message = "the `client_id` is empty, too long or not printable";
        return Err(OAuthFault::new(FaultKind::BadInput, Step::Registration, message, "copy it from the page of the application"));
    }
    let by_metadata = || secret_method(&discovered.capabilities);
    let method = match (&registered.secret, registered.method) {
        (None, _) => AuthMethod::None,
        (Some(_), Some(method)) => method,
        (Some(_), None) => {
            profile.and_then(|profile| profile.auth_method).filter(|method| *method != AuthMethod::None).unwrap_or_else(by_metadata)
        }
    };
    Ok(Client {
        client_id: registered.client_id.clone(),
        proof: Proof::of(method, registered.secret.clone())?,
        secret_expires_at: None,
        mode: Mode::Manual,
        issuer: discovered.issuer.clone(),
        redirect_uri: registered.redirect_uri.clone().unwrap_or_else(|| settings.redirect_uri()),
    })
}

/// The way a secret is sent: Basic, which every server has to take (RFC 6749 section 2.3.1), unless it lists the form alone.
fn secret_method(capabilities: &Capabilities) -> AuthMethod {
    let lists = |word: &str| capabilities.auth_methods.as_ref().is_some_and(|methods| methods.iter().any(|method| method == word));
    if lists("client_secret_post") && !lists("client_secret_basic") { AuthMethod::ClientSecretPost } else { AuthMethod::ClientSecretBasic }
}

fn is_client_id(text: &str) -> bool {
    (1..=CLIENT_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| matches!(b, 0x20..=0x7e))
}

/// Our metadata document, the answer to `GET /oauth/client-metadata.json`; `None` while no address for it is set.
pub(crate) fn client_metadata(settings: &Settings) -> Option<serde_json::Value> {
    let client_id = settings.client_metadata_url()?;
    let mut document = metadata(settings, &settings.redirect_uri(), AuthMethod::None);
    document["client_id"] = client_id.into();
    document["client_uri"] = settings.public().into();
    Some(document)
}

/// What we say about ourselves (RFC 7591 section 2).
fn metadata(settings: &Settings, redirect_uri: &str, method: AuthMethod) -> serde_json::Value {
    json!({
        "client_name": settings.client_name(),
        "application_type": "web",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method.as_str(),
    })
}
