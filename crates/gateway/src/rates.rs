//! The rates of one agent, kept together with all other gateways on the same database.
//!
//! A rate is used up in shares that the store gives out (`bailiwick_store::Rates`): one call at a time for rates below twenty, up to a
//! tenth of the rate for others, each good for a sixtieth of the window. So a rate costs the database at most about sixty turns in a
//! window, a call between them nothing but a look at a counter, and an agent without rates nothing at all.
//!
//! Promised: in any stretch of the window at most so many calls pass, over all gateways. Fewer may pass while another gateway holds an
//! unused share, which is at most half of what is left; and under a steady load a call counts for up to a sixtieth of the window longer
//! than it has to (a fifth of a second for rates by the second). A gateway that dies takes its share along until the window has passed.
//! While the database cannot be asked, calls beyond the share at hand are refused.

use std::time::{Duration, Instant};

use bailiwick_model::Timestamp;
use bailiwick_model::glob::Glob;
use bailiwick_model::manifest::RateLimits;
use bailiwick_model::rate::Rate;
use bailiwick_store::{Scope, Settled, Share, Store, Taken, Want};
use tokio::sync::Mutex;

use crate::lock::Lock;

/// Parts of a rate that are one share at most.
const SHARES_MIN: u32 = 10;
/// Parts of a window for which a share is good.
const HOLDS: u32 = 60;
/// Limits of that time.
const HOLD_MIN: Duration = Duration::from_millis(200);
const HOLD_MAX: Duration = Duration::from_secs(10);
/// Turns at the database for one call; a share that came too late to be used is given back with the next.
const ATTEMPTS_MAX: usize = 3;
/// How long a call waits for its turn and the database's answer.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Why a call is not let through.
#[derive(Debug)]
pub(crate) enum Limited {
    /// A rate is used up.
    Exceeded(Exceeded),
    /// It cannot be counted.
    Unknown(String),
}

/// A rate that is used up.
#[derive(Clone, Debug)]
pub(crate) struct Exceeded {
    /// `global` or `per_tool`.
    pub(crate) limit_type: &'static str,
    pub(crate) current: u32,
    pub(crate) limit: u32,
    pub(crate) window: Duration,
    pub(crate) retry_after: Duration,
}

/// The rates of one agent at this gateway.
pub(crate) struct Rates {
    counters: Vec<Counter>,
    held: Lock<Vec<Held>>,
    /// One turn at the database at a time.
    turn: Mutex<()>,
}

/// One rate; the global one comes first.
struct Counter {
    name: String,
    limit_type: &'static str,
    /// `None` for the global rate.
    glob: Option<Glob>,
    rate: Rate,
}

/// What this gateway holds of one rate.
#[derive(Default)]
struct Held {
    share: Option<InUse>,
    /// Calls to ask for next time.
    demand: u32,
    full: Option<Full>,
}

/// A refusal that still holds.
struct Full {
    exceeded: Exceeded,
    /// Before that the database is not asked again.
    until: Instant,
    /// When a call is free at the latest.
    free: Instant,
}

struct InUse {
    share: Share,
    asked: Instant,
    used: u32,
    last_used: Instant,
}

impl Counter {
    fn hold(&self) -> Duration {
        (self.rate.window / HOLDS).clamp(HOLD_MIN, HOLD_MAX)
    }

    fn share_max(&self) -> u32 {
        (self.rate.calls / SHARES_MIN).max(1)
    }

    fn exceeded(&self, current: u32, retry_after: Duration) -> Exceeded {
        Exceeded { limit_type: self.limit_type, current, limit: self.rate.calls, window: self.rate.window, retry_after }
    }
}

impl Rates {
    pub(crate) fn new(limits: &RateLimits) -> Self {
        let global = limits.global.iter().map(|rate| Counter { name: "global".to_owned(), limit_type: "global", glob: None, rate: *rate });
        let per_tool = limits.per_tool.iter().map(|(glob, rate)| Counter {
            name: format!("tool {glob}"),
            limit_type: "per_tool",
            glob: Some(glob.clone()),
            rate: *rate,
        });
        let counters: Vec<Counter> = global.chain(per_tool).collect();
        let held = Lock::new(counters.iter().map(|_| Held { demand: 1, ..Held::default() }).collect());
        Self { counters, held, turn: Mutex::new(()) }
    }

    /// Whether there is nothing to count.
    pub(crate) fn is_empty(&self) -> bool {
        self.counters.is_empty()
    }

    /// Counts one call against the global rate and against that of the first pattern that matches `tool`. A call that one of them refuses
    /// is counted nowhere. `clock` tells the time at this gateway, `store` that of the database.
    ///
    /// # Errors
    /// The rate that is used up, the global one first; or that the database cannot be asked.
    pub(crate) async fn count(
        &self,
        store: &Store,
        scope: &Scope,
        tool: &str,
        clock: &(dyn Fn() -> Instant + Sync),
    ) -> Result<(), Limited> {
        let of = self.counters_of(tool);
        if of.is_empty() || self.use_shares(&of, clock()) {
            return Ok(());
        }
        let counted = tokio::time::timeout(WAIT_MAX, self.count_by_turns(store, scope, &of, clock));
        Box::pin(counted).await.unwrap_or_else(|_| Err(Limited::Unknown("the database took too long".to_owned())))
    }

    /// The rates that a tool is held against, by number.
    fn counters_of(&self, tool: &str) -> Vec<usize> {
        let global = self.counters.iter().position(|counter| counter.glob.is_none());
        let own = self.counters.iter().position(|counter| counter.glob.as_ref().is_some_and(|glob| glob.matches(tool)));
        global.into_iter().chain(own).collect()
    }

    /// Takes a call out of every share; out of none when one of them is used up or over.
    fn use_shares(&self, of: &[usize], now: Instant) -> bool {
        let mut held = self.held.lock();
        if !of.iter().all(|number| held[*number].has_call(self.counters[*number].hold(), now)) {
            return false;
        }
        for number in of {
            if let Some(share) = &mut held[*number].share {
                share.used += 1;
                share.last_used = now;
            }
        }
        true
    }

    async fn count_by_turns(
        &self,
        store: &Store,
        scope: &Scope,
        of: &[usize],
        clock: &(dyn Fn() -> Instant + Sync),
    ) -> Result<(), Limited> {
        let _turn = self.turn.lock().await;
        for _ in 0..ATTEMPTS_MAX {
            // Whoever had the turn before may have brought enough for both.
            if self.use_shares(of, clock()) {
                return Ok(());
            }
            if let Some(exceeded) = self.known_full(of, clock()) {
                return Err(Limited::Exceeded(exceeded));
            }
            self.ask(store, scope, of, clock).await?;
        }
        if self.use_shares(of, clock()) {
            return Ok(());
        }
        match self.known_full(of, clock()) {
            Some(exceeded) => Err(Limited::Exceeded(exceeded)),
            None => Err(Limited::Unknown("the database answers too slowly".to_owned())),
        }
    }

    fn known_full(&self, of: &[usize], now: Instant) -> Option<Exceeded> {
        let held = self.held.lock();
        of.iter().find_map(|number| {
            let full = held[*number].full.as_ref().filter(|full| full.until > now)?;
            Some(Exceeded { retry_after: full.free.saturating_duration_since(now), ..full.exceeded.clone() })
        })
    }

    /// One turn: reports the old shares that are over and takes new ones in their place.
    async fn ask(&self, store: &Store, scope: &Scope, of: &[usize], clock: &(dyn Fn() -> Instant + Sync)) -> Result<(), Limited> {
        let asked = clock();
        let (wanted, wants): (Vec<usize>, Vec<Want<'_>>) = {
            let held = self.held.lock();
            let lacking = of.iter().filter(|number| !held[**number].has_call(self.counters[**number].hold(), asked));
            lacking.map(|number| (*number, want(&self.counters[*number], &held[*number]))).unzip()
        };
        let taken = store.rates().take(scope, &wants).await;
        let taken = taken.map_err(|error| Limited::Unknown(error.message().to_owned()))?;
        let mut held = self.held.lock();
        for number in &wanted {
            let (held, counter) = (&mut held[*number], &self.counters[*number]);
            held.demand = held.next_demand(counter.share_max());
            held.share = None;
        }
        match taken {
            Taken::Shares(shares) => {
                for (number, share) in wanted.iter().zip(shares) {
                    held[*number].share = Some(InUse { share, asked, used: 0, last_used: asked });
                }
            }
            Taken::Full { index, current, retry_after } => {
                let Some(number) = wanted.get(index) else { return Ok(()) };
                let counter = &self.counters[*number];
                let now = clock();
                // Another gateway may give something back before it is free for certain.
                let until = now + retry_after.min(counter.hold());
                held[*number].full = Some(Full { exceeded: counter.exceeded(current, retry_after), until, free: now + retry_after });
            }
        }
        Ok(())
    }
}

impl Held {
    fn has_call(&self, hold: Duration, now: Instant) -> bool {
        self.share.as_ref().is_some_and(|own| own.used < own.share.calls && now.saturating_duration_since(own.asked) < hold)
    }

    /// Twice as much when a share was used up, as much as was used when it was not.
    fn next_demand(&self, share_max: u32) -> u32 {
        let demand = self
            .share
            .as_ref()
            .map_or(self.demand, |own| if own.used >= own.share.calls { own.share.calls.saturating_mul(2) } else { own.used });
        demand.clamp(1, share_max)
    }
}

fn want<'c>(counter: &'c Counter, held: &Held) -> Want<'c> {
    let settled = held.share.as_ref().map(|own| {
        let used_for = own.last_used.saturating_duration_since(own.asked);
        let counts = i64::try_from((used_for + counter.rate.window).as_micros()).unwrap_or(i64::MAX);
        let ends_at = Timestamp::from_micros(own.share.at.as_micros().saturating_add(counts));
        Settled { id: own.share.id, used: own.used, ends_at }
    });
    Want {
        counter: &counter.name,
        calls_max: counter.rate.calls,
        window: counter.rate.window,
        share: held.next_demand(counter.share_max()),
        hold: counter.hold(),
        settled,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use bailiwick_model::time::{Clock, Random};
    use bailiwick_model::{AgentId, AgentType, OrgId};
    use bailiwick_store::{DatabaseUrl, Migrate, OpenOptions, RootKeySource};
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    /// Milliseconds since the start; the clock of the database and of all gateways.
    #[derive(Default)]
    struct Time(AtomicU64);

    impl Clock for Time {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(1_000_000_000 + i64::try_from(self.0.load(Ordering::SeqCst) * 1_000).unwrap())
        }
    }

    struct Counting(AtomicU64);

    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            for part in bytes.chunks_mut(8) {
                let next = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes();
                part.copy_from_slice(&next[..part.len()]);
            }
        }
    }

    struct Scene {
        time: Arc<Time>,
        base: Instant,
        stores: [Store; 2],
        scope: Scope,
        _dir: TempDir,
    }

    impl Scene {
        async fn new() -> Self {
            let (dir, time) = (TempDir::new().unwrap(), Arc::new(Time::default()));
            let options = |seed| OpenOptions {
                database: DatabaseUrl::sqlite(&dir.path().join("r.db")).unwrap(),
                root_key: RootKeySource::File { path: dir.path().join("root.key"), create: true },
                clock: time.clone(),
                random: Arc::new(Counting(AtomicU64::new(seed))),
                migrate: Migrate::Apply,
            };
            let stores = [Store::open(options(1)).await.unwrap(), Store::open(options(1 << 40)).await.unwrap()];
            let org = OrgId::parse("acme").unwrap();
            let scope = stores[0].launch(&org, &AgentId::parse("a").unwrap(), &AgentType::parse("t").unwrap()).await.unwrap();
            Self { time, base: Instant::now(), stores, scope, _dir: dir }
        }

        fn wait(&self, millis: u64) {
            self.time.0.fetch_add(millis, Ordering::SeqCst);
        }

        fn millis(&self) -> u64 {
            self.time.0.load(Ordering::SeqCst)
        }

        async fn count(&self, rates: &Rates, gateway: usize, tool: &str) -> Result<(), Limited> {
            let clock = || self.base + Duration::from_millis(self.millis());
            rates.count(&self.stores[gateway], &self.scope, tool, &clock).await
        }
    }

    fn limits(global: &str, per_tool: &[(&str, &str)]) -> RateLimits {
        let per_tool = per_tool.iter().map(|(glob, rate)| (Glob::parse(glob).unwrap(), Rate::parse(rate).unwrap())).collect();
        RateLimits { global: (!global.is_empty()).then(|| Rate::parse(global).unwrap()), per_tool }
    }

    fn exceeded(outcome: Result<(), Limited>) -> Option<(&'static str, u32, u32, Duration)> {
        match outcome {
            Ok(()) => None,
            Err(Limited::Exceeded(e)) => Some((e.limit_type, e.current, e.limit, e.retry_after)),
            Err(Limited::Unknown(cause)) => panic!("{cause}"),
        }
    }

    #[tokio::test]
    async fn a_low_rate_is_counted_call_by_call() {
        let scene = Scene::new().await;
        let rates = Rates::new(&limits("3/minute", &[("a_*", "1/minute"), ("*", "2/minute")]));
        assert!(exceeded(scene.count(&rates, 0, "a_x").await).is_none());
        let second = exceeded(scene.count(&rates, 0, "a_y").await).unwrap();
        assert_eq!((second.0, second.1, second.2), ("per_tool", 1, 1), "tools of one pattern share a counter");
        scene.wait(20_000);
        assert!(exceeded(scene.count(&rates, 0, "b").await).is_none());
        assert!(exceeded(scene.count(&rates, 0, "b").await).is_none(), "refused calls were counted nowhere");
        let fourth = exceeded(scene.count(&rates, 0, "b").await).unwrap();
        assert_eq!((fourth.0, fourth.2), ("global", 3), "the global rate comes first");
        assert_eq!(fourth.3, Duration::from_secs(40), "when the first call has left the window");
        scene.wait(39_999);
        assert!(exceeded(scene.count(&rates, 0, "a_x").await).is_some());
        scene.wait(1);
        assert!(exceeded(scene.count(&rates, 0, "a_x").await).is_none());
        assert!(Rates::new(&limits("", &[])).is_empty());
    }

    #[tokio::test]
    async fn two_gateways_share_one_rate_and_a_database_that_fails_blocks() {
        let scene = Scene::new().await;
        let limits = limits("40/minute", &[]);
        let gateways = [Rates::new(&limits), Rates::new(&limits)];
        let mut passed = 0;
        for number in 0..100 {
            passed += u32::from(scene.count(&gateways[number % 2], number % 2, "t").await.is_ok());
        }
        assert_eq!(passed, 40, "nothing is lost when both are at it");
        scene.wait(61_000);
        assert!(scene.count(&gateways[0], 0, "t").await.is_ok());
        scene.stores[1].close().await;
        assert!(matches!(scene.count(&gateways[1], 1, "t").await, Err(Limited::Unknown(_))));
        // A rate of zero lets nothing pass and says so.
        let none = Rates::new(&RateLimits { global: Rate::parse("0/hour").ok(), per_tool: Vec::new() });
        assert_eq!(exceeded(scene.count(&none, 0, "t").await).unwrap().2, 0);
    }

    #[tokio::test]
    async fn a_busy_rate_asks_the_database_seldom() {
        let scene = Scene::new().await;
        let rates = Rates::new(&limits("10000/minute", &[]));
        let (mut turns, mut last) = (0, 0);
        for _ in 0..3_000 {
            scene.count(&rates, 0, "t").await.unwrap();
            scene.wait(2);
            let id = rates.held.lock()[0].share.as_ref().unwrap().share.id;
            turns += u32::from(id != last);
            last = id;
        }
        assert!(turns < 25, "{turns} turns for 3000 calls in six seconds");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// Two gateways, any pattern of calls and pauses: never more calls in a window than the rate, and after a quiet window one passes.
        #[test]
        fn no_window_ever_holds_more_calls_than_the_rate(
            calls in prop::sample::select(vec![1_u32, 2, 7, 25, 60]),
            unit in prop::sample::select(vec![("second", 1_000_u64), ("minute", 60_000)]),
            steps in prop::collection::vec((0_usize..2, 0_u64..100, 1_u32..12), 1..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let scene = Scene::new().await;
                let limits = limits(&format!("{calls}/{}", unit.0), &[]);
                let gateways = [Rates::new(&limits), Rates::new(&limits)];
                let mut passed: Vec<u64> = Vec::new();
                for (gateway, pause, burst) in steps {
                    scene.wait(pause * unit.1 / 200);
                    for _ in 0..burst {
                        if scene.count(&gateways[gateway], gateway, "t").await.is_ok() {
                            passed.push(scene.millis());
                        }
                    }
                }
                for (first, start) in passed.iter().enumerate() {
                    let within = passed[first..].iter().take_while(|at| **at < start + unit.1).count();
                    prop_assert!(within <= calls as usize, "{} of {} calls from {}: {:?}", within, calls, start, passed);
                }
                scene.wait(unit.1 + 2_000);
                prop_assert!(scene.count(&gateways[1], 1, "t").await.is_ok());
                Ok(())
            })?;
        }
    }
}
