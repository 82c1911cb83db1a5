//! The main stories of an operator and his agents, the same on both databases.

use std::time::{Duration, Instant};

use bailiwick_testkit::client::{Era, Fault};
use bailiwick_testkit::postgres::Postgres;
use bailiwick_testkit::upstream::{Behaviour, FakeUpstream};
use serde_json::{Value, json};

use crate::base::{Base, on_both, wait_for_tool};
use crate::scene::{client, code, started, talk, text};

on_both! { agents_work_are_refused_and_found_on_the_ledger, a_revoked_key_stops_within_a_second }

async fn agents_work_are_refused_and_found_on_the_ledger(base: &Base<'_>) {
    let upstream = FakeUpstream::start(Behaviour::default());
    let (mut app, [reader, writer, worker]) =
        started(base.setup_before(&upstream), [("r-1", "reader"), ("a-1", "writer"), ("w-1", "worker")]);
    for era in Era::ALL {
        let (reader, writer) = (client(&app, &reader, era), client(&app, &writer, era));
        for client in [&reader, &writer] {
            client.open().await.unwrap();
        }
        let (reads, writes) = (reader.tool_names().await.unwrap(), writer.tool_names().await.unwrap());
        assert!(reads.iter().all(|name| name != "files_write_file") && writes.iter().any(|name| name == "files_write_file"));
        let note = json!({"path": "note.txt", "content": format!("{era:?}")});
        let written = writer.call("files_write_file", note.clone()).await.unwrap();
        assert_ne!(written["isError"], true, "{written}");
        assert_eq!(app.place().read("files/agents/a-1/note.txt"), format!("{era:?}"));
        let hidden = reader.call("files_write_file", note).await.unwrap_err();
        assert_eq!(hidden.code(), Some(-32602), "{hidden}");
        let escape = writer.call("files_read_file", json!({"path": "../r-1/secret.txt"})).await.unwrap();
        assert_eq!(code(&escape), "path_refused", "{escape}");
    }
    let worker = client(&app, &worker, Era::Modern);
    wait_for_tool(&worker, "fake__echo").await;
    let echoed = worker.call("fake__echo", json!({"payload": "hi"})).await.unwrap();
    assert_eq!(text(&echoed), "hi");
    let escape = worker.call("fake__none", json!({})).await.unwrap_err();
    assert_eq!(escape.code(), Some(-32602));
    assert_eq!(app.terminate().code(), Some(0), "{}", app.stderr());

    let rows = |args: &[&str]| -> Vec<Value> {
        let output = app.command(&[&["audit", "list", "-o", "json"], args].concat());
        assert!(output.status.success(), "{}", talk(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let eras = Era::ALL.len();
    assert_eq!(rows(&["--tool", "files_write_file", "--agent", "a-1"]).len(), eras);
    assert_eq!(rows(&["--agent", "r-1", "--failed"]).len(), eras);
    let escapes = rows(&["--code", "path_refused"]);
    assert_eq!(escapes.len(), eras);
    assert_eq!(rows(&["--tool", "fake__echo"])[0]["ok"], true);
    let event = escapes[0]["event_id"].as_str().unwrap();
    let shown = app.command(&["audit", "show", event, "-o", "json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((&shown["agent_id"], &shown["ok"], &shown["org"]), (&json!("a-1"), &json!(false), &json!("default")));
    let proof = app.command(&["audit", "verify"]);
    assert_eq!(proof.status.code(), Some(0), "{}", talk(&proof));
}

async fn a_revoked_key_stops_within_a_second(base: &Base<'_>) {
    let (app, [key, other]) = started(base.setup(""), [("r-1", "reader"), ("a-1", "writer")]);
    let (revoked, lasting) = (client(&app, &key, Era::Modern), client(&app, &other, Era::Modern));
    revoked.call("files_list_dir", json!({})).await.unwrap();
    let id = key.split('_').nth(1).unwrap();
    let output = app.command(&["key", "revoke", id, "--yes"]);
    let began = Instant::now();
    assert!(output.status.success(), "{}", talk(&output));
    let fault = loop {
        match revoked.call("files_list_dir", json!({})).await {
            Err(fault) => break fault,
            Ok(_) => assert!(began.elapsed() < Duration::from_secs(1), "still works after {:?}", began.elapsed()),
        }
    };
    assert!(matches!(fault, Fault::Rpc { status: Some(401), .. } | Fault::Status(401, _)), "{fault}");
    lasting.call("files_list_dir", json!({})).await.unwrap();
}

/// On SQLite the same is `audit::one_flipped_bit_is_found_wherever_it_is`.
#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_bit_is_found_on_postgres() {
    let Some(server) = Postgres::shared() else { return };
    let base = Base::at(server, "one_flipped_bit_is_found");
    let Base::Postgres(_, database) = &base else { unreachable!() };
    let (mut app, [key]) = started(base.setup(""), [("a-1", "writer")]);
    let agent = client(&app, &key, Era::Modern);
    for number in 0..2 {
        agent.call("files_write_file", json!({"path": format!("{number}.txt"), "content": "x"})).await.unwrap();
    }
    assert_eq!(app.terminate().code(), Some(0));
    let verify = || app.command(&["audit", "verify"]);
    assert_eq!(verify().status.code(), Some(0));
    let sizes = server.sql(database, "SELECT writer, seq, length(bytes) FROM ledger_records ORDER BY writer, seq");
    let mut flips = 0;
    for (number, line) in sizes.lines().enumerate() {
        let [writer, seq, length] = line.split('|').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let last = length.parse::<usize>().unwrap() - 1;
        for (column, at) in [("bytes", 0), ("bytes", number * 37 % last), ("bytes", last), ("hash", number * 7 % 32)] {
            let flip = format!(
                "UPDATE ledger_records SET {column} = set_byte({column}, {at}, get_byte({column}, {at}) # 16) WHERE writer = '{writer}' AND seq = {seq}"
            );
            server.sql(database, &flip);
            let output = verify();
            assert!(matches!(output.status.code(), Some(1 | 2 | 4)), "{column} {at} of {seq}: {:?} {}", output.status, talk(&output));
            assert!(talk(&output).contains(&format!("writer {writer}, record {seq}: ")), "{column} {at} of {seq}: {}", talk(&output));
            server.sql(database, &flip);
            flips += 1;
        }
    }
    assert_eq!(verify().status.code(), Some(0));
    eprintln!("{flips} flips in {} records were found", sizes.lines().count());
}
