//! What goes with a server that an organisation sees no longer, and with a member: exactly that (reference, governance 5.7).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use bailiwick_model::registered::{Holder, OrgContext, Scopes, ServerUrl, TokenHint};
use bailiwick_model::time::Clock as _;
use bailiwick_model::{OrgId, Role, ServerId, Subject, Timestamp};
use bailiwick_store::{Cascade, ListedTool, NewFlow, Store};
use secrecy::ExposeSecret;
use sqlx::{AssertSqlSafe, Row};

use crate::behaviour::tables;
use crate::servers::{issuer, manual, person, tokens};
use crate::support::{Org, TestDb, make_org, operator, org_id};

/// Counters, and how often a key sealed: they go up with everything.
const COUNTERS: [&str; 2] = ["generations", "tenant_keys"];
/// What an organisation has at a server.
const HELD: [&str; 6] =
    ["connections", "mcp_server_tools", "oauth_flows", "server_org_contexts", "server_org_credentials", "server_secrets"];
/// What there is of an organisation at each server that it sees.
const PER_ORG: Cascade =
    Cascade { organisations: 1, connections: 3, contexts: 1, credentials: 1, flows: 2, tools: 2, revocations: 6, unrevoked: 0 };

/// Every row by table: its columns by name.
type Rows = BTreeMap<String, BTreeSet<BTreeMap<String, String>>>;

async fn rows(db: &TestDb, store: &Store) -> Rows {
    let mut found = Rows::new();
    // One connection for all: there are many tables.
    let mut connection = db.raw().await;
    for table in tables(db, store).await {
        let names = sqlx::query(store.dialect().list_columns()).bind(table.clone()).fetch_all(&mut connection).await.unwrap();
        let names: Vec<String> = names.iter().map(|row| row.try_get("name").unwrap()).collect();
        let sqlite = db.name() == "SQLite";
        let cell =
            |name: &String| if sqlite { format!("replace(quote({name}), '''', '')") } else { format!("coalesce({name}::text, 'NULL')") };
        let list = names.iter().map(|name| format!("{} AS {name}", cell(name))).collect::<Vec<_>>().join(", ");
        let lines = sqlx::raw_sql(AssertSqlSafe(format!("SELECT {list} FROM {table}"))).fetch_all(&mut connection).await.unwrap();
        let line = |row: &sqlx::any::AnyRow| names.iter().map(|name| (name.clone(), row.try_get(name.as_str()).unwrap())).collect();
        found.insert(table, lines.iter().map(line).collect());
    }
    found
}

fn is(row: &BTreeMap<String, String>, column: &str, value: &str) -> bool {
    row.get(column).is_some_and(|found| found == value)
}

fn is_queued(table: &str, row: &BTreeMap<String, String>) -> bool {
    table == "token_revocations" || table == "server_secrets" && row["kind"].starts_with("revoke")
}

/// Compares everything: what `goes` names is gone, tokens are queued, and no other row came, went or changed, but for `touched` ones.
fn compare(before: &Rows, after: &Rows, goes: impl Fn(&str, &BTreeMap<String, String>) -> bool, touched: &[&str]) {
    for (table, was) in before.iter().filter(|(table, _)| !COUNTERS.contains(&table.as_str()) && !touched.contains(&table.as_str())) {
        let expected: BTreeSet<_> = was.iter().filter(|row| !goes(table, row)).collect();
        let kept = |row: &&BTreeMap<String, String>| was.contains(*row) || !is_queued(table, row);
        let is: BTreeSet<_> = after[table].iter().filter(kept).collect();
        assert_eq!(is, expected, "{table}");
    }
}

/// Three connections, two flows, a context, a credential and two tools.
async fn furnish(store: &Store, db: &TestDb, org: &Org, server: ServerId) {
    store.secrets().put(&org.scope, "pat", &"v".into()).await.unwrap();
    store.server_orgs().set_context(&org.scope, server, &OrgContext::new("ours").unwrap()).await.unwrap();
    store.server_orgs().set_credential(&org.scope, server, "pat").await.unwrap();
    let tools = ["a", "b"].map(|name| ListedTool { name, definition: b"{}" });
    store.servers().record_tools(&org.scope, server, &tools).await.unwrap();
    for holder in [Holder::Organisation, person("ann"), person("bob")] {
        let of = format!("{}/{server}/{}", org_name(org), holder.as_str());
        store.connections().put(&org.scope, server, &holder, &issuer(), &tokens(&of)).await.unwrap();
    }
    for (holder, acting) in [(person("ann"), "ann"), (Holder::Organisation, "bob")] {
        begin(store, db, org, server, &holder, acting).await;
    }
}

fn org_name(org: &Org) -> &OrgId {
    bailiwick_store::Tenant::org(&org.scope)
}

async fn begin(store: &Store, db: &TestDb, org: &Org, server: ServerId, holder: &Holder, acting: &str) {
    let state = format!("{}/{server}/{}/{acting}", org_name(org), holder.as_str()).into();
    let flow = NewFlow {
        server,
        holder,
        acting: &Subject::parse(acting).unwrap(),
        issuer: &issuer(),
        iss_required: true,
        redirect_uri: "https://gateway.example/callback",
        resource: &ServerUrl::parse("https://mcp.example.com/mcp", false).unwrap(),
        scopes: &Scopes::default(),
        state: &state,
        verifier: &"verifier".into(),
        expires_at: Timestamp::from_micros(db.clock.now().as_micros() + 600_000_000),
    };
    store.flows().begin(&org.scope, &flow).await.unwrap();
}

fn times(factor: u64) -> Cascade {
    Cascade {
        organisations: factor,
        connections: PER_ORG.connections * factor,
        contexts: factor,
        credentials: factor,
        flows: PER_ORG.flows * factor,
        tools: PER_ORG.tools * factor,
        revocations: PER_ORG.revocations * factor,
        unrevoked: 0,
    }
}

/// Every token that waits, by text.
async fn queued(store: &Store) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    loop {
        let due = store.revocations().lease_due(&operator(store), Duration::from_secs(60)).await.unwrap();
        if due.is_empty() {
            return found;
        }
        for revocation in due {
            assert_eq!(revocation.endpoint.as_str(), "https://as.example.com/revoke");
            assert_eq!(
                (revocation.client_id.as_str(), revocation.client_secret.as_ref().unwrap().expose_secret()),
                ("client-1", "client secret")
            );
            let text = revocation.token.expose_secret().to_owned();
            assert_eq!(revocation.hint == TokenHint::Refresh, text.starts_with("refresh"));
            assert!(text.contains(&format!("of {}/{}/", revocation.org, revocation.server)), "{text}");
            store.revocations().done(&operator(store), &revocation).await.unwrap();
            found.insert(text);
        }
    }
}

fn tokens_of(orgs: &[&str], server: ServerId, holders: &[&str]) -> BTreeSet<String> {
    let of = |org: &&str| holders.iter().map(|holder| format!("{org}/{server}/{holder}")).collect::<Vec<_>>();
    orgs.iter().flat_map(of).flat_map(|of| [format!("access of {of}"), format!("refresh of {of}")]).collect()
}

struct World {
    orgs: [Org; 3],
    global: ServerId,
    shared: ServerId,
    own: ServerId,
}

/// Three organisations full of rows at a global server, at one for the first two, and one of the first.
async fn world(db: &TestDb, store: &Store) -> World {
    let orgs = [make_org(store, "acme").await, make_org(store, "beta").await, make_org(store, "gamma").await];
    let (platform, servers) = (operator(store), store.servers());
    let secret = Some(&"client secret".into());
    let global = servers.register_for(&platform, &[], &manual("global"), secret).await.unwrap().id;
    let shared = servers.register_for(&platform, &[org_id("acme"), org_id("beta")], &manual("shared"), secret).await.unwrap().id;
    let own = servers.register(&orgs[0].scope, &manual("own"), secret).await.unwrap().id;
    for org in &orgs {
        furnish(store, db, org, global).await;
    }
    for org in &orgs[..2] {
        furnish(store, db, org, shared).await;
    }
    furnish(store, db, &orgs[0], own).await;
    World { orgs, global, shared, own }
}

pub(crate) async fn who_loses_a_server_loses_all_that_was_there_and_nobody_else(db: &TestDb) {
    let store = db.open().await;
    let World { orgs, global, shared, own } = world(db, &store).await;
    let (platform, servers) = (operator(&store), store.servers());
    let everybody = ["", "ann", "bob"];
    let held_by = |lost: &'static [&'static str], server: ServerId| {
        move |table: &str, row: &BTreeMap<String, String>| {
            let losing = lost.iter().any(|org| is(row, "tenant_id", org));
            losing && is(row, "server_id", &server.to_string()) && (HELD.contains(&table) || table == "mcp_server_orgs")
        }
    };

    // [a, b] -> [a]
    let before = rows(db, &store).await;
    assert_eq!(servers.set_orgs(&platform, shared, &[org_id("acme")]).await.unwrap(), PER_ORG);
    compare(&before, &rows(db, &store).await, held_by(&["beta"], shared), &["mcp_servers"]);
    assert_eq!(queued(&store).await, tokens_of(&["beta"], shared, &everybody));
    assert!(servers.get(&orgs[1].scope, shared).await.is_err());

    // [a] -> [a, g]: nobody loses anything.
    let before = rows(db, &store).await;
    assert_eq!(servers.set_orgs(&platform, shared, &[org_id("gamma"), org_id("acme")]).await.unwrap(), Cascade::default());
    compare(&before, &rows(db, &store).await, |_, _| false, &["mcp_servers", "mcp_server_orgs"]);
    assert_eq!(servers.get_any(&platform, shared).await.unwrap().org_ids, [org_id("acme"), org_id("gamma")]);

    // [] -> [a]: all but a.
    let before = rows(db, &store).await;
    assert_eq!(servers.set_orgs(&platform, global, &[org_id("acme")]).await.unwrap(), times(2));
    compare(&before, &rows(db, &store).await, held_by(&["beta", "gamma"], global), &["mcp_servers", "mcp_server_orgs"]);
    assert_eq!(queued(&store).await, tokens_of(&["beta", "gamma"], global, &everybody));

    // [a] -> []: nobody.
    let before = rows(db, &store).await;
    assert_eq!(servers.set_orgs(&platform, global, &[]).await.unwrap(), Cascade::default());
    compare(&before, &rows(db, &store).await, |_, _| false, &["mcp_servers", "mcp_server_orgs"]);
    assert!(servers.get(&orgs[2].scope, global).await.unwrap().is_global);
    assert!(db.raw_rows(&format!("SELECT 1 FROM mcp_server_orgs WHERE server_id = '{global}'")).await.is_empty());

    // The server itself, with its client.
    let before = rows(db, &store).await;
    assert_eq!(servers.delete(&orgs[0].scope, own).await.unwrap(), PER_ORG);
    let gone = |_: &str, row: &BTreeMap<String, String>| is(row, "server_id", &own.to_string());
    compare(&before, &rows(db, &store).await, gone, &[]);
    assert_eq!(queued(&store).await, tokens_of(&["acme"], own, &everybody));
    let deleted = servers.delete(&platform, global).await.unwrap();
    assert_eq!(deleted, Cascade { organisations: 3, ..PER_ORG });
    let named = rows(db, &store).await;
    assert!(named.iter().all(|(table, rows)| rows.iter().all(|row| is_queued(table, row) || !is(row, "server_id", &global.to_string()))));
    assert!(named["platform_secrets"].iter().all(|row| !row["name"].contains(&global.to_string())));
    assert_eq!(queued(&store).await, tokens_of(&["acme"], global, &everybody), "tokens outlive their server");
}

pub(crate) async fn who_leaves_takes_his_connections_along(db: &TestDb) {
    let store = db.open().await;
    let World { orgs, global, shared, own } = world(db, &store).await;
    let acme = &orgs[0];
    let ann = Subject::parse("ann").unwrap();
    begin(&store, db, acme, own, &Holder::Organisation, "ann").await;
    for org in &orgs {
        store.members().add(&org.scope, &ann, None, Role::Member).await.unwrap();
    }
    let before = rows(db, &store).await;
    store.members().remove(&acme.scope, &ann).await.unwrap();
    let flows: BTreeSet<&String> =
        before["oauth_flows"].iter().filter(|row| is(row, "acting", "ann")).map(|row| &row["state_digest"]).collect();
    let goes = |table: &str, row: &BTreeMap<String, String>| {
        let his = match table {
            "connections" => is(row, "holder", "ann"),
            "oauth_flows" => is(row, "holder", "ann") || is(row, "acting", "ann"),
            "server_secrets" => is(row, "holder", "ann") || flows.contains(&row["holder"]),
            "memberships" => is(row, "sub", "ann"),
            _ => false,
        };
        his && is(row, "tenant_id", "acme")
    };
    let after = rows(db, &store).await;
    compare(&before, &after, goes, &[]);
    assert_eq!(before["connections"].len() - after["connections"].len(), 3);
    assert_eq!(before["oauth_flows"].len() - after["oauth_flows"].len(), 4);
    let tokens: BTreeSet<String> = [global, shared, own].into_iter().flat_map(|id| tokens_of(&["acme"], id, &["ann"])).collect();
    assert_eq!(queued(&store).await, tokens);
}

/// Deleting works without the root key; then nobody can be told.
pub(crate) async fn without_the_root_key_everything_goes_unrevoked(db: &TestDb) {
    let store = db.open().await;
    let World { shared, own, .. } = world(db, &store).await;
    fs::remove_file(db.key_file()).unwrap();
    let sealed = db.open().await;
    assert!(sealed.sealed().is_some());
    let platform = operator(&sealed);
    let unrevoked = Cascade { revocations: 0, unrevoked: 6, ..PER_ORG };
    assert_eq!(sealed.servers().set_orgs(&platform, shared, &[org_id("acme")]).await.unwrap(), unrevoked);
    assert_eq!(sealed.servers().delete(&platform, own).await.unwrap(), unrevoked);
    assert!(db.raw_rows("SELECT 1 FROM token_revocations").await.is_empty());
    assert!(db.raw_rows("SELECT 1 FROM server_secrets WHERE kind LIKE 'revoke%'").await.is_empty());
    assert!(db.raw_rows(&format!("SELECT 1 FROM server_secrets WHERE server_id = '{own}'")).await.is_empty());
}

/// Whoever connects while his organisation loses the server is connected before or not at all.
pub(crate) async fn nothing_is_left_by_who_was_just_connecting(db: &TestDb) {
    let (store, other) = (db.open().await, db.open().await);
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let platform = operator(&store);
    let (acme_id, beta_id) = (org_name(&acme).clone(), org_name(&beta).clone());
    let server = store.servers().register_for(&platform, std::slice::from_ref(&acme_id), &manual("s"), None).await.unwrap().id;
    for round in 0..10 {
        let both = [acme_id.clone(), beta_id.clone()];
        store.servers().set_orgs(&platform, server, &both).await.unwrap();
        let (ann, from, new) = (person("ann"), issuer(), tokens("ann"));
        let (connections, servers) = (store.connections(), other.servers());
        let (put, cascade) =
            tokio::join!(connections.put(&beta.scope, server, &ann, &from, &new), servers.set_orgs(&platform, server, &both[..1]));
        assert_eq!(cascade.unwrap().connections, u64::from(put.is_ok()), "{round}");
        for rows in ["connections WHERE", "server_secrets WHERE kind IN ('access', 'refresh') AND"] {
            assert!(db.raw_rows(&format!("SELECT 1 FROM {rows} tenant_id = 'beta'")).await.is_empty(), "{round}: {rows}");
        }
    }
}
