//! Asking for tools with a connection that the server takes no longer.

use bailiwick_model::Code;
use bailiwick_testkit::provider::{Habits, Provider, RefreshRule};

use super::bench::{Bench, Database};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_list_is_asked_for_again_with_a_renewed_token() {
    let provider = Provider::start(Habits { takes_documents: false, ..Habits::default() });
    let bench = Bench::build(1, Database::Sqlite, "todoist").await;
    let record = bench.active(&provider, |_| {}).await;
    bench.connect(&provider, &record).await;
    let list = async || bench.gateway().connections().list_tools(&bench.scope(), &record, Some(&Bench::ann())).await;

    provider.expire_access_tokens();
    let changes = list().await.unwrap();
    assert_eq!((changes.added, changes.gone), (Vec::new(), Vec::new()));
    assert_eq!(provider.grants("refresh_token").len(), 1);

    provider.revoke_everything();
    let fault = list().await.unwrap_err();
    assert_eq!(fault.code, Code::NeedsAuthorization, "{fault}");
    assert!(fault.remedy.starts_with("connect first"), "{fault}");
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_refresh_token_has_to_be_made_anew() {
    let provider = Provider::start(Habits { takes_documents: false, refresh: RefreshRule::Never, ..Habits::default() });
    let bench = Bench::build(1, Database::Sqlite, "todoist").await;
    let record = bench.active(&provider, |_| {}).await;
    bench.connect(&provider, &record).await;
    provider.expire_access_tokens();
    let fault = bench.gateway().connections().list_tools(&bench.scope(), &record, Some(&Bench::ann())).await.unwrap_err();
    assert_eq!(fault.code, Code::NeedsAuthorization, "{fault}");
    bench.connect(&provider, &record).await;
    bench.gateway().connections().list_tools(&bench.scope(), &record, Some(&Bench::ann())).await.unwrap();
    bench.close().await;
}
