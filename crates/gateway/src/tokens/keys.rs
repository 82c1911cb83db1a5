//! The keys of one issuer, held in memory: fresh for ten minutes, looked for anew when a token names one that is not known, and used for a
//! day at most when the issuer cannot be reached (security reference section 9).
//!
//! There is at most one look at a time, and one a minute, whoever asks and however often: tokens with made-up key names cost the issuer
//! nothing. The look does not end with the request that began it, so a client cannot use it up by going away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bailiwick_model::Timestamp;
use tokio::sync::watch;
use tracing::{info, warn};

use super::Reason;
use super::fetch::Source;
use super::key_set::KeySet;
use crate::lock::Lock;

/// Keys younger than this are used as they are.
const FRESH_MAX: Duration = Duration::from_secs(600);
/// Keys older than this are not used, whatever the reason.
const STALE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Between two looks while there are keys.
const LOOK_PAUSE: Duration = Duration::from_secs(60);
/// Between two looks while there are none: every token is refused until then.
const LOOK_PAUSE_WITHOUT: Duration = Duration::from_secs(5);

/// The keys of one issuer.
pub(super) struct Keys {
    issuer: String,
    source: Source,
    held: ArcSwapOption<Held>,
    generation: AtomicU64,
    looks: Lock<Looks>,
}

/// One set as it was fetched.
pub(super) struct Held {
    pub(super) keys: KeySet,
    /// Counts the sets of this issuer.
    pub(super) generation: u64,
    fetched_at: Timestamp,
}

#[derive(Default)]
struct Looks {
    begun_at: Option<Timestamp>,
    /// Whether the last one failed.
    failed: bool,
    /// Ends when the one that runs now ends.
    running: Option<watch::Receiver<()>>,
}

impl Keys {
    pub(super) fn new(issuer: String, source: Source) -> Self {
        Self { issuer, source, held: ArcSwapOption::empty(), generation: AtomicU64::new(0), looks: Lock::default() }
    }

    /// The generation of the keys that are held; a verdict by older ones has to be found anew.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The keys of now, which have `kid` if the issuer has it.
    ///
    /// # Errors
    /// [`Reason::KeysUnavailable`] when there are none, or none young enough.
    pub(super) async fn with(self: &Arc<Self>, kid: &str, now: Timestamp) -> Result<Arc<Held>, Reason> {
        let held = self.usable(now).await?;
        if held.keys.has(kid) {
            return Ok(held);
        }
        // It may have been made a moment ago.
        if let Some(look) = self.look(now) {
            ended(look).await;
        }
        self.young(now, STALE_MAX).ok_or(Reason::KeysUnavailable)
    }

    async fn usable(self: &Arc<Self>, now: Timestamp) -> Result<Arc<Held>, Reason> {
        if let Some(held) = self.young(now, FRESH_MAX) {
            return Ok(held);
        }
        let held = self.young(now, STALE_MAX);
        let outage = held.is_some() && self.looks.lock().failed;
        if let Some(look) = self.look(now) {
            // While the issuer is known to be away nobody waits for it: the keys of before are what there is.
            if !outage {
                ended(look).await;
            }
        }
        self.young(now, STALE_MAX).ok_or(Reason::KeysUnavailable)
    }

    fn young(&self, now: Timestamp, age_max: Duration) -> Option<Arc<Held>> {
        self.held.load_full().filter(|held| apart(now, held.fetched_at) <= age_max)
    }

    /// Joins the look that runs, or begins one when it is time; `None` when it is not.
    fn look(self: &Arc<Self>, now: Timestamp) -> Option<watch::Receiver<()>> {
        let pause = if self.young(now, STALE_MAX).is_some() { LOOK_PAUSE } else { LOOK_PAUSE_WITHOUT };
        let mut looks = self.looks.lock();
        if let Some(running) = &looks.running {
            return Some(running.clone());
        }
        if looks.begun_at.is_some_and(|begun_at| apart(now, begun_at) < pause) {
            return None;
        }
        let (end, running) = watch::channel(());
        looks.begun_at = Some(now);
        looks.running = Some(running.clone());
        let look = Look { keys: self.clone(), _end: end };
        tokio::spawn(async move { look.run(now).await });
        Some(running)
    }

    fn take(&self, fetched: Result<KeySet, String>, now: Timestamp) {
        let failed = fetched.is_err();
        let before = std::mem::replace(&mut self.looks.lock().failed, failed);
        match fetched {
            Ok(keys) => {
                let generation = self.generation.load(Ordering::Acquire) + 1;
                self.held.store(Some(Arc::new(Held { keys, generation, fetched_at: now })));
                self.generation.store(generation, Ordering::Release);
                if before {
                    info!(target: "ops", event = "issuer_back", issuer = self.issuer, "the keys of an issuer can be had again");
                }
            }
            // Told once for each outage.
            Err(cause) if !before => {
                warn!(target: "ops", event = "issuer_unreachable", issuer = self.issuer, %cause, "the keys of an issuer cannot be had");
            }
            Err(_) => {}
        }
    }
}

/// A look that runs. However it ends, the next one can begin.
struct Look {
    keys: Arc<Keys>,
    _end: watch::Sender<()>,
}

impl Look {
    async fn run(self, now: Timestamp) {
        let fetched = self.keys.source.fetch(now).await;
        self.keys.take(fetched, now);
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.keys.looks.lock().running = None;
    }
}

/// Waits until the sender is gone.
async fn ended(mut look: watch::Receiver<()>) {
    while look.changed().await.is_ok() {}
}

/// How far two points in time are apart: a clock that was set back makes keys old too.
fn apart(one: Timestamp, other: Timestamp) -> Duration {
    one.since(other).max(other.since(one))
}
