//! The databases that a story runs on.

use bailiwick_store::DatabaseUrl;
use bailiwick_testkit::app::AppSetup;
use bailiwick_testkit::client::Client;
use bailiwick_testkit::place::Place;
use bailiwick_testkit::postgres::{Postgres, TestDatabase};
use bailiwick_testkit::upstream::FakeUpstream;
use std::time::{Duration, Instant};

use crate::scene;

/// A manifest of an agent that may call everything at the server `fake`.
const WORKER: &str = "\
agent_type: worker
servers: {fake: {}}
";

/// Where the program of a story keeps what it knows.
pub(crate) enum Base<'s> {
    Sqlite,
    Postgres(&'s Postgres, TestDatabase),
}

impl<'s> Base<'s> {
    /// SQLite in the state directory.
    pub(crate) fn sqlite(story: &str) -> Self {
        eprintln!("{story} on SQLite");
        Self::Sqlite
    }

    /// A fresh database of a plain role, at the server of this test process.
    pub(crate) fn postgres(story: &str) -> Option<Self> {
        Postgres::shared().map(|server| Self::at(server, story))
    }

    /// A fresh database of a plain role at `server`.
    pub(crate) fn at(server: &'s Postgres, story: &str) -> Self {
        eprintln!("{story} on PostgreSQL");
        Self::Postgres(server, server.database())
    }

    /// The same database for the store itself; `place` is the program's private directory.
    pub(crate) fn database(&self, place: &Place) -> DatabaseUrl {
        match self {
            Self::Sqlite => DatabaseUrl::sqlite(&place.join("state/bailiwick.db")).unwrap(),
            Self::Postgres(_, database) => DatabaseUrl::parse(&database.url).unwrap(),
        }
    }

    /// The program with the two usual kinds of agents, on this database. `more` is added to the configuration.
    pub(crate) fn setup(&self, more: &str) -> AppSetup {
        match self {
            Self::Sqlite => scene::setup(more),
            Self::Postgres(_, database) => scene::setup(&format!("database: '{}'\n{more}", database.url)),
        }
    }

    /// The same with a server behind it and agents of type `worker` that may call it.
    pub(crate) fn setup_before(&self, upstream: &FakeUpstream) -> AppSetup {
        self.setup_before_with(upstream, "")
    }

    /// The same; `more` is added to the configuration.
    pub(crate) fn setup_before_with(&self, upstream: &FakeUpstream, more: &str) -> AppSetup {
        let servers = format!("servers:\n  fake:\n    url: {}\n    allow_private: [127.0.0.0/8]\n{more}", upstream.url());
        self.setup(&servers).file("manifests/worker.yml", WORKER)
    }
}

/// Asks for the list until `tool` is in it.
pub(crate) async fn wait_for_tool(client: &Client, tool: &str) {
    let began = Instant::now();
    while !client.tool_names().await.unwrap().iter().any(|name| name == tool) {
        assert!(began.elapsed() < Duration::from_secs(10), "`{tool}` never appears: {:?}", client.tool_names().await);
    }
}

/// Declares for each story a test on SQLite and one on PostgreSQL.
macro_rules! on_both {
    ($($story:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(&crate::base::Base::sqlite(stringify!($story))).await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                let Some(base) = crate::base::Base::postgres(stringify!($story)) else { return };
                super::$story(&base).await;
            })*
        }
    };
}
pub(crate) use on_both;
