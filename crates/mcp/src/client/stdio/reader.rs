//! The only task that reads what the child writes.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::table::Table;
use super::writer::Line;
use crate::client::fault::UpstreamFault;
use crate::client::http::read::batch;
use crate::client::notice::{self, Heard, Notice, Notices, as_event};
use crate::client::question::decline;
use crate::json::Limits;
use crate::message::{Id, Message, Notification, Request, Response, decode};
use crate::stdio::{Line as Read, LineReader};

/// Messages that answer nobody, within [`STRAYS_WINDOW`]: more of them, and the child only keeps us busy.
const STRAYS_MAX: u32 = 20_000;
const STRAYS_WINDOW: Duration = Duration::from_secs(10);

/// Why reading ended.
#[derive(Debug)]
pub(super) enum End {
    Closed,
    Failed(std::io::Error),
    Flood,
}

impl End {
    pub(super) fn into_reason(self) -> Cow<'static, str> {
        match self {
            Self::Closed => "the child closed its standard output".into(),
            Self::Failed(error) => format!("the child's standard output cannot be read: {error}").into(),
            Self::Flood => {
                format!("the child sent more than {STRAYS_MAX} messages that answer nothing in {} s", STRAYS_WINDOW.as_secs()).into()
            }
        }
    }
}

/// Passes answers, progress and notices to whom they concern.
pub(super) struct Reader {
    pub(super) table: Arc<Table>,
    /// Weak: the queue closes when the callers are gone, whatever this task still reads.
    pub(super) outbox: mpsc::WeakSender<Line>,
    pub(super) notices: Notices,
    pub(super) result_bytes_max: usize,
}

impl Reader {
    pub(super) async fn run(self, output: impl AsyncRead + Unpin) -> End {
        let mut lines = LineReader::new(output);
        let mut strays = Strays { window: Instant::now(), count: 0 };
        loop {
            let answer = match lines.next().await {
                Ok(Read::Text(line)) => self.hear(line),
                Ok(Read::TooLong(_)) => self.too_long(),
                Ok(Read::End) => return End::Closed,
                Err(error) => return End::Failed(error),
            };
            if !answer && strays.one_more(Instant::now()) {
                return End::Flood;
            }
        }
    }

    /// One line. Returns whether it is an answer that somebody waited for.
    fn hear(&self, line: bytes::Bytes) -> bool {
        let limits = Limits { bytes_max: usize::MAX, ..Limits::RESULT };
        // Until 2025-03-26 several messages may come as one array; whoever sends one later means the same.
        if let Some(Ok(messages)) = batch(&line, &limits) {
            return messages.into_iter().fold(false, |answered, message| self.take(message) | answered);
        }
        match decode(line, &limits) {
            Ok(message) => self.take(message),
            Err(error) => match error.id.as_ref().and_then(own_id) {
                Some(id) => {
                    self.table.settle(id, Err(UpstreamFault::protocol(format!("the answer is no JSON-RPC message: {}", error.message))))
                }
                // Some programs print a greeting on standard output; it concerns nobody.
                None => false,
            },
        }
    }

    fn take(&self, message: Message) -> bool {
        match message {
            Message::Response(response) => return self.answer(response),
            Message::Notification(notification) => self.notice(notification),
            Message::Request(request) => self.request(request),
        }
        false
    }

    fn notice(&self, notification: Notification) {
        match notice::sort(notification) {
            Heard::Progress(token, event) => self.table.progress(token, event),
            Heard::Log(event) => self.table.log(event),
            Heard::Notice(notice) => {
                if let (Notice::ElicitationComplete(_), Some(event)) = (&notice, as_event(&notice)) {
                    self.table.tell_asked(event);
                }
                self.notices.tell(notice);
            }
            Heard::Acknowledged(Some(id)) => self.table.acknowledge(id),
            Heard::Acknowledged(None) | Heard::Other => {}
        }
    }

    /// The pipe does not say for which call the child asks: only with one call that takes questions there is no doubt.
    fn request(&self, request: Request) {
        let declined = if request.method == "ping" { Some(request) } else { self.table.ask(request, &self.outbox).err() };
        if let (Some(request), Some(outbox)) = (declined, self.outbox.upgrade()) {
            // A child that does not read what we send cannot expect answers.
            let _ = outbox.try_send(Line { parts: decline(&request), ticket: None, room: None });
        }
    }

    fn answer(&self, response: Response) -> bool {
        let Some(id) = response.id.as_ref().and_then(own_id) else { return false };
        let outcome = match response.outcome {
            Ok(result) if result.len() > self.result_bytes_max => {
                Err(UpstreamFault::too_large(format!("the answer is larger than {} bytes", self.result_bytes_max)))
            }
            outcome => outcome.map_err(UpstreamFault::rpc),
        };
        self.table.settle(id, outcome)
    }

    /// The line is gone, and with it the word whom it was for; with one caller there is no doubt.
    fn too_long(&self) -> bool {
        let fault = || UpstreamFault::too_large("the answer is longer than a line may be");
        self.table.only().is_some_and(|id| self.table.settle(id, Err(fault())))
    }
}

fn own_id(id: &Id) -> Option<u64> {
    match id {
        Id::Integer(id) => u64::try_from(*id).ok(),
        Id::Unsigned(id) => Some(*id),
        Id::Text(_) => None,
    }
}

/// Counts what concerns nobody.
struct Strays {
    window: Instant,
    count: u32,
}

impl Strays {
    /// Returns whether it is a flood.
    fn one_more(&mut self, now: Instant) -> bool {
        if now.duration_since(self.window) >= STRAYS_WINDOW {
            *self = Self { window: now, count: 0 };
        }
        self.count += 1;
        self.count > STRAYS_MAX
    }
}
