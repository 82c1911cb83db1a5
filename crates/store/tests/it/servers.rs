//! The registry: who registers, sees and changes servers; names, tools, clients, and what organisations say of servers.

use std::collections::BTreeMap;
use std::time::Duration;

use bailiwick_model::registered::{
    AllowedTools, AuthMethod, ClientId, CredentialFallback, EndpointUrl, Endpoints, ExtraAuthParams, Holder, NewServer, NewToolsPolicy,
    OrgContext, RegistrationChoice, RegistrationMode, Scopes, ServerEra, ServerStatus, ServerUrl,
};
use bailiwick_model::{OrgId, ServerId, ServerName, Subject, Timestamp};
use bailiwick_store::{
    DetailChange, Found, ListedTool, NewClient, NewTokens, ORGS_PER_SERVER_MAX, SERVERS_PER_ORG_MAX, Store, StoreErrorKind, TOOLS_KEPT_MAX,
    TOOLS_LISTED_MAX, ToolChanges,
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;

use crate::support::{Org, TestDb, assert_kind, make_org, operator, org_id};

pub(crate) fn name(text: &str) -> ServerName {
    ServerName::parse(text).unwrap()
}

pub(crate) fn url(text: &str) -> EndpointUrl {
    EndpointUrl::parse(text, false).unwrap()
}

pub(crate) fn issuer() -> EndpointUrl {
    url("https://as.example.com")
}

pub(crate) fn person(sub: &str) -> Holder {
    Holder::Person(Subject::parse(sub).unwrap())
}

/// Registered by hand, with a revocation endpoint.
pub(crate) fn manual(display_name: &str) -> NewServer {
    NewServer {
        display_name: name(display_name),
        server_url: ServerUrl::parse("https://mcp.example.com/mcp", false).unwrap(),
        choice: RegistrationChoice::Manual,
        endpoints: Endpoints {
            issuer: Some(issuer()),
            authorization: Some(url("https://as.example.com/authorize")),
            token: Some(url("https://as.example.com/token")),
            revocation: Some(url("https://as.example.com/revoke")),
        },
        client_id: Some(ClientId::parse("client-1").unwrap()),
        auth_method: None,
        scopes: Scopes::new(["read"]).unwrap(),
        extra_auth_params: ExtraAuthParams::new(BTreeMap::from([("prompt".to_owned(), "consent".to_owned())])).unwrap(),
        era: ServerEra::Auto,
        allowed_tools: None,
        new_tools_policy: NewToolsPolicy::Review,
    }
}

/// Nothing known but the address.
fn auto(display_name: &str) -> NewServer {
    let choice = RegistrationChoice::Auto;
    NewServer { choice, endpoints: Endpoints::default(), client_id: None, ..manual(display_name) }
}

pub(crate) fn tokens(of: &str) -> NewTokens {
    NewTokens {
        access: format!("access of {of}").into(),
        refresh: Some(format!("refresh of {of}").into()),
        scopes: Scopes::new(["read"]).unwrap(),
        expires_at: None,
    }
}

/// A server of the platform with connections of these organisations and of two people in each.
pub(crate) async fn with_sealed_values(store: &Store, orgs: &[&Org]) -> ServerId {
    let server = store.servers().register_for(&operator(store), &[], &manual("sealed"), None).await.unwrap();
    for org in orgs {
        for holder in [Holder::Organisation, person("ann"), person("bob")] {
            store.connections().put(&org.scope, server.id, &holder, &issuer(), &tokens(&holder.to_string())).await.unwrap();
        }
    }
    server.id
}

fn listed<'a>(tools: &'a [(&'a str, &'a str)]) -> Vec<ListedTool<'a>> {
    tools.iter().map(|(name, definition)| ListedTool { name, definition: definition.as_bytes() }).collect()
}

fn allowed(tools: &[(&str, bool)]) -> AllowedTools {
    AllowedTools::new(tools.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()).unwrap()
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) async fn servers_are_registered_seen_and_changed(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let platform = operator(&store);
    let servers = store.servers();
    let own = servers.register(&acme.scope, &auto("own"), None).await.unwrap();
    assert_eq!((own.owner.as_ref(), own.is_global, &own.org_ids[..]), (Some(&org_id("acme")), false, &[org_id("acme")][..]));
    assert_eq!((own.status, own.revision, own.mode, own.client_id.clone()), (ServerStatus::PendingSetup, 1, None, None));
    assert_eq!((own.created_by.as_str(), own.modified_by.as_str(), own.created_at), ("operator", "operator", own.modified_at));
    let shared = servers.register_for(&platform, &[org_id("beta"), org_id("acme")], &manual("Shared"), None).await.unwrap();
    assert_eq!((shared.owner.clone(), &shared.org_ids[..]), (None, &[org_id("acme"), org_id("beta")][..]));
    let global = servers.register_for(&platform, &[], &manual("global"), None).await.unwrap();
    assert!(global.is_global && global.org_ids.is_empty());

    let ids = |list: Vec<bailiwick_store::RegisteredServer>| list.into_iter().map(|server| server.id).collect::<Vec<_>>();
    let sorted = |mut ids: Vec<ServerId>| {
        ids.sort();
        ids
    };
    assert_eq!(ids(servers.list(&acme.scope, None).await.unwrap()), sorted(vec![own.id, shared.id, global.id]));
    assert_eq!(ids(servers.list(&beta.scope, None).await.unwrap()), sorted(vec![shared.id, global.id]));
    assert_eq!(ids(servers.list_all(&platform, None).await.unwrap()), sorted(vec![own.id, shared.id, global.id]));
    let all = servers.list_all(&platform, None).await.unwrap();
    assert_eq!(all.iter().find(|server| server.id == shared.id), Some(&shared));
    let first = sorted(vec![shared.id, global.id])[0];
    assert_eq!(servers.list(&beta.scope, Some(first)).await.unwrap().len(), 1);
    // Who else sees it is nobody's business.
    assert_eq!(servers.get(&beta.scope, shared.id).await.unwrap().org_ids, [org_id("beta")]);
    assert_eq!(servers.get_any(&platform, shared.id).await.unwrap(), shared);
    assert_eq!(servers.by_name(&beta.scope, &name("sHaReD")).await.unwrap().id, shared.id);

    // What is foreign and what never was give the same words.
    let foreign = assert_kind(servers.get(&beta.scope, own.id).await, StoreErrorKind::NotFound);
    let never = ServerId::parse(&"0".repeat(32)).unwrap();
    let unknown = assert_kind(servers.get(&beta.scope, never).await, StoreErrorKind::NotFound);
    assert_eq!(foreign.to_string(), unknown.to_string());
    assert_kind(servers.by_name(&beta.scope, &name("own")).await, StoreErrorKind::NotFound);
    assert_kind(servers.get_any(&platform, never).await, StoreErrorKind::NotFound);

    db.clock.advance(Duration::from_secs(5));
    let change = DetailChange { display_name: Some(name("renamed")), scopes: Some(Scopes::new(["a", "b"]).unwrap()) };
    let changed = servers.update(&acme.scope, own.id, &change, Some(1)).await.unwrap();
    assert_eq!((changed.display_name.as_str(), changed.scopes.joined().as_str(), changed.revision), ("renamed", "a b", 2));
    assert!(changed.modified_at > own.modified_at && changed.created_at == own.created_at);
    assert_kind(servers.update(&acme.scope, own.id, &change, Some(1)).await, StoreErrorKind::Outdated);
    let same = servers.update(&acme.scope, own.id, &DetailChange::default(), None).await.unwrap();
    assert_eq!((same.display_name.as_str(), same.revision), ("renamed", 3));

    servers.set_status(&acme.scope, own.id, ServerStatus::Error, Some("issuer\u{1b}_changed")).await.unwrap();
    let endpoints = Endpoints { issuer: Some(url("https://as.example.com/t/")), ..Endpoints::default() };
    let found = Found { mode: RegistrationMode::Cimd, client_id: Some(ClientId::parse("c").unwrap()), endpoints: endpoints.clone() };
    servers.set_found(&acme.scope, own.id, &found).await.unwrap();
    let own = servers.get(&acme.scope, own.id).await.unwrap();
    assert_eq!((own.status, own.status_reason.as_deref(), own.revision), (ServerStatus::Error, Some("issuer_changed"), 3));
    assert_eq!((own.mode, own.found.clone(), own.endpoints()), (Some(RegistrationMode::Cimd), endpoints.clone(), endpoints));
    let incomplete = NewServer { client_id: None, ..manual("x") };
    assert_kind(servers.register(&acme.scope, &incomplete, None).await, StoreErrorKind::Invalid);
    let nowhere = operator(&store).within(&org_id("nowhere"));
    assert_kind(servers.register(&nowhere, &auto("x"), None).await, StoreErrorKind::Conflict);
    let error = assert_kind(servers.register_for(&platform, &[org_id("nowhere")], &auto("x"), None).await, StoreErrorKind::Conflict);
    assert!(error.message().contains("`nowhere`"), "{error}");
}

pub(crate) async fn names_are_unique_before_every_eye(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let platform = operator(&store);
    let servers = store.servers();
    let of_acme = servers.register(&acme.scope, &auto("git-hub"), None).await.unwrap();
    // Another organisation has its own of this name; nobody sees both.
    let of_beta = servers.register(&beta.scope, &auto("GIT_HUB"), None).await.unwrap();
    assert_kind(servers.register(&acme.scope, &auto("Git_Hub"), None).await, StoreErrorKind::Conflict);
    assert_kind(servers.register_for(&platform, &[], &auto("git-hub"), None).await, StoreErrorKind::Conflict);
    assert_kind(servers.register_for(&platform, &[org_id("beta")], &auto("git-hub"), None).await, StoreErrorKind::Conflict);
    assert_eq!(servers.list_all(&platform, None).await.unwrap().len(), 2, "nothing of what was refused stayed");

    let other = servers.register_for(&platform, &[], &auto("linear"), None).await.unwrap();
    assert_kind(servers.register(&acme.scope, &auto("LINEAR"), None).await, StoreErrorKind::Conflict);
    let rename = |text: &str| DetailChange { display_name: Some(name(text)), scopes: None };
    assert_kind(servers.update(&platform, other.id, &rename("git-hub"), None).await, StoreErrorKind::Conflict);
    assert_kind(servers.update(&acme.scope, of_acme.id, &rename("linear"), None).await, StoreErrorKind::Conflict);
    servers.update(&acme.scope, of_acme.id, &rename("Git-Hub"), None).await.unwrap();

    // Made visible to whom it would meet its namesake.
    for orgs in [&[][..], &[org_id("acme"), org_id("beta")]] {
        assert_kind(servers.set_orgs(&platform, of_acme.id, orgs).await, StoreErrorKind::Conflict);
    }
    assert_eq!(servers.get_any(&platform, of_acme.id).await.unwrap().org_ids, [org_id("acme")]);
    servers.delete(&beta.scope, of_beta.id).await.unwrap();
    servers.set_orgs(&platform, of_acme.id, &[org_id("acme"), org_id("beta")]).await.unwrap();
    assert_eq!(servers.by_name(&beta.scope, &name("git_hub")).await.unwrap().id, of_acme.id);
    // Its owner cannot bring it before the eyes of the other one either.
    servers.register(&beta.scope, &auto("tracker"), None).await.unwrap();
    assert_kind(servers.update(&acme.scope, of_acme.id, &rename("tracker"), None).await, StoreErrorKind::Conflict);

    // Two at the same time: one of them.
    let other = db.open().await;
    let new = auto("race");
    let others = other.servers();
    let (one, two) = tokio::join!(servers.register(&acme.scope, &new, None), others.register_for(&platform, &[], &new, None));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
}

pub(crate) async fn only_the_registrar_changes_a_server(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let platform = operator(&store);
    let servers = store.servers();
    let own = servers.register(&acme.scope, &auto("own"), None).await.unwrap();
    let global = servers.register_for(&platform, &[], &auto("global"), None).await.unwrap();
    for (org, id, kind) in [(&beta, own.id, StoreErrorKind::NotFound), (&acme, global.id, StoreErrorKind::Conflict)] {
        let scope = &org.scope;
        let error = assert_kind(servers.update(scope, id, &DetailChange::default(), None).await, kind);
        assert!(!error.message().contains("`own`"), "{error}");
        assert_kind(servers.set_status(scope, id, ServerStatus::Active, None).await, kind);
        assert_kind(servers.set_allowed_tools(scope, id, None, None).await, kind);
        assert_kind(servers.set_new_tools_policy(scope, id, NewToolsPolicy::Allow).await, kind);
        assert_kind(servers.copy_allowed_tools(scope, id, id).await, kind);
        let found = Found { mode: RegistrationMode::None, client_id: None, endpoints: Endpoints::default() };
        assert_kind(servers.set_found(scope, id, &found).await, kind);
        assert_kind(servers.delete(scope, id).await, kind);
        assert_kind(store.server_clients().forget(scope, id, &issuer()).await, kind);
    }
    assert_eq!(servers.get(&acme.scope, own.id).await.unwrap(), own);
    assert_eq!(servers.get_any(&platform, global.id).await.unwrap(), global);
    // The platform stands above. What it takes from the owner's sight, the owner changes no longer.
    servers.set_orgs(&platform, own.id, &[org_id("beta")]).await.unwrap();
    assert_kind(servers.delete(&acme.scope, own.id).await, StoreErrorKind::NotFound);
    assert_kind(servers.delete(&beta.scope, own.id).await, StoreErrorKind::Conflict);
    servers.delete(&platform, own.id).await.unwrap();
    assert_kind(servers.get(&beta.scope, own.id).await, StoreErrorKind::NotFound);
}

pub(crate) async fn tools_are_known_per_organisation(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let platform = operator(&store);
    let servers = store.servers();
    let id = servers.register_for(&platform, &[], &auto("s"), None).await.unwrap().id;
    let list = async || servers.get_any(&platform, id).await.unwrap().allowed_tools;

    // Without a list: all that there are.
    let changes = servers.record_tools(&acme.scope, id, &listed(&[("b", "{ }"), ("a", "{}")])).await.unwrap();
    assert_eq!(changes, ToolChanges { added: texts(&["a", "b"]), filled: true, ..ToolChanges::default() });
    assert_eq!(list().await, Some(allowed(&[("a", true), ("b", true)])));
    assert_eq!(servers.get_any(&platform, id).await.unwrap().last_discovery_at, Some(db_now(db)));
    let revision = servers.get_any(&platform, id).await.unwrap().revision;
    let topic = store.generations(&platform).await.unwrap();
    db.clock.advance(Duration::from_secs(60));
    let again = servers.record_tools(&acme.scope, id, &listed(&[("a", "{}"), ("b", "{ }")])).await.unwrap();
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(store.generations(&platform).await.unwrap(), topic, "nothing changed, nobody is told");
    assert_eq!(servers.get_any(&platform, id).await.unwrap().revision, revision);
    let known = servers.tools(&acme.scope, id).await.unwrap();
    assert_eq!((known[1].name.as_str(), &known[1].definition[..], known[1].present), ("b", &b"{ }"[..], true));
    assert!(known[1].first_seen < known[1].last_seen && known[1].digest.len() == 64);
    assert!(servers.tools(&beta.scope, id).await.unwrap().is_empty(), "what one organisation is shown is not another's");

    // A blocked tool that goes and comes back is still blocked.
    servers.set_allowed_tools(&platform, id, Some(&allowed(&[("a", false), ("b", true)])), None).await.unwrap();
    let changes = servers.record_tools(&acme.scope, id, &listed(&[("b", "{\"x\":1}")])).await.unwrap();
    assert_eq!(changes, ToolChanges { gone: texts(&["a"]), changed: texts(&["b"]), ..ToolChanges::default() });
    assert!(!servers.tools(&acme.scope, id).await.unwrap()[0].present);
    let changes = servers.record_tools(&acme.scope, id, &listed(&[("a", "{}"), ("b", "{\"x\":1}")])).await.unwrap();
    assert_eq!(changes, ToolChanges { returned: texts(&["a"]), ..ToolChanges::default() });
    assert_eq!(list().await, Some(allowed(&[("a", false), ("b", true)])));

    // New tools as the policy says, whoever sees them first.
    for (policy, tool, value) in
        [(NewToolsPolicy::Review, "c", false), (NewToolsPolicy::Allow, "d", true), (NewToolsPolicy::Block, "e", false)]
    {
        servers.set_new_tools_policy(&platform, id, policy).await.unwrap();
        let changes = servers.record_tools(&beta.scope, id, &listed(&[("a", "{}"), (tool, "{}")])).await.unwrap();
        assert_eq!(changes.unreviewed, [tool], "{policy}");
        assert_eq!(list().await.unwrap().as_map().get(tool), Some(&value), "{policy}");
    }
    assert_eq!(servers.tools(&acme.scope, id).await.unwrap().len(), 2);
    // Nothing allowed is not the same as no list.
    servers.set_allowed_tools(&platform, id, Some(&allowed(&[])), None).await.unwrap();
    assert_eq!(list().await, Some(allowed(&[])));
    servers.set_new_tools_policy(&platform, id, NewToolsPolicy::Review).await.unwrap();
    servers.record_tools(&acme.scope, id, &listed(&[("a", "{}")])).await.unwrap();
    assert_eq!(list().await, Some(allowed(&[("a", false)])));
    servers.set_allowed_tools(&platform, id, None, None).await.unwrap();
    assert_eq!(list().await, None);
    assert!(servers.record_tools(&acme.scope, id, &listed(&[("a", "{}")])).await.unwrap().filled);
    assert_eq!(list().await, Some(allowed(&[("a", true)])));

    let hidden = servers.register(&beta.scope, &auto("hidden"), None).await.unwrap().id;
    assert_kind(servers.record_tools(&acme.scope, hidden, &listed(&[("a", "{}")])).await, StoreErrorKind::NotFound);
    assert_kind(servers.tools(&acme.scope, hidden).await, StoreErrorKind::NotFound);
}

fn db_now(db: &TestDb) -> Timestamp {
    bailiwick_model::time::Clock::now(db.clock.as_ref())
}

pub(crate) async fn tools_have_limits(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let servers = store.servers();
    let id = servers.register(&acme.scope, &auto("s"), None).await.unwrap().id;
    let names: Vec<String> = (0..=TOOLS_LISTED_MAX).map(|number| format!("t{number:04}")).collect();
    let many: Vec<ListedTool<'_>> = names.iter().map(|name| ListedTool { name, definition: b"{}" }).collect();
    let large = format!("\"{}\"", "x".repeat(4 * 1024 * 1024));
    let long = "x".repeat(129);
    let (large, long) = ([("a", large.as_str())], [(long.as_str(), "{}")]);
    let bad = [
        many.clone(),
        listed(&large),
        listed(&[("a", "{}"), ("a", "{}")]),
        listed(&[("", "{}")]),
        listed(&[("a\n", "{}")]),
        listed(&long),
        listed(&[("a", "{")]),
        listed(&[("a", "")]),
    ];
    for tools in bad {
        assert_kind(servers.record_tools(&acme.scope, id, &tools).await, StoreErrorKind::Invalid);
    }
    assert!(servers.tools(&acme.scope, id).await.unwrap().is_empty());
    // A server with other names every time fills neither table nor list.
    for round in 0..3 {
        db.clock.advance(Duration::from_secs(1));
        let names: Vec<String> = (0..TOOLS_LISTED_MAX).map(|number| format!("r{round}-{number:04}")).collect();
        let tools: Vec<ListedTool<'_>> = names.iter().map(|name| ListedTool { name, definition: b"{}" }).collect();
        servers.record_tools(&acme.scope, id, &tools).await.unwrap();
    }
    let known = servers.tools(&acme.scope, id).await.unwrap();
    assert_eq!(known.len(), usize::try_from(TOOLS_KEPT_MAX).unwrap());
    assert!(known[0].name.starts_with("r1") && known.iter().filter(|tool| tool.present).count() == TOOLS_LISTED_MAX);
    let server = servers.get(&acme.scope, id).await.unwrap();
    let list = server.allowed_tools.unwrap();
    assert!(list.as_map().len() == 4_000 && !list.allows("r2-0000"), "what finds no room is not allowed");
}

pub(crate) async fn allowed_tools_are_set_and_copied(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let servers = store.servers();
    let (one, two) = (
        servers.register(&acme.scope, &auto("one"), None).await.unwrap(),
        servers.register(&acme.scope, &auto("two"), None).await.unwrap(),
    );
    let foreign = servers.register(&beta.scope, &auto("three"), None).await.unwrap();
    let error = assert_kind(servers.copy_allowed_tools(&acme.scope, one.id, two.id).await, StoreErrorKind::Conflict);
    assert!(error.message().contains("`two`"), "{error}");
    let list = allowed(&[("a", true), ("b", false)]);
    let set = servers.set_allowed_tools(&acme.scope, two.id, Some(&list), Some(1)).await.unwrap();
    assert_eq!((set.allowed_tools.as_ref(), set.revision), (Some(&list), 2));
    assert_kind(servers.set_allowed_tools(&acme.scope, two.id, None, Some(1)).await, StoreErrorKind::Outdated);
    servers.set_allowed_tools(&acme.scope, one.id, Some(&allowed(&[("z", true)])), None).await.unwrap();
    let copied = servers.copy_allowed_tools(&acme.scope, one.id, two.id).await.unwrap();
    assert_eq!(copied.allowed_tools, Some(list.clone()), "as it is, not joined");
    servers.set_allowed_tools(&beta.scope, foreign.id, Some(&list), None).await.unwrap();
    assert_kind(servers.copy_allowed_tools(&acme.scope, one.id, foreign.id).await, StoreErrorKind::NotFound);
    assert_kind(servers.copy_allowed_tools(&acme.scope, foreign.id, one.id).await, StoreErrorKind::NotFound);
    servers.copy_allowed_tools(&operator(&store), one.id, foreign.id).await.unwrap();
}

pub(crate) async fn clients_belong_to_their_issuer(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let platform = operator(&store);
    let (servers, clients) = (store.servers(), store.server_clients());
    let secret: SecretString = "given by hand".into();
    let own = servers.register(&acme.scope, &manual("own"), Some(&secret)).await.unwrap().id;
    let global = servers.register_for(&platform, &[], &manual("global"), Some(&secret)).await.unwrap().id;
    // Sealed under the owner's key, and opened for whoever sees the server.
    servers.set_orgs(&platform, own, &[org_id("acme"), org_id("beta")]).await.unwrap();
    for org in [&acme, &beta] {
        for id in [own, global] {
            let client = clients.get(&org.scope, id, &issuer()).await.unwrap().unwrap();
            assert_eq!(client.secret.unwrap().expose_secret(), "given by hand");
            let info = client.info;
            assert_eq!((info.mode, info.auth_method, info.has_secret), (RegistrationMode::Manual, AuthMethod::ClientSecretBasic, true));
        }
    }
    assert_eq!(db.raw_rows("SELECT 1 FROM server_secrets WHERE kind = 'client_secret' AND tenant_id = 'acme'").await.len(), 1);
    assert_eq!(db.raw_rows("SELECT 1 FROM platform_secrets WHERE name LIKE 'server_client/%'").await.len(), 1);

    let second = url("https://other.example.com");
    let client_id = ClientId::parse("dcr-7").unwrap();
    let later: SecretString = "from the issuer".into();
    let new = |issuer, secret| NewClient {
        issuer,
        mode: RegistrationMode::Dcr,
        client_id: &client_id,
        auth_method: AuthMethod::ClientSecretPost,
        secret,
        secret_expires_at: Some(Timestamp::from_micros(7)),
        redirect_uri: Some("https://gateway.example/callback"),
    };
    for id in [own, global] {
        assert!(clients.get(&acme.scope, id, &second).await.unwrap().is_none(), "what one issuer gave is not shown to another");
        clients.put(&platform, id, &new(&second, Some(&later))).await.unwrap();
        clients.put(&platform, id, &new(&second, Some(&later))).await.unwrap();
        let client = clients.get_any(&platform, id, &second).await.unwrap().unwrap();
        assert_eq!((client.secret.unwrap().expose_secret(), client.info.client_id.as_str()), ("from the issuer", "dcr-7"));
        assert_eq!(
            (client.info.secret_expires_at, client.info.redirect_uri.as_deref()),
            (Some(Timestamp::from_micros(7)), Some("https://gateway.example/callback"))
        );
        assert_eq!(clients.get(&beta.scope, id, &issuer()).await.unwrap().unwrap().secret.unwrap().expose_secret(), "given by hand");
        clients.put(&platform, id, &new(&second, None)).await.unwrap();
        assert!(clients.get(&acme.scope, id, &second).await.unwrap().unwrap().secret.is_none(), "the older secret is gone");
        clients.forget(&platform, id, &second).await.unwrap();
        clients.forget(&platform, id, &second).await.unwrap();
        assert!(clients.get(&acme.scope, id, &second).await.unwrap().is_none());
    }
    // A secret that stands with another server or issuer does not open.
    clients.put(&platform, global, &new(&second, Some(&later))).await.unwrap();
    let swap = "UPDATE platform_secrets SET data_key = (SELECT f.data_key FROM platform_secrets f WHERE f.name LIKE '%other.example.com'), \
                sealed = (SELECT f.sealed FROM platform_secrets f WHERE f.name LIKE '%other.example.com') WHERE name LIKE '%/https://as.example.com'";
    assert_eq!(db.raw_execute(swap).await, 1);
    assert_kind(clients.get(&beta.scope, global, &issuer()).await.map(|_| ()), StoreErrorKind::Corrupt);
    assert_kind(clients.put(&platform, own, &new(&second, Some(&"x".repeat(4097).into()))).await, StoreErrorKind::Invalid);
    servers.delete(&platform, own).await.unwrap();
    servers.delete(&platform, global).await.unwrap();
    for table in ["server_clients", "server_secrets", "mcp_server_orgs", "mcp_servers"] {
        assert!(db.raw_rows(&format!("SELECT 1 FROM {table}")).await.is_empty(), "{table}");
    }
    assert!(db.raw_rows("SELECT 1 FROM platform_secrets WHERE name LIKE 'server_client/%'").await.is_empty());
}

pub(crate) async fn organisations_have_contexts_credentials_and_settings(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let id = store.servers().register_for(&operator(&store), &[], &auto("s"), None).await.unwrap().id;
    let hidden = store.servers().register(&beta.scope, &auto("hidden"), None).await.unwrap().id;
    let orgs = store.server_orgs();
    let text = |text: &str| OrgContext::new(text).unwrap();
    orgs.set_context(&acme.scope, id, &text("ours")).await.unwrap();
    let first = orgs.context(&acme.scope, id).await.unwrap().unwrap();
    db.clock.advance(Duration::from_secs(1));
    orgs.set_context(&acme.scope, id, &text("ours\nnow")).await.unwrap();
    let second = orgs.context(&acme.scope, id).await.unwrap().unwrap();
    assert_eq!((second.context.as_str(), second.created_at), ("ours\nnow", first.created_at));
    assert!(second.modified_at > first.modified_at);
    assert_eq!(orgs.context(&beta.scope, id).await.unwrap(), None, "only that organisation sees it");
    assert_eq!(orgs.contexts(&acme.scope, None).await.unwrap(), [second]);
    orgs.set_context(&acme.scope, id, &text("")).await.unwrap();
    assert_eq!(orgs.context(&acme.scope, id).await.unwrap(), None);

    let missing = assert_kind(orgs.set_credential(&acme.scope, id, "pat").await, StoreErrorKind::NotFound);
    assert!(missing.message().contains("secret"), "{missing}");
    store.secrets().put(&beta.scope, "pat", &"v".into()).await.unwrap();
    assert_kind(orgs.set_credential(&acme.scope, id, "pat").await, StoreErrorKind::NotFound);
    store.secrets().put(&acme.scope, "pat", &"v".into()).await.unwrap();
    orgs.set_credential(&acme.scope, id, "pat").await.unwrap();
    let credential = orgs.credential(&acme.scope, id).await.unwrap().unwrap();
    assert_eq!((credential.secret_name.as_str(), credential.created_by.as_str()), ("pat", "operator"));
    assert_eq!(orgs.credential(&beta.scope, id).await.unwrap(), None);
    assert_eq!(orgs.credentials(&acme.scope, None).await.unwrap(), [credential]);
    orgs.clear_credential(&acme.scope, id).await.unwrap();
    assert_kind(orgs.clear_credential(&acme.scope, id).await, StoreErrorKind::NotFound);

    assert_kind(orgs.set_context(&acme.scope, hidden, &text("x")).await, StoreErrorKind::NotFound);
    assert_kind(orgs.context(&acme.scope, hidden).await, StoreErrorKind::NotFound);
    assert_kind(orgs.set_credential(&acme.scope, hidden, "pat").await, StoreErrorKind::NotFound);
    assert_kind(orgs.credential(&acme.scope, hidden).await, StoreErrorKind::NotFound);

    assert_eq!(orgs.credential_fallback(&acme.scope).await.unwrap(), CredentialFallback::On);
    orgs.set_credential_fallback(&acme.scope, CredentialFallback::ServiceOnly).await.unwrap();
    orgs.set_credential_fallback(&acme.scope, CredentialFallback::Off).await.unwrap();
    assert_eq!(orgs.credential_fallback(&acme.scope).await.unwrap(), CredentialFallback::Off);
    assert_eq!(orgs.credential_fallback(&beta.scope).await.unwrap(), CredentialFallback::On);
    let nowhere = operator(&store).within(&org_id("nowhere"));
    assert_kind(orgs.set_credential_fallback(&nowhere, CredentialFallback::Off).await, StoreErrorKind::Conflict);
}

pub(crate) async fn servers_are_limited(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let platform = operator(&store);
    let first = store.servers().register(&acme.scope, &auto("first"), None).await.unwrap();
    let digits = if db.name() == "SQLite" { "printf('%032d', n)" } else { "lpad(n::text, 32, '0')" };
    let columns = "is_global, name_folded, server_url, registration_choice, scopes, extra_auth_params, era, new_tools_policy, status, \
                   status_at, revision, created_at, created_by, modified_at, modified_by";
    let fill = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {}) INSERT INTO mcp_servers (server_id, owner_org, \
         display_name, {columns}) SELECT {digits}, 'acme', 'x', {columns} FROM numbers, mcp_servers s WHERE s.server_id = '{}'",
        SERVERS_PER_ORG_MAX - 1,
        first.id
    );
    db.raw_execute(&fill).await;
    let count: i64 = db.raw_rows("SELECT count(*) FROM mcp_servers").await[0].try_get(0).unwrap();
    assert_eq!(count, SERVERS_PER_ORG_MAX);
    let error = assert_kind(store.servers().register(&acme.scope, &auto("more"), None).await, StoreErrorKind::Conflict);
    assert!(error.message().contains("200"), "{error}");
    let orgs: Vec<OrgId> = (0..=ORGS_PER_SERVER_MAX).map(|number| org_id(&format!("o{number}"))).collect();
    let refused = store.servers().register_for(&platform, &orgs, &auto("wide"), None).await;
    assert_kind(refused, StoreErrorKind::Invalid);
    assert_kind(store.servers().set_orgs(&platform, first.id, &orgs).await, StoreErrorKind::Invalid);
}

/// What gateways keep in memory moves the counter of servers; what they do not does not.
pub(crate) async fn changes_of_servers_are_told(store: &Store, org: &Org, mut told: impl AsyncFnMut(bool)) {
    let platform = operator(store);
    let id = store.servers().register(&org.scope, &auto("told"), None).await.unwrap().id;
    told(true).await;
    store.servers().set_status(&org.scope, id, ServerStatus::Active, None).await.unwrap();
    told(true).await;
    store.server_orgs().set_context(&org.scope, id, &OrgContext::new("x").unwrap()).await.unwrap();
    told(true).await;
    store.server_orgs().set_credential_fallback(&org.scope, CredentialFallback::Off).await.unwrap();
    told(true).await;
    let info = store.connections().put(&org.scope, id, &person("ann"), &issuer(), &tokens("ann")).await.unwrap();
    told(true).await;
    store.connections().touch_used(&org.scope, id, &person("ann")).await.unwrap();
    told(false).await;
    let status = bailiwick_model::registered::TokenStatus::Expired;
    assert!(store.connections().mark(&org.scope, id, &person("ann"), info.version, status, None).await.unwrap());
    told(true).await;
    assert!(!store.connections().mark(&org.scope, id, &person("ann"), info.version + 1, status, None).await.unwrap());
    told(false).await;
    store.connections().delete(&org.scope, id, &person("ann")).await.unwrap();
    told(true).await;
    assert_kind(store.connections().delete(&org.scope, id, &person("ann")).await, StoreErrorKind::NotFound);
    told(false).await;
    store.servers().set_orgs(&platform, id, &[]).await.unwrap();
    told(true).await;
    store.servers().delete(&platform, id).await.unwrap();
    told(true).await;
}
