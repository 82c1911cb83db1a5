//! Pending authorizations, and tokens that wait to be revoked.

use std::time::Duration;

use bailiwick_model::registered::{Holder, Scopes, ServerUrl};
use bailiwick_model::time::Clock as _;
use bailiwick_model::{ServerId, Subject, Timestamp};
use bailiwick_store::{
    FLOWS_PER_HOLDER_MAX, FLOWS_PER_ORG_MAX, FailedRevocation, FlowBearer, NewFlow, REVOCATION_ATTEMPTS_MAX, Store, StoreErrorKind,
    StoreResult, TakenFlow,
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;

use crate::servers::{issuer, manual, person, tokens};
use crate::support::{Org, TestDb, assert_kind, make_org, operator, org_id};

const TEN_MINUTES: Duration = Duration::from_secs(600);

async fn server_for(store: &Store, org: &Org) -> ServerId {
    store.servers().register(&org.scope, &manual("s"), Some(&"client secret".into())).await.unwrap().id
}

async fn begin(store: &Store, db: &TestDb, org: &Org, server: ServerId, (holder, acting): (&Holder, &str), state: &str) -> StoreResult<()> {
    let flow = NewFlow {
        server,
        holder,
        acting: &subject(acting),
        issuer: &issuer(),
        iss_required: true,
        redirect_uri: "https://gateway.example/callback",
        resource: &ServerUrl::parse("https://mcp.example.com/mcp", false).unwrap(),
        scopes: &Scopes::new(["read", "write"]).unwrap(),
        state: &state.into(),
        verifier: &format!("verifier of {state}").into(),
        expires_at: Timestamp::from_micros(db.clock.now().as_micros() + 600_000_000),
    };
    store.flows().begin(&org.scope, &flow).await
}

fn subject(text: &str) -> Subject {
    Subject::parse(text).unwrap()
}

fn secret(text: &str) -> SecretString {
    text.into()
}

/// As this person of acme.
async fn take(store: &Store, state: &str, sub: &str) -> TakenFlow {
    let (org, sub) = (org_id("acme"), subject(sub));
    store.flows().take(&operator(store), &secret(state), FlowBearer::Person { org: &org, sub: &sub }).await.unwrap()
}

async fn left(db: &TestDb) -> (usize, usize) {
    let verifiers = db.raw_rows("SELECT 1 FROM server_secrets WHERE kind = 'verifier'").await.len();
    (db.raw_rows("SELECT 1 FROM oauth_flows").await.len(), verifiers)
}

pub(crate) async fn a_flow_is_taken_once_by_whom_it_belongs_to(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let server = server_for(&store, &acme).await;
    let ann = person("ann");
    begin(&store, db, &acme, server, (&ann, "ann"), "one").await.unwrap();
    let TakenFlow::Good(flow) = take(&store, "one", "ann").await else { panic!("it is hers") };
    assert_eq!((&flow.org, flow.server, &flow.holder, flow.acting.as_str()), (&org_id("acme"), server, &ann, "ann"));
    assert_eq!((flow.issuer.clone(), flow.iss_required, flow.redirect_uri.as_str()), (issuer(), true, "https://gateway.example/callback"));
    assert_eq!((flow.resource.as_str(), flow.scopes.joined().as_str()), ("https://mcp.example.com/mcp", "read write"));
    assert_eq!((flow.verifier.expose_secret(), flow.asked_at), ("verifier of one", db.clock.now()));
    assert!(!format!("{flow:?}").contains("verifier of"), "no secret is printed");
    assert!(matches!(take(&store, "one", "ann").await, TakenFlow::Unknown), "once");
    assert!(matches!(take(&store, "never", "ann").await, TakenFlow::Unknown));

    // Somebody else, the same name in another organisation, a browser nobody bound: all of them end it.
    begin(&store, db, &acme, server, (&Holder::Organisation, "ann"), "two").await.unwrap();
    assert!(matches!(take(&store, "two", "bob").await, TakenFlow::Foreign));
    assert!(matches!(take(&store, "two", "ann").await, TakenFlow::Unknown));
    begin(&store, db, &acme, server, (&ann, "ann"), "three").await.unwrap();
    let (org, sub) = (org_id("beta"), subject("ann"));
    let taken = store.flows().take(&operator(&store), &secret("three"), FlowBearer::Person { org: &org, sub: &sub }).await.unwrap();
    assert!(matches!(taken, TakenFlow::Foreign));
    begin(&store, db, &acme, server, (&ann, "ann"), "four").await.unwrap();
    let taken = store.flows().take(&operator(&store), &secret("four"), FlowBearer::Browser(&secret(""))).await.unwrap();
    assert!(matches!(taken, TakenFlow::Foreign));
    begin(&store, db, &acme, server, (&ann, "ann"), "five").await.unwrap();
    db.clock.advance(TEN_MINUTES);
    assert!(matches!(take(&store, "five", "ann").await, TakenFlow::Expired));
    assert!(matches!(take(&store, "five", "ann").await, TakenFlow::Unknown));
    assert_eq!(left(db).await, (0, 0), "no verifier stays behind");

    begin(&store, db, &acme, server, (&ann, "ann"), "six").await.unwrap();
    let twice = assert_kind(begin(&store, db, &acme, server, (&ann, "bob"), "six").await, StoreErrorKind::Conflict);
    assert!(twice.message().contains("state"), "{twice}");
    assert_kind(begin(&store, db, &beta, server, (&ann, "ann"), "seven").await, StoreErrorKind::NotFound);
    assert_kind(begin(&store, db, &acme, server, (&ann, "ann"), "").await, StoreErrorKind::Invalid);
    assert!(!format!("{:?}", db.raw_rows("SELECT state_digest FROM oauth_flows").await[0].try_get::<String, _>(0)).contains("six"));
    let other = db.open().await;
    let (one, two) = tokio::join!(take(&store, "six", "ann"), take(&other, "six", "ann"));
    let good = [&one, &two].into_iter().filter(|taken| matches!(taken, TakenFlow::Good(_))).count();
    assert_eq!(good, 1, "{one:?} {two:?}");
}

pub(crate) async fn flows_are_bound_to_one_browser(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let server = server_for(&store, &acme).await;
    let (ann, platform, flows) = (person("ann"), operator(&store), store.flows());
    for state in ["one", "two", "late"] {
        begin(&store, db, &acme, server, (&ann, "ann"), state).await.unwrap();
    }
    for state in ["one", "two"] {
        assert!(flows.set_browser(&platform, &secret(state), &secret("cookie")).await.unwrap());
        assert!(!flows.set_browser(&platform, &secret(state), &secret("other")).await.unwrap(), "once");
    }
    assert!(!flows.set_browser(&platform, &secret("never"), &secret("cookie")).await.unwrap());
    let taken = flows.take(&platform, &secret("one"), FlowBearer::Browser(&secret("cookie"))).await.unwrap();
    assert!(matches!(taken, TakenFlow::Good(_)), "{taken:?}");
    let taken = flows.take(&platform, &secret("two"), FlowBearer::Browser(&secret("other"))).await.unwrap();
    assert!(matches!(taken, TakenFlow::Foreign), "{taken:?}");
    db.clock.advance(TEN_MINUTES);
    assert!(!flows.set_browser(&platform, &secret("late"), &secret("cookie")).await.unwrap());
}

pub(crate) async fn flows_are_limited_and_pruned(db: &TestDb) {
    let store = db.open().await;
    let (acme, beta) = (make_org(&store, "acme").await, make_org(&store, "beta").await);
    let server = server_for(&store, &acme).await;
    let of_beta = server_for(&store, &beta).await;
    begin(&store, db, &beta, of_beta, (&person("ann"), "ann"), "of beta").await.unwrap();
    begin(&store, db, &acme, server, (&person("bob"), "bob"), "of bob").await.unwrap();
    let most = usize::try_from(FLOWS_PER_HOLDER_MAX).unwrap();
    for number in 0..=most {
        db.clock.advance(Duration::from_secs(1));
        begin(&store, db, &acme, server, (&person("ann"), "ann"), &format!("a{number}")).await.unwrap();
    }
    assert_eq!(left(db).await, (most + 2, most + 2));
    assert!(matches!(take(&store, "a0", "ann").await, TakenFlow::Unknown), "the oldest went");
    assert!(matches!(take(&store, "a1", "ann").await, TakenFlow::Good(_)));
    assert!(matches!(take(&store, "of bob", "bob").await, TakenFlow::Good(_)), "others keep theirs");
    assert_eq!(store.flows().prune(&operator(&store)).await.unwrap(), 0);
    db.clock.advance(TEN_MINUTES.checked_sub(Duration::from_secs(1)).unwrap());
    begin(&store, db, &acme, server, (&person("bob"), "bob"), "fresh").await.unwrap();
    assert_eq!(store.flows().prune(&operator(&store)).await.unwrap(), most as u64 - 1);
    db.clock.advance(Duration::from_secs(1));
    assert_eq!(store.flows().prune(&operator(&store)).await.unwrap(), 1);
    assert_eq!(left(db).await, (1, 1));
    assert!(matches!(take(&store, "fresh", "bob").await, TakenFlow::Good(_)));

    // All holders together.
    db.clock.advance(Duration::from_secs(1));
    begin(&store, db, &acme, server, (&person("first"), "first"), "first").await.unwrap();
    let columns = "tenant_id, server_id, acting, issuer, iss_required, redirect_uri, resource, scopes, expires_at";
    let fill = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {}) INSERT INTO oauth_flows (state_digest, holder, \
         asked_at, {columns}) SELECT 's' || n, 'h' || n, asked_at + n, {columns} FROM numbers, oauth_flows f WHERE f.tenant_id = 'acme'",
        FLOWS_PER_ORG_MAX - 1
    );
    db.raw_execute(&fill).await;
    db.clock.advance(Duration::from_secs(1));
    begin(&store, db, &acme, server, (&person("last"), "last"), "last").await.unwrap();
    assert_eq!(left(db).await.0, usize::try_from(FLOWS_PER_ORG_MAX).unwrap());
    assert!(matches!(take(&store, "first", "first").await, TakenFlow::Unknown), "the oldest went");
    assert!(matches!(take(&store, "last", "last").await, TakenFlow::Good(_)));
}

/// A flow whose verifier does not open is gone as well.
pub(crate) async fn a_damaged_flow_is_gone(db: &TestDb) {
    let store = db.open().await;
    let acme = make_org(&store, "acme").await;
    let server = server_for(&store, &acme).await;
    for state in ["one", "two"] {
        begin(&store, db, &acme, server, (&person("ann"), "ann"), state).await.unwrap();
    }
    // The verifier of another flow of the same person.
    let of = |state: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, state.as_bytes());
        format!("holder = '{}'", data_encoding::HEXLOWER.encode(digest.as_ref()))
    };
    let from = |column: &str| format!("(SELECT f.{column} FROM server_secrets f WHERE f.{})", of("two"));
    let moved = format!("UPDATE server_secrets SET data_key = {}, sealed = {} WHERE {}", from("data_key"), from("sealed"), of("one"));
    assert_eq!(db.raw_execute(&moved).await, 1);
    let (org, sub) = (org_id("acme"), subject("ann"));
    let taken = store.flows().take(&operator(&store), &secret("one"), FlowBearer::Person { org: &org, sub: &sub }).await;
    assert_kind(taken, StoreErrorKind::Corrupt);
    assert_eq!(left(db).await, (1, 1));
    assert!(matches!(take(&store, "two", "ann").await, TakenFlow::Good(_)));
}

pub(crate) async fn tokens_are_revoked_with_patience(db: &TestDb) {
    let (store, other) = (db.open().await, db.open().await);
    let (acme, platform) = (make_org(&store, "acme").await, operator(&store));
    let server = server_for(&store, &acme).await;
    for sub in ["ann", "bob"] {
        store.connections().put(&acme.scope, server, &person(sub), &issuer(), &tokens(sub)).await.unwrap();
        store.connections().delete(&acme.scope, server, &person(sub)).await.unwrap();
        db.clock.advance(Duration::from_secs(1));
    }
    let ttl = Duration::from_secs(60);
    let mut due = store.revocations().lease_due(&platform, ttl).await.unwrap();
    assert!(other.revocations().lease_due(&platform, ttl).await.unwrap().is_empty(), "leased");
    let mut texts: Vec<_> = due.iter().map(|due| due.token.expose_secret().to_owned()).collect();
    texts.sort();
    assert_eq!(texts, ["access of ann", "access of bob", "refresh of ann", "refresh of bob"]);
    assert!(due.iter().all(|due| due.client_secret.as_ref().unwrap().expose_secret() == "client secret" && due.attempts == 0));
    assert!(!format!("{due:?}").contains("of ann"), "no token is printed");
    // The lease ends; whoever had it before changes nothing.
    db.clock.advance(ttl);
    let again = other.revocations().lease_due(&platform, ttl).await.unwrap();
    assert_eq!(again.len(), 4);
    assert_eq!(store.revocations().failed(&platform, &due[0]).await.unwrap(), FailedRevocation::Foreign);
    store.revocations().done(&platform, &due[0]).await.unwrap();
    assert_eq!(db.raw_rows("SELECT 1 FROM token_revocations").await.len(), 4);
    for revocation in &again[1..] {
        other.revocations().done(&platform, revocation).await.unwrap();
    }
    assert_eq!(db.raw_rows("SELECT 1 FROM server_secrets WHERE kind LIKE 'revoke%'").await.len(), 2);

    // One fails until it is given up, waiting longer each time.
    let mut wait = 0;
    due = vec![again[0].clone()];
    for attempt in 1..=REVOCATION_ATTEMPTS_MAX {
        let now = db.clock.now().as_micros();
        match other.revocations().failed(&platform, &due[0]).await.unwrap() {
            FailedRevocation::Again(at) => {
                let longer = at.as_micros() - now;
                assert!(longer > wait || longer == 8 * 3_600_000_000, "{attempt}: {longer}");
                wait = longer;
                let almost = Duration::from_micros(u64::try_from(wait - 1).unwrap());
                db.clock.advance(almost);
                assert!(other.revocations().lease_due(&platform, ttl).await.unwrap().is_empty());
                db.clock.advance(Duration::from_micros(1));
                due = other.revocations().lease_due(&platform, ttl).await.unwrap();
                assert_eq!((due.len(), due[0].attempts), (1, attempt));
            }
            FailedRevocation::GivenUp => assert_eq!(attempt, REVOCATION_ATTEMPTS_MAX),
            FailedRevocation::Foreign => panic!("it is ours"),
        }
    }
    assert!(db.raw_rows("SELECT 1 FROM token_revocations").await.is_empty());
    assert!(db.raw_rows("SELECT 1 FROM server_secrets WHERE kind LIKE 'revoke%'").await.is_empty());
}
