//! What changes while a client listens: lists of its view, and resources that it watches (protocol reference 2.7 and 5.1).
//!
//! One [`Listener`] serves `subscriptions/listen` of 2026-07-28, the GET stream of older sessions, and older clients over stdio.

mod door;
mod session;
mod watch;

pub(crate) use door::{Standing, is_listen, modern, over_pipe};
pub(crate) use session::stand;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bailiwick_mcp::{Json, method};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{mpsc, watch as channel};

use crate::bailiwick::Lens;
use crate::call::authenticate::Caller;
use crate::catalog::{List, View};
use crate::mask::Mask;
use watch::{Ear, Watch};

/// Updates that wait for a slow client; more are dropped: the next one says the same.
const UPDATES_QUEUED_MAX: usize = 64;
/// Resources that one listener may watch.
pub(crate) const WATCHED_MAX: usize = bailiwick_store::SUBSCRIPTIONS_PER_SESSION_MAX;

/// What a client wants to hear of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
    /// As the client calls them.
    pub(crate) uris: Vec<String>,
}

/// Something changed: a notification without what belongs to the client's own hop.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) method: &'static str,
    pub(crate) params: Option<Json>,
}

/// One client's ear.
pub(crate) struct Listener {
    caller: Arc<Caller>,
    lens: Lens,
    wanted: Wanted,
    seen: Arc<View>,
    changes: channel::Receiver<u64>,
    /// At the endpoint of one server: its own words, passed on whether or not anything really changed, when the lists are those they mean.
    announced: Option<broadcast::Receiver<&'static str>>,
    updates: mpsc::Receiver<News>,
    ear: Ear,
    watched: HashMap<String, Watch>,
    waiting: VecDeque<News>,
}

impl Listener {
    /// Starts to listen. Resources that do not exist, may not be read or cannot be watched are left out; [`Self::wanted`] says what is left.
    pub(crate) async fn start(caller: &Arc<Caller>, lens: &Lens, mask: &Arc<Mask>, wanted: Wanted) -> Self {
        // Before the view is taken: a change between the two is then seen.
        let changes = caller.bailiwick().changes().subscribe();
        let seen = caller.bailiwick().view(lens).await;
        let (tell, updates) = mpsc::channel(UPDATES_QUEUED_MAX);
        let ear = Ear { tell, mask: mask.clone() };
        let (caller, lens) = (caller.clone(), lens.clone());
        let (watched, waiting) = (HashMap::new(), VecDeque::new());
        let uris = wanted.uris.clone();
        let announced = lens.as_ref().and_then(|_| seen.servers().first()).map(|server| server.relisted());
        let mut listener = Self { caller, lens, wanted, seen, changes, announced, updates, ear, watched, waiting };
        listener.watch(uris).await;
        listener
    }

    /// Watches these resources and no others.
    pub(crate) async fn watch(&mut self, uris: Vec<String>) {
        let keep: HashSet<&String> = uris.iter().take(WATCHED_MAX).collect();
        self.watched.retain(|uri, _| keep.contains(uri));
        for uri in uris.iter().take(WATCHED_MAX) {
            if self.watched.contains_key(uri) {
                continue;
            }
            if let Some(watch) = Watch::start(&self.caller, &self.seen, uri, &self.ear).await {
                self.watched.insert(uri.clone(), watch);
            }
        }
        self.wanted.uris = uris.into_iter().filter(|uri| self.watched.contains_key(uri)).collect();
    }

    /// What is listened to.
    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The next change; `None` when the gateway is gone.
    pub(crate) async fn next(&mut self) -> Option<News> {
        loop {
            if let Some(news) = self.waiting.pop_front() {
                return Some(news);
            }
            tokio::select! {
                biased;
                method = announcement(&mut self.announced) => {
                    // What it means is most often a change that the views show too; it is told once.
                    self.compare().await;
                    if self.wants(method) && !self.waiting.iter().any(|news| news.method == method) {
                        self.waiting.push_back(News { method, params: None });
                    }
                }
                changed = self.changes.changed() => {
                    changed.ok()?;
                    self.compare().await;
                }
                news = self.updates.recv() => return news,
            }
        }
    }

    fn wants(&self, method: &str) -> bool {
        match method {
            method::TOOLS_CHANGED => self.wanted.tools,
            method::PROMPTS_CHANGED => self.wanted.prompts,
            _ => self.wanted.resources,
        }
    }

    /// A new generation says that something changed; the views say what.
    async fn compare(&mut self) {
        let view = self.caller.bailiwick().view(&self.lens).await;
        let lists = [
            (self.wanted.tools, &[List::Tools][..], method::TOOLS_CHANGED),
            (self.wanted.prompts, &[List::Prompts], method::PROMPTS_CHANGED),
            (self.wanted.resources, &[List::Resources, List::Templates], method::RESOURCES_CHANGED),
        ];
        for (wanted, lists, method) in lists {
            if wanted && lists.iter().any(|list| !view.same_list(&self.seen, *list)) {
                self.waiting.push_back(News { method, params: None });
            }
        }
        self.seen = view;
    }
}

/// The next announcement of a list. Never, when nobody announces anything.
async fn announcement(announced: &mut Option<broadcast::Receiver<&'static str>>) -> &'static str {
    loop {
        let Some(methods) = announced else { return std::future::pending().await };
        match methods.recv().await {
            Ok(method) => return method,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => *announced = None,
        }
    }
}
