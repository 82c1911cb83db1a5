//! The whole life of a connection at each provider, with its quirk on.

use bailiwick_testkit::provider::{Habits, Provider, Sent, words};
use http::header;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::kit::{CALLBACK, Way, by_hand};
use crate::oauth::identity::Mode;
use crate::oauth::profiles::{Profile, Profiles};
use crate::oauth::token::{Grant, TokenKind, revoke};
use crate::oauth::{FaultKind, challenge, step_up};

/// What a life left behind.
struct Lived {
    mode: Mode,
    first: Grant,
    /// The address of the first authorization.
    url: Url,
    /// After the step-up.
    grown: Grant,
}

impl Lived {
    fn param(&self, name: &str) -> Option<String> {
        self.url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }
}

/// From a URL alone to a revoked token.
async fn live(provider: &Provider, profile: Option<&Profile>, by_hand: bool) -> Lived {
    let way = Way::to(provider).with(profile, by_hand.then(super::kit::by_hand));
    let discovered = way.discover().await.unwrap();
    assert_eq!(discovered.issuer, provider.issuer());
    let client = way.client(&discovered).await.unwrap();
    let started = way.start(&discovered, &client, None).unwrap();
    let first = way.agree(&discovered, &client, &started).await.unwrap();
    assert_eq!(way.call(Some(&first.access_token), "echo").await.status, 200);

    let refreshed = refresh(&way, &discovered, &client, &first).await;
    let grown = grow(&way, &discovered, &client, &refreshed).await;

    if let Some(endpoint) = &discovered.endpoints.revocation {
        let (kind, token) = match &grown.refresh_token {
            Some(token) => (TokenKind::Refresh, token),
            None => (TokenKind::Access, &grown.access_token),
        };
        revoke(way.desk(&discovered, &client), endpoint, kind, token).await.unwrap();
        assert_eq!(way.call(Some(&grown.access_token), "echo").await.status, 401, "a revoked token is of no use");
    }
    Lived { mode: client.mode, first, url: Url::parse(started.url.expose_secret()).unwrap(), grown }
}

/// The access token ends, and a new one comes; the old refresh token is kept where no new one does.
async fn refresh(
    way: &Way<'_>,
    discovered: &crate::oauth::discover::Discovered,
    client: &crate::oauth::identity::Client,
    first: &Grant,
) -> Grant {
    way.provider.expire_access_tokens();
    assert_eq!(way.call(Some(&first.access_token), "echo").await.status, 401);
    let old = first.refresh_token.as_ref().expect("a refresh token");
    let refreshed = way.refresh(discovered, client, old).await.unwrap();
    assert_eq!(way.call(Some(&refreshed.access_token), "echo").await.status, 200);
    let kept = refreshed.refresh_token.clone().or_else(|| Some(old.clone()));
    Grant { refresh_token: kept, ..refreshed }
}

/// A tool wants a scope more.
async fn grow(
    way: &Way<'_>,
    discovered: &crate::oauth::discover::Discovered,
    client: &crate::oauth::identity::Client,
    held: &Grant,
) -> Grant {
    let answer = way.call(Some(&held.access_token), "write_note").await;
    assert_eq!(answer.status, 403);
    let challenge = challenge::read(answer.headers.get_all(header::WWW_AUTHENTICATE)).unwrap().unwrap();
    assert!(challenge.wants_more_scope());
    let scopes = step_up::scopes(&held.scopes, &challenge, 0).unwrap();
    let started = way.start(discovered, client, Some(&scopes)).unwrap();
    let grown = way.agree(discovered, client, &started).await.unwrap();
    let reaches = way.call(Some(&grown.access_token), "write_note").await.status == 200;
    // Where no scope may be sent, only the provider's page can give more.
    assert_eq!(reaches, !way.profile.is_some_and(|profile| profile.omit_scope));
    grown
}

fn resource_is_in_all(provider: &Provider) {
    let resource = provider.url();
    for kind in ["authorization_code", "refresh_token"] {
        let sent = provider.grants(kind);
        assert!(!sent.is_empty());
        assert!(sent.iter().all(|sent| sent.field("resource") == Some(&resource)), "{kind}");
    }
}

fn proofs(sent: &Sent) -> usize {
    let basic = sent.header("authorization").is_some();
    let form = sent.field("client_secret").is_some() || sent.field("client_assertion").is_some();
    usize::from(basic) + usize::from(form)
}

#[tokio::test]
async fn a_server_without_quirks() {
    let provider = Provider::start(Habits::default());
    let lived = live(&provider, None, false).await;
    assert_eq!(lived.mode, Mode::Cimd, "a document comes before registration");
    assert_eq!(lived.param("redirect_uri").as_deref(), Some(CALLBACK));
    assert_eq!(lived.first.scopes, words("read write"), "as the server lists them");
    assert_eq!(lived.grown.scopes, words("read write admin"), "nothing that was granted is lost");
    resource_is_in_all(&provider);
    assert_eq!(provider.sent_to("/register").len(), 0);
}

#[tokio::test]
async fn github() {
    let profiles = Profiles::own().unwrap();
    let provider = Provider::start(Habits::github(CALLBACK));
    let lived = live(&provider, profiles.named("github"), true).await;
    assert_eq!(lived.mode, Mode::Manual);
    assert_eq!(lived.first.scopes, words("repo read:user"), "told with commas");
    assert!(!lived.first.wider);
    resource_is_in_all(&provider);
}

#[tokio::test]
async fn github_refuses_with_status_200() {
    let provider = Provider::start(Habits::github(CALLBACK));
    let way = Way::to(&provider).with(None, Some(by_hand()));
    let discovered = way.discover().await.unwrap();
    let client = way.client(&discovered).await.unwrap();
    let fault = way.refresh(&discovered, &client, &SecretString::from("never-given")).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::InvalidGrant);
    provider.set(|habits| habits.known_clients.clear());
    let fault = way.refresh(&discovered, &client, &SecretString::from("never-given")).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::InvalidClient);
}

#[tokio::test]
async fn atlassian() {
    let profiles = Profiles::own().unwrap();
    let provider = Provider::start(Habits::atlassian());
    let lived = live(&provider, profiles.named("atlassian"), false).await;
    assert_eq!(lived.mode, Mode::Dcr, "only registered clients get in, although documents are taken");
    assert_eq!(lived.param("scope"), None);
    assert_eq!(lived.param("redirect_uri").as_deref(), Some("https://gateway.example.com/v1/mcp/oauth/callback/srv_1"));
    resource_is_in_all(&provider);
    let registered = provider.sent_to("/authv2/register")[0].json();
    assert_eq!(registered["application_type"], "web");
    assert_eq!(registered["token_endpoint_auth_method"], "none");
    assert_eq!(registered["redirect_uris"][0], "https://gateway.example.com/v1/mcp/oauth/callback/srv_1");
}

/// Without the profile, the quirk shows: the test above would not fail otherwise.
#[tokio::test]
async fn atlassian_without_its_profile() {
    let provider = Provider::start(Habits::atlassian());
    let way = Way::to(&provider);
    let discovered = way.discover().await.unwrap();
    let client = way.client(&discovered).await.unwrap();
    assert_eq!(client.mode, Mode::Cimd);
    let started = way.start(&discovered, &client, Some(&words("read:jira-work"))).unwrap();
    let back = provider.approve(started.url.expose_secret());
    assert!(back.contains("error=unauthorized_client"), "{back}");
}

#[tokio::test]
async fn linear() {
    let profiles = Profiles::own().unwrap();
    let provider = Provider::start(Habits::linear());
    let lived = live(&provider, profiles.named("linear"), false).await;
    assert_eq!(lived.mode, Mode::Cimd);
    assert_eq!(lived.first.scopes, words("read write"));
    assert!(provider.grants("authorization_code").iter().all(|sent| proofs(sent) == 0), "it stays public");
}

#[tokio::test]
async fn linear_gives_secrets_that_end() {
    let provider = Provider::start(Habits { takes_documents: false, registers_with_secret_until: Some(1_767_312_000), ..Habits::linear() });
    let way = Way::to(&provider);
    let discovered = way.discover().await.unwrap();
    let client = way.client(&discovered).await.unwrap();
    let ends = client.secret_expires_at.unwrap();
    assert_eq!(ends.as_micros(), 1_767_312_000_000_000);
    assert!(client.proof.secret().is_some());
    let started = way.start(&discovered, &client, None).unwrap();
    way.agree(&discovered, &client, &started).await.unwrap();
    provider.forget_clients();
    let fault = way.refresh(&discovered, &client, &SecretString::from("x")).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::InvalidClient);
}

#[tokio::test]
async fn notion() {
    let profiles = Profiles::own().unwrap();
    let provider = Provider::start(Habits::notion());
    let lived = live(&provider, profiles.named("notion"), false).await;
    assert_eq!(lived.param("scope"), None, "nobody names any");
    assert_eq!(lived.first.scopes, words("workspace"), "what was granted is kept");
    for sent in provider.sent_to("/token") {
        assert!(proofs(&sent) == 0 && sent.field("client_id").is_some(), "{:?}", sent.form);
    }
    let revocation = provider.sent_to("/token").into_iter().filter(|sent| sent.field("token").is_some()).count();
    assert_eq!(revocation, 1, "at the token endpoint");
}

#[tokio::test]
async fn sentry() {
    let profiles = Profiles::own().unwrap();
    let provider = Provider::start(Habits::sentry());
    let lived = live(&provider, profiles.named("sentry"), false).await;
    assert_eq!(lived.mode, Mode::Dcr);
    assert_eq!(lived.first.scopes, words("org:read project:write team:write event:write"));
    assert_eq!(provider.sent_to("/.well-known/oauth-protected-resource").len(), 0, "the root is not needed");
}

#[tokio::test]
async fn slack() {
    let profiles = Profiles::own().unwrap();
    let provider = Provider::start(Habits::slack(CALLBACK));
    let lived = live(&provider, profiles.named("slack"), true).await;
    assert_eq!(lived.mode, Mode::Manual);
    let sent = &provider.grants("authorization_code")[0];
    assert_eq!((sent.field("client_secret"), sent.header("authorization")), (Some("by-hand-secret"), None));
}

#[tokio::test]
async fn google() {
    let profiles = Profiles::own().unwrap();
    let provider = Provider::start(Habits::google(CALLBACK));
    let lived = live(&provider, profiles.named("google"), true).await;
    assert_eq!((lived.param("access_type").as_deref(), lived.param("prompt").as_deref()), (Some("offline"), Some("consent")));
    assert_eq!(lived.first.scopes, words("https://mail.example/auth/gmail.readonly"));
    let sent = &provider.grants("refresh_token")[0];
    assert!(sent.header("authorization").is_some() && sent.field("client_id").is_none(), "one proof only");
}

#[tokio::test]
async fn google_without_its_parameters_gives_no_refresh_token() {
    let provider = Provider::start(Habits::google(CALLBACK));
    let way = Way::to(&provider).with(None, Some(by_hand()));
    let discovered = way.discover().await.unwrap();
    let client = way.client(&discovered).await.unwrap();
    let started = way.start(&discovered, &client, None).unwrap();
    assert!(way.agree(&discovered, &client, &started).await.unwrap().refresh_token.is_none());
}

#[tokio::test]
async fn a_lost_reply_is_told_apart_and_a_grace_forgives_it() {
    for (grace, forgiven) in [(0, false), (1, true)] {
        let provider = Provider::start(Habits { reuse_grace: grace, ..Habits::default() });
        let way = Way::to(&provider);
        let discovered = way.discover().await.unwrap();
        let client = way.client(&discovered).await.unwrap();
        let started = way.start(&discovered, &client, None).unwrap();
        let first = way.agree(&discovered, &client, &started).await.unwrap();
        let token = first.refresh_token.unwrap();
        provider.lose_refresh_replies(1);
        let fault = way.refresh(&discovered, &client, &token).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unreachable { sent: true });
        let again = way.refresh(&discovered, &client, &token).await;
        match again {
            Ok(grant) => assert!(forgiven && grant.refresh_token.is_some()),
            Err(fault) => assert!(!forgiven && fault.kind == FaultKind::InvalidGrant, "{fault}"),
        }
        assert_eq!(provider.revoked_families(), usize::from(!forgiven));
    }
}

#[tokio::test]
async fn a_person_who_refuses() {
    let provider = Provider::start(Habits::default());
    let way = Way::to(&provider);
    let discovered = way.discover().await.unwrap();
    let client = way.client(&discovered).await.unwrap();
    let started = way.start(&discovered, &client, None).unwrap();
    let back = Url::parse(&provider.deny(started.url.expose_secret())).unwrap();
    let reply = crate::oauth::callback::Reply::read(back.query().unwrap()).unwrap();
    let fault = crate::oauth::callback::accept(&reply, &started.issuer, started.iss_required).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused { code: "access_denied".into() });
}

#[tokio::test]
async fn a_client_of_its_own() {
    let provider = Provider::start(Habits::google(CALLBACK));
    let way = Way::to(&provider).with(None, Some(by_hand()));
    let discovered = way.discover().await.unwrap();
    let mut client = way.client(&discovered).await.unwrap();
    let scopes = words("machine");
    let grant = crate::oauth::token::client_credentials(way.desk(&discovered, &client), &discovered.resource, &scopes).await.unwrap();
    assert_eq!(grant.scopes, scopes);
    assert_eq!(way.call(Some(&grant.access_token), "echo").await.status, 200);
    client.proof = crate::oauth::identity::Proof::None;
    let fault = crate::oauth::token::client_credentials(way.desk(&discovered, &client), &discovered.resource, &scopes).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::BadInput);
}
