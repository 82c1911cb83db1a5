//! Two organisations with the same data under the same names live in one program. Members of the one try everything on the other, through
//! the API, the MCP endpoint and the command line, several at a time:
//!
//! 1. what belongs to the other is the same afterwards, byte for byte: its rows and files, and whatever its administrator reads of it, which
//!    he goes on reading meanwhile;
//! 2. nothing of it is in any answer: not its texts and secrets, in no usual spelling, not an id that only it has;
//! 3. what names it is never done, and is not told from what does not exist.
//!
//! Operations are drawn from the document that the program serves, tables from the schema of the database: what is new is tried and compared
//! without a change here, or the test says what it does not know. Left out is what lies above organisations: platform administrators, and
//! commands on the machine's own database.
//!
//! `BAILIWICK_ISOLATION_OPERATIONS` makes it longer, `BAILIWICK_ISOLATION_SEED` draws others, or the same again as far as the scheduler allows.
//! The whole proof, which takes its time:
//! `BAILIWICK_ISOLATION_OPERATIONS=200000 cargo test --release -p bailiwick --test it isolation -- --nocapture`.

mod api;
mod attack;
mod cli;
mod dice;
mod document;
mod evidence;
mod faces;
mod fill;
mod mcp;
mod pool;
mod rows;
mod tally;
mod tools;
mod wire;
mod world;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use bailiwick_testkit::client::Era;

use crate::api::Ask;
use crate::base::{Base, on_both};
use crate::scene::{client, talk};
use attack::{Attack, Counters};
use document::{Operation, operations};
use evidence::{Evidence, MARK};
use faces::Faces;
use fill::{Filled, fill};
use pool::{Pool, Values};
use tally::{Face, Outcome, Tally};
use wire::Wire;
use world::{ACME, BELLUM, World};

/// Operations of a run by default.
const OPERATIONS: u64 = 4_000;
/// Operations among which each kind of them is expected to succeed and to be refused once.
const LIVELY_FROM: usize = 4_000;
/// Attackers at a time.
const ATTACKERS: usize = 4;

on_both! {
    an_organisation_learns_and_changes_nothing_of_another,
}

#[allow(clippy::disallowed_methods, reason = "a test has no other entry point than its process")]
fn number(variable: &str, default: impl FnOnce() -> u64) -> u64 {
    std::env::var(variable).map_or_else(|_| default(), |text| text.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}

async fn an_organisation_learns_and_changes_nothing_of_another(base: &Base<'_>) {
    let seed = number("BAILIWICK_ISOLATION_SEED", || RandomState::new().hash_one(0_u64));
    let count = usize::try_from(number("BAILIWICK_ISOLATION_OPERATIONS", || OPERATIONS)).unwrap();
    println!("BAILIWICK_ISOLATION_SEED={seed} BAILIWICK_ISOLATION_OPERATIONS={count}");
    let mut world = World::new(base);
    let document = Ask::anybody().send(&world.app, "GET", "/v1/openapi.json").json();
    let (mut own, mut other) = (fill(&world, ACME).await, fill(&world, BELLUM).await);
    // What is written behind what was done is written when the program has ended.
    let ends = |world: &mut World| assert_eq!(world.app.terminate().code(), Some(0), "{}", world.app.stderr());
    ends(&mut world);
    let rows = rows::of(base, &world.app, BELLUM.org);
    rows::is_full(&rows);
    world.app.restart();
    read(&world, &document, ACME.org, &mut own).await;
    let faces = read(&world, &document, BELLUM.org, &mut other).await;
    let (theirs, hidden) = told_and_hidden(&other.values);
    let evidence = Evidence::new(&hidden);
    is_seen_at_home(&evidence, &faces, &hidden);
    let calls = world.desk.arrivals().iter().filter(|arrival| arrival.method == "tools/call").count();
    let attack = Arc::new(attack(&world, &document, (seed, count), own, theirs, evidence).await);
    let watched = watch(attack.clone(), &world, other.key("ann").to_owned(), faces.clone(), operations(&document));
    join(&attack, watched).await;
    attack.tally.print();

    let after = read(&world, &document, BELLUM.org, &mut other).await;
    same_faces(&faces, &after);
    ends(&mut world);
    rows::are_the_same(&rows, &rows::of(base, &world.app, BELLUM.org));
    let calls_after = world.desk.arrivals().iter().filter(|arrival| arrival.method == "tools/call").count();
    assert_eq!(calls, calls_after, "somebody called the server of the other organisation");
    if let Some(found) = attack.evidence.find(world.app.stderr().as_bytes()) {
        panic!("the log says {found:?}");
    }
    let proof = world.app.command(&["audit", "verify"]);
    assert!(proof.status.success(), "{}", talk(&proof));
    is_lively(&attack);
}

/// Everything that the administrator reads.
async fn read(world: &World, document: &serde_json::Value, org: &str, of: &mut Filled) -> Faces {
    let (mut wire, key) = (Wire::new(&world.app.base_url()), of.key("ann").to_owned());
    faces::read(&mut wire, &key, org, &operations(document), &mut of.values).await
}

/// What attackers are told of the other organisation, and what they are not, but could find: of values that the program draws every other one
/// is never told, and must never be seen.
fn told_and_hidden(values: &Values) -> (Values, Vec<String>) {
    let (mut told, mut hidden) = (Values::new(), Vec::new());
    for (kind, values) in values {
        for (number, value) in values.iter().enumerate() {
            if kind.is_drawn() && number % 2 == 0 {
                hidden.push(value.clone());
            } else if Evidence::new(&[]).find(value.as_bytes()).is_none() && !holds_mark(value) {
                told.entry(*kind).or_default().push(value.clone());
            }
        }
    }
    // A run stands in the rows of its calls, too, and an id that was told is no secret any more.
    hidden.retain(|value| !told.values().flatten().any(|known| known == value));
    (told, hidden)
}

/// Cursors name the last row of their page.
fn holds_mark(value: &str) -> bool {
    let decoded = data_encoding::BASE64URL_NOPAD.decode(value.as_bytes()).unwrap_or_default();
    String::from_utf8_lossy(&decoded).to_lowercase().contains(MARK)
}

/// What is looked for can be found: its owner sees it.
fn is_seen_at_home(evidence: &Evidence, faces: &Faces, hidden: &[String]) {
    let marked = faces.values().filter(|face| evidence.find(face.as_bytes()).is_some()).count();
    assert!(marked * 4 > faces.len(), "of {} answers to its own administrator only {marked} hold anything", faces.len());
    let seen = hidden.iter().filter(|id| faces.values().any(|face| face.contains(*id))).count();
    assert!(seen * 4 > hidden.len(), "of {} ids its own administrator sees {seen}", hidden.len());
}

async fn attack(
    world: &World,
    document: &serde_json::Value,
    (seed, count): (u64, usize),
    own: Filled,
    theirs: Values,
    evidence: Evidence,
) -> Attack {
    let ann = client(&world.app, own.key("ann"), Era::Modern);
    crate::base::wait_for_tool(&ann, "acme-desk__tell").await;
    Attack {
        seed,
        count,
        base_url: world.app.base_url(),
        operations: operations(document),
        tools: ann.tool_names().await.unwrap(),
        crew: own.keys,
        above: world.above.clone(),
        pool: Pool::new(own.values, theirs),
        evidence,
        tally: Tally::default(),
        counters: Counters::default(),
    }
}

/// The other's administrator reads on, so that what is kept in memory of the other is there to be confused.
fn watch(
    attack: Arc<Attack>,
    world: &World,
    key: String,
    faces: Faces,
    operations: Vec<Operation>,
) -> impl Future<Output = ()> + Send + 'static {
    let base_url = world.app.base_url();
    async move {
        let mut wire = Wire::new(&base_url);
        while !attack.is_over() {
            for (name, before) in &faces {
                let is_list = operations.iter().any(|operation| operation.is_list() && is_at(name, &operation.path));
                let now = faces::again(&mut wire, &key, name, is_list).await;
                assert!(*before == now, "the other organisation sees something else at {name}\n  before: {before}\n  now:    {now}");
                if attack.is_over() {
                    return;
                }
            }
        }
    }
}

/// Whether an address is one of these.
fn is_at(name: &str, path: &str) -> bool {
    let (given, known): (Vec<&str>, Vec<&str>) = (name.split('/').collect(), path.split('/').collect());
    given.len() == known.len() && given.iter().zip(known).all(|(given, known)| known.starts_with('{') || *given == known)
}

async fn join(attack: &Arc<Attack>, watched: impl Future<Output = ()> + Send + 'static) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..ATTACKERS {
        let attack = attack.clone();
        tasks.spawn(async move { attack.run().await });
    }
    tasks.spawn(watched);
    while let Some(ended) = tasks.join_next().await {
        if let Err(died) = ended {
            attack.stop();
            attack.tally.print();
            std::panic::resume_unwind(died.into_panic());
        }
    }
}

fn same_faces(before: &Faces, after: &Faces) {
    for (name, was) in before {
        assert_eq!(Some(was), after.get(name), "the other organisation sees something else at {name}");
    }
    assert_eq!(before.len(), after.len(), "the other organisation sees more or less than before");
}

/// What needs a registered server that answers and an authorization server behind it, or a second server named in its body: it is tried, and
/// has to be refused, as everything else is.
const BARREN: [&str; 8] = [
    "POST /v1/mcp/oauth/callback",
    "POST /v1/mcp/servers/{server_id}/allowed-tools/copy",
    "DELETE /v1/mcp/servers/{server_id}/connections/{sub}",
    "POST /v1/mcp/servers/{server_id}/discover",
    "POST /v1/mcp/servers/{server_id}/oauth/start",
    "DELETE /v1/mcp/servers/{server_id}/org-connection",
    "PUT /v1/mcp/servers/{server_id}/org-connection",
    "DELETE /v1/mcp/servers/{server_id}/token",
];

/// Everything was done and was refused: a test in which nothing succeeds proves nothing.
fn is_lively(attack: &Attack) {
    if attack.count < LIVELY_FROM {
        return;
    }
    let names: Vec<String> = attack.operations.iter().map(|operation| operation.name.clone()).collect();
    let tools = |fits: &dyn Fn(&str) -> bool| -> Vec<String> {
        attack.tools.iter().filter(|tool| fits(tool)).map(|tool| format!("tools/call {tool}")).collect()
    };
    let methods = mcp::METHODS.iter().map(|(method, _)| (*method).to_owned()).filter(|method| !matches!(&**method, "GET" | "DELETE"));
    let done = tools(&|tool| !tools::is_barren(tool)).into_iter().chain(methods).collect::<Vec<_>>();
    let possible: Vec<String> = names.iter().filter(|name| !BARREN.contains(&name.as_str())).cloned().collect();
    let lacks = [
        ("never done", attack.tally.lacking(Face::Api, &possible, Outcome::Done)),
        ("never done", attack.tally.lacking(Face::Mcp, &done, Outcome::Done)),
        ("never done", attack.tally.lacking(Face::Cli, &cli::possible(), Outcome::Done)),
        ("never refused", attack.tally.lacking(Face::Api, &names, Outcome::Refused)),
        ("never refused", attack.tally.lacking(Face::Mcp, &tools(&tools::can_be_refused), Outcome::Refused)),
        ("never refused", attack.tally.lacking(Face::Cli, &cli::refusable(), Outcome::Refused)),
    ];
    let lacks: Vec<_> = lacks.iter().filter(|(_, names)| !names.is_empty()).collect();
    assert!(lacks.is_empty(), "{lacks:#?}");
}
