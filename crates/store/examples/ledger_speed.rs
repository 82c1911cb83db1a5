//! What a record costs: `cargo run --release -p bailiwick-store --example ledger_speed [directory [part]]`.
//!
//! Prints records per second, CPU time of the whole process per record, and the median time of one append, for both durabilities
//! with 1, 16 and 64 callers at a time: segments written by callers or by the thread, without and with the SQLite index behind, and
//! PostgreSQL when its programs are installed. Then how fast a ledger is verified and exported. A second argument `index`, `postgres`
//! or `verify` restricts it to that part.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bailiwick_model::EventId;
use bailiwick_model::time::{Clock, Random, Timestamp};
use bailiwick_store::event::{Actor, EventKind, EventRow};
use bailiwick_store::ledger::verify::{Trust, verify_directory, verify_export};
use bailiwick_store::ledger::{Durability, Entry, Ledger, LedgerOptions, Place, SigningKey, Span, Writes, export_directory};
use bailiwick_store::{DatabaseUrl, Migrate, OpenOptions, RootKeySource, Store};
use bailiwick_testkit::postgres::Postgres;

/// How long each line is measured.
const MEASURE: Duration = Duration::from_secs(2);

struct WallClock;
impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "an entry point owns a clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Ids only have to differ here.
struct Counter(AtomicU64);
impl Random for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        let n = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        for (byte, value) in bytes.iter_mut().zip(n.to_le_bytes().into_iter().cycle()) {
            *byte = value;
        }
    }
}

/// User and system time of this process; Linux counts it in hundredths of a second.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    Duration::from_millis(fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Caller,
    Thread,
    CallerIndexed,
    Postgres,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Caller => "segments, callers write",
            Self::Thread => "segments, thread writes",
            Self::CallerIndexed => "the same with SQLite index",
            Self::Postgres => "PostgreSQL",
        }
    }
}

#[derive(Clone, Copy)]
struct Case {
    durability: Durability,
    callers: usize,
    kind: Kind,
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let place = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let part = std::env::args().nth(2);
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("{:<28}  durability  callers   records/s  CPU us/record  median us    p99 us", "");
    let parts = [("segments", Kind::Caller), ("segments", Kind::Thread), ("index", Kind::CallerIndexed), ("postgres", Kind::Postgres)];
    for (_, kind) in parts.into_iter().filter(|(part, _)| wanted(part)) {
        for durability in [Durability::Process, Durability::Power] {
            for callers in [1, 16, 64] {
                let dir = tempfile::tempdir_in(&place)?;
                runtime.block_on(measure(dir.path(), Case { durability, callers, kind }))?;
            }
        }
    }
    if wanted("verify") {
        let dir = tempfile::tempdir_in(&place)?;
        runtime.block_on(proof(dir.path()))?;
    }
    Ok(())
}

async fn options(dir: &Path, kind: Kind) -> Outcome<Option<LedgerOptions>> {
    let key = Arc::new(SigningKey::from_seed("speed", &[7; 32])?);
    let clock = Arc::new(WallClock);
    let segments = Place::Segments { dir: dir.join("ledger") };
    Ok(Some(match kind {
        Kind::Caller => LedgerOptions::new(segments, key, clock),
        Kind::Thread => LedgerOptions { writes: Writes::ByThread, ..LedgerOptions::new(segments, key, clock) },
        Kind::CallerIndexed => {
            let index = store(DatabaseUrl::sqlite(&dir.join("bailiwick.db"))?).await?;
            LedgerOptions::new(segments, key, clock).with_index(Arc::new(index))
        }
        Kind::Postgres => {
            let Some(server) = Postgres::shared() else { return Ok(None) };
            let store = store(DatabaseUrl::parse(&server.database().url)?).await?;
            LedgerOptions::new(Place::Postgres { store }, key, clock)
        }
    }))
}

async fn measure(dir: &Path, case: Case) -> Outcome<()> {
    let Some(options) = options(dir, case.kind).await? else { return Ok(()) };
    let ledger = Ledger::open(options).await?;
    let random = Arc::new(Counter(AtomicU64::new(1)));
    let (began, before) = (Instant::now(), cpu());
    let tasks: Vec<_> = (0..case.callers).map(|_| tokio::spawn(append(ledger.clone(), Arc::clone(&random), case, began))).collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await?);
    }
    ledger.flush().await?;
    let (wall, used) = (began.elapsed(), cpu().saturating_sub(before));
    ledger.close().await?;
    times.sort_unstable();
    let count = times.len().max(1);
    println!(
        "{:<28}  {:<10}  {:>7}  {:>10.0}  {:>13.2}  {:>9.1}  {:>8.1}",
        case.kind.name(),
        format!("{:?}", case.durability),
        case.callers,
        count as f64 / wall.as_secs_f64(),
        used.as_secs_f64() * 1e6 / count as f64,
        times[count / 2].as_secs_f64() * 1e6,
        times[count * 99 / 100].as_secs_f64() * 1e6,
    );
    Ok(())
}

/// Fills a ledger for a moment, then verifies it, exports it, and verifies the export.
async fn proof(dir: &Path) -> Outcome<()> {
    let case = Case { durability: Durability::Process, callers: 64, kind: Kind::Caller };
    measure(dir, case).await?;
    let (ledger, file) = (dir.join("ledger"), dir.join("export.jsonl"));
    let say = |what: &str, records: u64, began: Instant| {
        println!("{what}: {records} records, {:.0} records/s", records as f64 / began.elapsed().as_secs_f64());
    };
    let began = Instant::now();
    say("verify segments", verify_directory(&ledger, &Trust::default())?.records, began);
    let began = Instant::now();
    let mut out = std::io::BufWriter::new(std::fs::File::create(&file)?);
    say("export", export_directory(&ledger, &mut out, WallClock.now())?.records, began);
    drop(out);
    let began = Instant::now();
    say("verify export", verify_export(&file, &Trust::default())?.records, began);
    Ok(())
}

async fn append(ledger: Ledger, random: Arc<Counter>, case: Case, began: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    let pad = "0123456789abcdef".repeat(4);
    while began.elapsed() < MEASURE {
        let at = WallClock.now();
        let id = EventId::fresh(at, random.as_ref());
        let bytes = format!(
            "{{\"at\":\"2026-07-28T09:30:00.000000Z\",\"kind\":\"call\",\"org\":\"acme\",\"agent_id\":\"research-01\",\"agent_type\":\"research\",\
             \"server\":\"docs\",\"tool\":\"docs__search\",\"decision\":\"allowed\",\"policy\":17,\"args_digest\":\"{pad}\",\"ok\":true,\
             \"result_bytes\":1234,\"duration_ms\":3}}"
        );
        let row = (case.kind == Kind::CallerIndexed).then(|| {
            let mut row = EventRow::new(id, at, EventKind::Call, Actor::unknown());
            row.server = Some("docs".into());
            row.tool = Some("docs__search".into());
            row.decision = Some("allowed".into());
            row.args = Some("{\"q\":\"hello\"}".to_owned());
            row.args_digest = Some(pad.clone());
            row.duration_ms = Some(3);
            Box::new(row)
        });
        let start = Instant::now();
        let entry = Entry { bytes: bytes.into_bytes(), durability: case.durability, span: Span::Single(id), row };
        match ledger.append(entry).await {
            Ok(_) => times.push(start.elapsed()),
            // The index is slower than this loop, which does nothing else: wait until it has caught up.
            Err(_) => drop(ledger.flush().await),
        }
        if case.durability == Durability::Process {
            tokio::task::coop::consume_budget().await;
        }
    }
    times
}

async fn store(database: DatabaseUrl) -> Outcome<Store> {
    let (clock, random) = (Arc::new(WallClock), Arc::new(Counter(AtomicU64::new(1))));
    Ok(Store::open(OpenOptions { database, root_key: RootKeySource::None, clock, random, migrate: Migrate::Apply }).await?)
}
