//! The listener: binds, accepts within limits, and stops in stages.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};

use super::connection::Guarded;
use super::limits::{HEAD_FIELDS_DEFAULT, HttpLimits, READ_BUFFER_BYTES_MIN};
use super::routes::{Doorman, Endpoint, Routes};
use super::watch::Watch;
use crate::exit::{Exit, Failure};

/// Connections that the kernel holds ready before they are accepted.
const BACKLOG: u32 = 1024;
/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Refused connections that are told so at once; further ones are just closed.
const REFUSALS_AT_ONCE_MAX: usize = 64;
/// How long a refused connection is read so that its client gets to see the answer.
const REFUSAL_LINGER: Duration = Duration::from_secs(1);
const REFUSAL: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 56\r\n\r\n{\"code\":\"rate_limited\",\"message\":\"too many connections\"}";

/// How far stopping has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Open,
    /// No new connections; each one is closed after the answer it is giving.
    Draining,
    /// What is left is cut off.
    Cut,
}

/// Stops a door; clones act on the same door.
#[derive(Clone, Debug)]
pub struct StopSwitch(Arc<watch::Sender<Stage>>);

impl Default for StopSwitch {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Stage::Open)))
    }
}

impl StopSwitch {
    /// Closes the listener and lets every connection finish the answer it is giving.
    pub fn drain(&self) {
        self.raise(Stage::Draining);
    }

    /// Cuts off whatever is still open.
    pub fn cut(&self) {
        self.raise(Stage::Cut);
    }

    fn raise(&self, to: Stage) {
        self.0.send_if_modified(|stage| {
            let later = to > *stage;
            *stage = to.max(*stage);
            later
        });
    }
}

/// An address taken but not yet listened on: a conflict shows before anything has started, and nobody can connect too early.
pub struct Reserved {
    socket: TcpSocket,
    address: SocketAddr,
}

impl Reserved {
    /// Takes `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] naming the address and the remedy.
    pub fn bind(address: SocketAddr) -> Result<Self, Failure> {
        let open = || -> io::Result<Self> {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // A restart must not wait for the old connections' TIME_WAIT.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        };
        open().map_err(|cause| cannot_listen(address, &cause))
    }

    /// The real address, also when port 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to listen: from here on clients can connect. Must run inside the runtime.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] when another process was quicker.
    pub fn listen(self) -> Result<Door, Failure> {
        let Self { socket, address } = self;
        let listener = socket.listen(BACKLOG).map_err(|cause| cannot_listen(address, &cause))?;
        Ok(Door { listener, address })
    }
}

/// A listener.
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

impl Door {
    /// Binds and listens at once, for tests and small servers.
    ///
    /// # Errors
    /// As [`Reserved::bind`].
    pub fn bind(address: SocketAddr) -> Result<Self, Failure> {
        Reserved::bind(address)?.listen()
    }

    /// The real address, also when port 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is drained and every connection has ended, or until `stop` is cut.
    pub async fn serve<E: Endpoint>(self, endpoint: E, path: &str, limits: HttpLimits, stop: StopSwitch) {
        let shared = Arc::new(Shared {
            routes: Arc::new(Routes::new(endpoint, path)),
            slots: Slots::new(limits),
            refusals: Arc::new(tokio::sync::Semaphore::new(REFUSALS_AT_ONCE_MAX)),
            http: http_rules(limits),
            limits,
        });
        let mut stage = stop.0.subscribe();
        while let Some(accepted) = until(self.listener.accept(), &mut stage, Stage::Draining).await {
            match accepted {
                Ok((stream, from)) => shared.admit(stream, from, stop.0.subscribe()),
                Err(cause) => accept_failed(&cause).await,
            }
        }
        drop(self.listener);
        until(shared.slots.all_free(), &mut stage, Stage::Cut).await;
    }
}

fn cannot_listen(address: SocketAddr, cause: &io::Error) -> Failure {
    let failure = Failure::new(Exit::Unavailable, format!("cannot listen on `{address}`: {cause}"));
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            failure.hint("another program holds this port; stop it, or set `listen` to another port (0 takes a free one)")
        }
        io::ErrorKind::PermissionDenied => failure.hint("ports below 1024 need a privilege; set `listen` to a higher port"),
        io::ErrorKind::AddrNotAvailable => failure.hint("`listen` must be an address of this machine"),
        _ => failure,
    }
}

/// The future's value, or `None` when stopping reaches `limit` first.
async fn until<T>(future: impl Future<Output = T>, stage: &mut watch::Receiver<Stage>, limit: Stage) -> Option<T> {
    tokio::select! {
        biased;
        _ = stage.wait_for(|now| *now >= limit) => None,
        value = future => Some(value),
    }
}

async fn accept_failed(cause: &io::Error) {
    // A connection that was reset while it waited concerns nobody; everything else is a shortage that passes.
    if matches!(cause.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted) {
        return;
    }
    tracing::error!(target: "ops", event = "accept_failed", %cause, "cannot accept connections");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

fn http_rules(limits: HttpLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    // No timer for hyper: its head timeout also runs between requests; the guarded stream tells the two apart.
    http.header_read_timeout(None);
    http.max_header_size(limits.head_bytes_max);
    if limits.head_fields_max != HEAD_FIELDS_DEFAULT {
        http.max_headers(limits.head_fields_max);
    }
    http.max_buf_size(limits.head_bytes_max.max(READ_BUFFER_BYTES_MIN));
    http.half_close(false);
    http
}

struct Shared<E> {
    routes: Arc<Routes<E>>,
    slots: Arc<Slots>,
    refusals: Arc<tokio::sync::Semaphore>,
    http: http1::Builder,
    limits: HttpLimits,
}

impl<E: Endpoint> Shared<E> {
    fn admit(&self, stream: TcpStream, from: SocketAddr, stage: watch::Receiver<Stage>) {
        let Some(slot) = self.slots.take(from.ip()) else {
            return self.refuse(stream, from);
        };
        // Without it the kernel may hold back a small answer until the last one is acknowledged.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let watch = Arc::new(Watch::new(self.limits));
        let doorman = Doorman { routes: Arc::clone(&self.routes), watch: Arc::clone(&watch) };
        let connection = self.http.serve_connection(TokioIo::new(Guarded::new(stream, watch)), doorman);
        tokio::spawn(run(connection, stage, slot));
    }

    fn refuse(&self, mut stream: TcpStream, from: SocketAddr) {
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        tracing::warn!(target: "ops", event = "connection_refused", source = %from.ip(), "too many connections");
        tokio::spawn(async move {
            let _permit = permit;
            let farewell = async {
                stream.write_all(REFUSAL).await?;
                stream.shutdown().await?;
                // Closing with unread bytes would reset the connection before the client has read the answer.
                let mut rest = [0; 1024];
                while stream.read(&mut rest).await? > 0 {}
                io::Result::Ok(())
            };
            let _ = tokio::time::timeout(REFUSAL_LINGER, farewell).await;
        });
    }
}

async fn run<E: Endpoint>(connection: http1::Connection<TokioIo<Guarded>, Doorman<E>>, mut stage: watch::Receiver<Stage>, _slot: Slot) {
    let mut connection = pin!(connection);
    for limit in [Stage::Draining, Stage::Cut] {
        tokio::select! {
            biased;
            // A connection that breaks concerns only its client, who sees it; nothing here to report or repair.
            _ = connection.as_mut() => return,
            _ = stage.wait_for(|now| *now >= limit) => connection.as_mut().graceful_shutdown(),
        }
    }
}

/// Counts open connections, in all and by source address.
struct Slots {
    limits: HttpLimits,
    open: Mutex<Open>,
    freed: Notify,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

impl Slots {
    fn new(limits: HttpLimits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default(), freed: Notify::new() })
    }

    fn take(self: &Arc<Self>, ip: IpAddr) -> Option<Slot> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let here = open.by_ip.get(&ip).copied().unwrap_or(0);
        if open.total >= self.limits.connections_max || here >= self.limits.connections_per_ip_max {
            return None;
        }
        open.total += 1;
        open.by_ip.insert(ip, here + 1);
        Some(Slot { slots: Arc::clone(self), ip })
    }

    async fn all_free(&self) {
        loop {
            let freed = self.freed.notified();
            if self.open.lock().unwrap_or_else(PoisonError::into_inner).total == 0 {
                return;
            }
            freed.await;
        }
    }
}

/// The right to hold one connection open.
struct Slot {
    slots: Arc<Slots>,
    ip: IpAddr,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.slots.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        if let Some(here) = open.by_ip.get_mut(&self.ip) {
            *here -= 1;
            if *here == 0 {
                open.by_ip.remove(&self.ip);
            }
        }
        drop(open);
        self.slots.freed.notify_one();
    }
}
