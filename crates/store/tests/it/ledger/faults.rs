//! Disks that are full, broken, read-only or silent: nothing acknowledged is lost, and it works again without a restart.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_store::ledger::{Durability, Ledger, LedgerOptions, Writes};

use super::harness::{Fault, FaultyDisk, HANG, entry, open, options, records};

async fn faulty(dir: &std::path::Path, writes: Writes) -> (Ledger, FaultyDisk) {
    let disk = FaultyDisk::default();
    let ledger = open(LedgerOptions { disk: Arc::new(disk.clone()), writes, hang: HANG, ..options(dir) }).await;
    (ledger, disk)
}

/// Appends until it works again; bounded by the test's own patience.
async fn append_when_repaired(ledger: &Ledger, n: u64) -> u64 {
    for _ in 0..200 {
        match ledger.append(entry(n, Durability::Power)).await {
            Ok(receipt) => return receipt.seq,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("the ledger did not recover: {:?}", ledger.health());
}

/// Every line follows from the one before, and the given entries are all there.
fn assert_intact(dir: &std::path::Path, acknowledged: &[u64]) {
    let records = records(dir);
    for n in acknowledged {
        assert!(records.iter().any(|r| r.contains(&format!("\"n\":{n},"))), "entry {n} is lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn write_faults_are_told_and_survived() {
    for (fault, reason) in [
        (Fault::Error(ErrorKind::StorageFull), "disk full"),
        (Fault::Error(ErrorKind::ReadOnlyFilesystem), "read-only"),
        (Fault::Error(ErrorKind::Other), "input/output error"),
        (Fault::Short(1), "disk full"),
        (Fault::Short(70), "disk full"),
    ] {
        for durability in [Durability::Process, Durability::Power] {
            let dir = tempfile::tempdir().unwrap();
            let (ledger, disk) = faulty(dir.path(), Writes::ByCaller).await;
            ledger.append(entry(1, durability)).await.unwrap();
            disk.write(Some(fault));
            let refused = ledger.append(entry(2, durability)).await.unwrap_err();
            assert!(refused.reason.contains(reason), "{fault:?}: {refused}");
            let refused = ledger.append(entry(3, durability)).await.unwrap_err();
            assert!(refused.reason.contains(reason), "{fault:?}: {refused}");
            assert!(ledger.health().unavailable.unwrap().contains(reason));
            disk.write(None);
            append_when_repaired(&ledger, 4).await;
            assert_eq!(ledger.health().unavailable, None);
            ledger.close().await.unwrap();
            assert_intact(dir.path(), &[1, 4]);
            let records = records(dir.path());
            assert!(!records.iter().any(|r| r.contains("\"n\":2,") || r.contains("\"n\":3,")), "{records:?}");
            assert!(records.iter().any(|r| r.contains("\"resumed\"") && r.contains(reason)), "{records:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_tail_that_cannot_be_cut_keeps_the_ledger_closed() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, disk) = faulty(dir.path(), Writes::ByCaller).await;
    disk.set_len(Some(Fault::Error(ErrorKind::Other)));
    disk.write(Some(Fault::Short(30)));
    ledger.append(entry(1, Durability::Process)).await.unwrap_err();
    disk.write(None);
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ledger.append(entry(2, Durability::Process)).await.unwrap_err();
    }
    disk.set_len(None);
    append_when_repaired(&ledger, 3).await;
    ledger.close().await.unwrap();
    assert_intact(dir.path(), &[3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failed_save_forgot_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, disk) = faulty(dir.path(), Writes::ByCaller).await;
    disk.forgetful();
    disk.sync(Some(Fault::Error(ErrorKind::Other)));
    for n in 1..=20 {
        ledger.append(entry(n, Durability::Process)).await.unwrap();
    }
    let refused = ledger.append(entry(21, Durability::Power)).await.unwrap_err();
    assert!(refused.reason.contains("fsync failed") || refused.reason.contains("input/output error"), "{refused}");
    disk.sync(None);
    append_when_repaired(&ledger, 22).await;
    ledger.close().await.unwrap();
    assert_intact(dir.path(), &(1..=20).chain([22]).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_save_frees_every_waiter_and_stops_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, disk) = faulty(dir.path(), Writes::ByCaller).await;
    disk.sync(Some(Fault::Hang));
    let waiting: Vec<_> = (1..=8).map(|n| tokio::spawn(ledger.append(entry(n, Durability::Power)))).collect();
    for waiter in waiting {
        let refused = waiter.await.unwrap().unwrap_err();
        assert!(refused.reason.contains("hung"), "{refused}");
    }
    for durability in [Durability::Process, Durability::Power] {
        let refused = ledger.append(entry(9, durability)).await.unwrap_err();
        assert_eq!(refused.reason, "fsync hung");
    }
    disk.sync(None);
    append_when_repaired(&ledger, 10).await;
    ledger.close().await.unwrap();
    assert_intact(dir.path(), &[10]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_hung_write_blocks_one_caller_at_most() {
    for writes in [Writes::ByCaller, Writes::ByThread] {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, disk) = faulty(dir.path(), writes).await;
        disk.write(Some(Fault::Hang));
        let blocked = tokio::spawn({
            let ledger = ledger.clone();
            async move { ledger.append(entry(1, Durability::Process)).await }
        });
        tokio::task::spawn_blocking({
            let disk = disk.clone();
            move || disk.wait_for_hang()
        })
        .await
        .unwrap();
        let refused = ledger.append(entry(2, Durability::Process)).await.unwrap_err();
        assert_eq!(refused.reason, "write hung");
        let refused = ledger.append(entry(3, Durability::Power)).await.unwrap_err();
        assert_eq!(refused.reason, "write hung");
        disk.write(None);
        append_when_repaired(&ledger, 4).await;
        let _ = blocked.await.unwrap();
        ledger.close().await.unwrap();
        assert_intact(dir.path(), &[4]);
        assert!(!records(dir.path()).iter().any(|r| r.contains("\"n\":2,")), "an entry whose caller gave up is withdrawn");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_saved_soon_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, disk) = faulty(dir.path(), Writes::ByCaller).await;
    let before = disk.syncs();
    let receipt = ledger.append(entry(1, Durability::Process)).await.unwrap();
    for _ in 0..100 {
        if ledger.health().saved >= receipt.seq {
            assert!(disk.syncs() > before);
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not saved: {:?}", ledger.health());
}
