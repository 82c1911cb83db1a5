//! Which writer of the ledger in the database is ours.

use std::sync::Arc;

use sqlx::{AnyConnection, Row};

use super::chain::Chain;
use super::{LOCK_CLASS, writer_of};
use crate::error::{StoreError, StoreErrorKind, StoreResult};
use crate::ledger::chain::{GENESIS, Hash, Link};
use crate::ledger::claim::WRITERS_MAX;
use crate::ledger::merkle::Range;
use crate::ledger::record::Begin;
use crate::pool;
use crate::store::Store;

/// The origin of the ledger in this database: what its first begin record says, and otherwise `name`.
pub(super) async fn origin(store: &Store, name: &str) -> StoreResult<String> {
    let mut connection = pool::connect_alone(store.database()).await?;
    let row = sqlx::query("SELECT bytes FROM ledger_records WHERE seq = 1 ORDER BY writer LIMIT 1").fetch_optional(&mut connection).await?;
    let first: Option<Vec<u8>> = row.map(|row| row.try_get("bytes")).transpose()?;
    Ok(first.and_then(|record| Begin::read(&record)).map_or_else(|| name.to_owned(), |begin| begin.origin))
}

/// Takes the first writer that is free and undamaged; also says which were damaged.
pub(super) async fn claim(store: &Store, origin: &Arc<str>) -> StoreResult<(Chain, Vec<String>)> {
    let mut connection = pool::connect_alone(store.database()).await?;
    let pid = backend_pid(&mut connection).await?;
    let mut damaged = Vec::new();
    for number in 1..=i32::try_from(WRITERS_MAX).unwrap_or(i32::MAX) {
        if !try_lock(&mut connection, number).await? {
            continue;
        }
        match state(&mut connection, number).await? {
            Ok((link, tree, begun)) => {
                let mut chain = Chain::new(connection, pid, number, Arc::clone(origin), link, tree, begun);
                chain.find_open().await?;
                return Ok((chain, damaged));
            }
            Err(what) => {
                tracing::error!(number, what, "this part of the ledger is damaged; it is left as it is and not continued");
                damaged.push(what);
            }
        }
    }
    let message = "all writers of the ledger in this database are in use or damaged";
    Err(StoreError::new(StoreErrorKind::Unavailable, message, "stop replicas that are not needed"))
}

/// Takes `number` again after the connection was lost. The lock may still be held by our own lost session, which is then ended.
/// When another process has taken the writer up, another one is claimed.
pub(super) async fn reclaim(store: &Store, origin: &Arc<str>, number: i32, old_pid: i32) -> StoreResult<Chain> {
    let mut connection = pool::connect_alone(store.database()).await?;
    let pid = backend_pid(&mut connection).await?;
    if !try_lock(&mut connection, number).await? {
        if holder(&mut connection, number).await? != Some(old_pid) {
            return claim(store, origin).await.map(|(chain, _)| chain);
        }
        sqlx::query("SELECT pg_terminate_backend($1)").bind(old_pid).execute(&mut connection).await?;
        let message = "the lost session still holds the writer of the ledger";
        return Err(StoreError::new(StoreErrorKind::Locked, message, "it is being ended; wait a moment"));
    }
    match state(&mut connection, number).await? {
        Ok((link, tree, begun)) => {
            let mut chain = Chain::new(connection, pid, number, Arc::clone(origin), link, tree, begun);
            chain.find_open().await?;
            Ok(chain)
        }
        Err(what) => Err(StoreError::corrupt(what)),
    }
}

async fn backend_pid(connection: &mut AnyConnection) -> StoreResult<i32> {
    Ok(sqlx::query("SELECT pg_backend_pid() AS pid").fetch_one(connection).await?.try_get("pid")?)
}

async fn try_lock(connection: &mut AnyConnection, number: i32) -> StoreResult<bool> {
    let statement = "SELECT CASE WHEN pg_try_advisory_lock($1, $2) THEN 1 ELSE 0 END AS taken";
    let row = sqlx::query(statement).bind(LOCK_CLASS).bind(number).fetch_one(connection).await?;
    Ok(row.try_get::<i32, _>("taken")? == 1)
}

async fn holder(connection: &mut AnyConnection, number: i32) -> StoreResult<Option<i32>> {
    let statement = "SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND classid::bigint = $1 AND objid::bigint = $2 AND granted \
         AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())";
    let row = sqlx::query(statement).bind(i64::from(LOCK_CLASS)).bind(i64::from(number)).fetch_optional(connection).await?;
    Ok(row.map(|row| row.try_get("pid")).transpose()?)
}

/// Where the chain stands; or what is wrong with it.
async fn state(connection: &mut AnyConnection, number: i32) -> StoreResult<Result<(Link, Range, u64), String>> {
    let writer = writer_of(number);
    sqlx::query("INSERT INTO ledger_writers (writer, begun, epoch, seq, head, tree) VALUES ($1, 0, 0, 0, $2, $3) ON CONFLICT DO NOTHING")
        .bind(writer.as_str().to_owned())
        .bind(GENESIS.to_vec())
        .bind(Vec::<u8>::new())
        .execute(&mut *connection)
        .await?;
    let statement = "SELECT w.begun, w.epoch, w.seq, w.head, w.tree, coalesce(r.seq, 0) AS last, r.hash, \
         (SELECT coalesce(max(c.size), 0) FROM ledger_checkpoints c WHERE c.writer = w.writer) AS covered \
         FROM ledger_writers w LEFT JOIN (SELECT seq, hash FROM ledger_records WHERE writer = $1 ORDER BY seq DESC LIMIT 1) r ON true \
         WHERE w.writer = $1";
    let row = sqlx::query(statement).bind(writer.as_str().to_owned()).fetch_one(&mut *connection).await?;
    let number = |name: &str| Ok::<u64, StoreError>(row.try_get::<i64, _>(name)?.unsigned_abs());
    let (seq, last, covered) = (number("seq")?, number("last")?, number("covered")?);
    let head: Option<Hash> = row.try_get::<Vec<u8>, _>("head")?.try_into().ok();
    let hash: Option<Vec<u8>> = row.try_get("hash")?;
    let tree: Vec<u8> = row.try_get("tree")?;
    let nodes = tree.chunks(32).map(|node| Hash::try_from(node).ok()).collect::<Option<Vec<_>>>();
    let tree = nodes.and_then(|nodes| Range::from_parts(seq, nodes));
    let (Some(head), Some(tree)) = (head, tree) else { return Ok(Err(format!("the state of {writer} cannot be read"))) };
    if seq != last || hash.is_some_and(|hash| hash != head) || covered > seq {
        return Ok(Err(format!("{writer} should end at record {} but ends at {last}", seq.max(covered))));
    }
    Ok(Ok((Link { writer, epoch: number("epoch")?, seq, head }, tree, number("begun")?)))
}
