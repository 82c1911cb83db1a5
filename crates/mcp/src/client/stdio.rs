//! Requests to a child process: one JSON-RPC message a line, many callers at once.

mod group;
mod reader;
mod supervise;
mod table;
mod tail;
mod writer;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use self::group::Group;
use self::table::{Place, Table};
use self::tail::Tail;
use self::writer::{Line, Room};
use super::ask::{Ask, Reply, within};
use super::compose::{Draft, Parts};
use super::fault::{FaultKind, UpstreamFault};
use super::notice::Notices;
use super::options::{Options, StdioCommand};

/// A running child. Dropping it stops the child as [`Pipe::close`] does, without waiting.
pub(crate) struct Pipe {
    outbox: mpsc::Sender<Line>,
    room: Room,
    table: Arc<Table>,
    tail: Arc<Tail>,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
}

impl Pipe {
    /// Starts the child and the tasks that serve it.
    pub(crate) fn start(command: &StdioCommand, options: &Options, notices: Notices) -> Result<Self, UpstreamFault> {
        let (mut child, group) = Group::spawn(command)?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err(UpstreamFault::unsent(FaultKind::Unreachable, "the child has no standard streams"));
        };
        let (table, tail) = (Arc::new(Table::default()), Arc::new(Tail::default()));
        let (outbox, lines) = mpsc::channel(writer::QUEUE_LINES_MAX);
        let (stop, stop_asked) = watch::channel(false);
        let (stopped_word, stopped) = watch::channel(false);
        let reader =
            reader::Reader { table: Arc::clone(&table), outbox: outbox.downgrade(), notices, result_bytes_max: options.result_bytes_max };
        let tasks = supervise::Tasks {
            writer: tokio::spawn(writer::run(input, lines)),
            reader: tokio::spawn(reader.run(output)),
            errors: tokio::spawn({
                let tail = Arc::clone(&tail);
                async move { tail.follow(errors).await }
            }),
        };
        let supervisor = supervise::Supervisor { child, group, tasks, table: Arc::clone(&table), tail: Arc::clone(&tail) };
        tokio::spawn(supervisor.run(stop_asked, stopped_word));
        Ok(Self { outbox, room: Room::default(), table, tail, stop, stopped })
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn ask(&self, ask: &Ask<'_>) -> Result<Reply, UpstreamFault> {
        let (place, outcome) = self.table.enter(ask)?;
        let ticket = Arc::clone(&place.ticket);
        let _withdrawal = Withdrawal { pipe: self, place, id: ask.id, silent: ask.method == "initialize" };
        let work = async {
            let line = Line { parts: ask.body.clone(), ticket: Some(Arc::clone(&ticket)), room: self.room.take(ask.body.len()).await };
            // A closed queue means that the table has ended, or is about to: the outcome tells why.
            let _ = self.outbox.send(line).await;
            outcome.await.unwrap_or_else(|_| Err(UpstreamFault::new(FaultKind::Closed, ticket.is_sent(), "the child ended")))
        };
        let result = within(ask, || ticket.is_sent(), work).await?;
        Ok(Reply { result, session: None })
    }

    /// Sends a notification.
    pub(crate) async fn notify(&self, ask: &Ask<'_>) -> Result<(), UpstreamFault> {
        let work = async {
            let line = Line { parts: ask.body.clone(), ticket: None, room: self.room.take(ask.body.len()).await };
            self.outbox.send(line).await.map_err(|_| UpstreamFault::unsent(FaultKind::Closed, "the child ended"))
        };
        within(ask, || false, work).await
    }

    /// Why the child serves no more, if so.
    pub(crate) fn ended(&self) -> Option<Arc<str>> {
        self.table.ended()
    }

    /// The last words on standard error, escaped.
    pub(crate) fn last_words(&self) -> String {
        self.tail.text()
    }

    /// Stops the child: its input is closed, after 5 s its group is asked to end, after 3 s more it is ended. Returns when it is gone.
    pub(crate) async fn close(&self) {
        self.stop.send_replace(true);
        let mut stopped = self.stopped.clone();
        // An error means that the supervisor itself is gone, and with it the child.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }
}

/// Tells the child that nobody waits for a request any longer.
struct Withdrawal<'a> {
    pipe: &'a Pipe,
    place: Place<'a>,
    id: u64,
    /// `initialize` must not be cancelled (specification 2025-11-25, basic/utilities/cancellation).
    silent: bool,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        if self.place.leave() && !self.silent {
            let notice: Parts = Draft::notification("notifications/cancelled").number("requestId", self.id).end();
            // A full queue: the child does not read, so it would not read this either.
            let _ = self.pipe.outbox.try_send(Line { parts: notice, ticket: None, room: None });
        }
    }
}
