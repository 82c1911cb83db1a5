//! [`App`] with a stand-in program: a shell script that starts the fake server on the port of the configuration.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use bailiwick_testkit::app::{App, ended_by, http_status};
use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::place::Place;
use bailiwick_testkit::program::fake_upstream;
use rustix::process::Signal;

fn stand_in(place: &Place, serve: &str) -> PathBuf {
    let script = format!(
        "#!/bin/sh\nFAKE={}\ncase \"$1\" in\nkey) echo \"token for $4\" >&2; echo bw_$4 ;;\nserve) {serve} ;;\n*) exit 2 ;;\nesac\n",
        fake_upstream().display()
    );
    let path = place.file("bailiwick", script);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

#[tokio::test]
async fn starts_answers_dies_and_comes_back() {
    let place = Place::new();
    let program = stand_in(&place, "echo \"state in $STATE\" >&2; exec $FAKE --listen \"$(cat \"$3\")\"");
    let mut app = App::program(program).config("{port}").file("a/b.yml", "dir: {dir}").env("STATE", "here").start();
    assert_eq!(app.place().read("a/b.yml"), format!("dir: {}", app.place().path().display()));
    assert_eq!(app.key("build-01", "build"), "bw_build-01");
    Client::http(&app.mcp_url(), Era::Modern).open().await.unwrap();
    assert!(app.stderr().contains("state in here"));
    app.kill();
    assert!(Client::http(&app.mcp_url(), Era::Modern).open().await.is_err());
    assert!(app.restart() < bailiwick_testkit::app::READY_WAIT);
    assert!(app.terminate().success());
    app.restart();
    app.signal(Signal::KILL);
    assert!(ended_by(app.wait_for_end(), Signal::KILL));
    let port = app.base_url().rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!(http_status(port, "/readyz"), None);
}

#[test]
fn a_refusal_to_start_is_reported_whole() {
    let place = Place::new();
    let output = App::program(stand_in(&place, "echo out; echo 'error: no' >&2; exit 2")).config("").refused();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"error: no\n"[..]));
}

#[test]
#[should_panic(expected = "ended at its start with exit status: 3\nerror: broken")]
fn a_program_that_does_not_start_ends_the_test_with_its_words() {
    let place = Place::new();
    let _ = App::program(stand_in(&place, "echo 'error: broken' >&2; sleep 0.1; exit 3")).config("").start();
}
