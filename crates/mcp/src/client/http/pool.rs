//! The idle connections of one upstream.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout};

use super::link::Link;
use crate::client::dial::{Dial, Target};
use crate::client::fault::{FaultKind, UpstreamFault};

/// An idle connection older than this is dropped.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How long a call waits for one of the connections in use.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(1);

/// Opens connections and keeps the idle ones.
pub(crate) struct Pool {
    dial: Arc<dyn Dial>,
    target: Target,
    open_deadline: Duration,
    connections_max: usize,
    slots: Semaphore,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The last one given back is taken first: the others may grow old.
    links: Vec<Link>,
    /// Whether a task waits to drop the old ones.
    swept: bool,
    closed: bool,
}

impl Pool {
    pub(crate) fn new(dial: Arc<dyn Dial>, target: Target, open_deadline: Duration, connections_max: usize) -> Arc<Self> {
        let slots = Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS));
        Arc::new(Self { dial, target, open_deadline, connections_max, slots, idle: Mutex::default() })
    }

    /// A place among the connections in use; free again when it is dropped.
    pub(crate) async fn slot(&self) -> Result<SemaphorePermit<'_>, UpstreamFault> {
        if let Ok(slot) = self.slots.try_acquire() {
            return Ok(slot);
        }
        match timeout(QUEUE_WAIT_MAX, self.slots.acquire()).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) | Err(_) => Err(UpstreamFault::unsent(
                FaultKind::Timeout,
                format!("all {} connections to {} are busy", self.connections_max, self.target),
            )),
        }
    }

    /// An idle connection. It may have died meanwhile: it says so before it takes a byte of a request.
    pub(crate) fn reuse(&self) -> Option<Link> {
        self.idle().links.pop().filter(|link| link.idle_since.elapsed() < IDLE_MAX)
    }

    /// A new connection.
    pub(crate) async fn open(&self) -> Result<Link, UpstreamFault> {
        let opening = async {
            let stream = self.dial.dial(&self.target).await?;
            Link::open(stream).await.map_err(|error| UpstreamFault::unsent(FaultKind::Unreachable, format!("{}: {error}", self.target)))
        };
        timeout(self.open_deadline, opening).await.unwrap_or_else(|_| {
            let seconds = self.open_deadline.as_secs_f32();
            Err(UpstreamFault::unsent(FaultKind::Timeout, format!("no connection to {} within {seconds} s", self.target)))
        })
    }

    /// Takes a connection back, if it can carry another request.
    pub(crate) async fn give_back(self: &Arc<Self>, mut link: Link) {
        if !link.is_usable().await {
            return;
        }
        link.idle_since = Instant::now();
        let mut idle = self.idle();
        if idle.closed || idle.links.len() >= self.connections_max {
            return;
        }
        idle.links.push(link);
        if !std::mem::replace(&mut idle.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Drops the idle connections and keeps none from now on.
    pub(crate) fn close(&self) {
        let links = {
            let mut idle = self.idle();
            idle.closed = true;
            std::mem::take(&mut idle.links)
        };
        drop(links);
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the old ones. Returns when to look again, `None` when nothing is left.
    fn drop_old(&self, now: Instant) -> Option<Instant> {
        let mut idle = self.idle();
        let old = idle.links.partition_point(|link| link.idle_since + IDLE_MAX <= now);
        idle.links.drain(..old);
        let next = idle.links.first().map(|link| link.idle_since + IDLE_MAX);
        idle.swept = next.is_some();
        next
    }
}

/// Lives as long as there are idle connections, so that none outlives [`IDLE_MAX`] by much.
async fn sweep(pool: Weak<Pool>) {
    let mut next = Some(Instant::now() + IDLE_MAX);
    while let Some(at) = next {
        sleep_until(at).await;
        next = pool.upgrade().and_then(|pool| pool.drop_old(Instant::now()));
    }
}
