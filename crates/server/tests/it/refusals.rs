//! Starts that must be refused: clear message, right exit code, nothing left half-started.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use bailiwick_testkit::app::App;

use crate::scene::{CONFIGURATION, setup, talk};

#[test]
fn a_public_address_without_authentication() {
    let setup = setup("auth: none\n").config(&format!("{}auth: none\n", CONFIGURATION.replace("127.0.0.1", "0.0.0.0")));
    let line = CONFIGURATION.lines().count() + 1;
    let config = setup.place().join("bailiwick.yml").display().to_string();
    let state = setup.place().join("state");
    let output = setup.refused();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        talk(&output),
        format!(
            "error: the configuration is not valid\n\n\
             error: without authentication the gateway listens on a loopback address only\n --> {config}:{line}:7  auth\n  |\n\
             {line} | auth: none\n  |       ^^^^\n  = hint: write `auth: key`, or `listen: 127.0.0.1:8700`\n"
        )
    );
    assert!(!state.exists());
}

#[test]
fn the_same_from_the_command_line() {
    let setup = setup("auth: none\n");
    let output = setup.command(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        talk(&output),
        "error: `auth: none` and the address `0.0.0.0:0` do not go together: anybody who reaches it could call\n\
         hint: use `auth: key`, or listen on a loopback address such as `127.0.0.1:8700`\n"
    );
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let setup = App::program(env!("CARGO_BIN_EXE_bailiwick")).config(&CONFIGURATION.replace("127.0.0.1:{port}", &address.to_string()));
    let setup = setup.file("manifests/reader.yml", crate::scene::READER);
    let state = setup.place().join("state");
    let output = setup.refused();
    assert_eq!(output.status.code(), Some(6));
    assert_eq!(
        talk(&output),
        format!(
            "error: cannot listen on `{address}`: Address already in use (os error 98)\n\
             hint: another program holds this port; stop it, or set `listen` to another port (0 takes a free one)\n"
        )
    );
    assert!(!state.exists(), "nothing was opened");
}

#[test]
fn places_that_cannot_be_used() {
    let in_the_way = setup("");
    in_the_way.place().file("state", "a file");
    let state = in_the_way.place().join("state").display().to_string();
    let output = in_the_way.refused();
    assert_eq!(output.status.code(), Some(6));
    assert_eq!(
        talk(&output),
        format!(
            "error: cannot use the directory `{state}`: File exists (os error 17)\n\
             hint: it must be a directory that this user owns and may write; `state_dir` names another one\n"
        )
    );

    let open = setup("");
    let state = open.place().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = open.refused();
    assert_eq!(output.status.code(), Some(6));
    assert_eq!(
        talk(&output),
        format!(
            "error: the directory `{0}` may be written by other users (mode 777)\nhint: run `chmod 700 {0}`, or name another one as `state_dir`\n",
            state.display()
        )
    );

    let key = setup("");
    key.place().file("root.key", "not a key");
    let output = key.refused();
    assert_eq!(output.status.code(), Some(2), "{}", talk(&output));
    assert!(talk(&output).contains("root.key") && talk(&output).contains("hint: "), "{}", talk(&output));

    let database = setup("");
    database.place().file("state/bailiwick.db", "this is no database, but it is long enough to be looked at".repeat(100));
    let state = database.place().join("state");
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).unwrap();
    let output = database.refused();
    assert_eq!(output.status.code(), Some(1), "{}", talk(&output));
    assert!(talk(&output).starts_with("error: ") && talk(&output).contains("hint: "), "{}", talk(&output));
}

#[test]
fn broken_configurations_name_every_mistake() {
    let setup = setup("lsiten: 1\nlimits: {connections_max: many}\n");
    let state = setup.place().join("state");
    let output = setup.refused();
    assert_eq!(output.status.code(), Some(2));
    let talk = talk(&output);
    for part in [
        "error: the configuration is not valid\n",
        "unknown key `lsiten`",
        "hint: did you mean `listen`?",
        "limits.connections_max",
        "bailiwick.yml:6:1",
    ] {
        assert!(talk.contains(part), "{part} in {talk}");
    }
    assert!(!state.exists());
}

#[test]
fn manifests_that_do_not_fit() {
    let twice = setup("").file("manifests/again.yml", crate::scene::READER);
    let output = twice.refused();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        talk(&output).contains("are both for agent type `reader`") && talk(&output).contains("hint: keep one manifest for each agent type")
    );

    let nothing = App::program(env!("CARGO_BIN_EXE_bailiwick")).config(CONFIGURATION);
    std::fs::create_dir(nothing.place().join("manifests")).unwrap();
    let directory = nothing.place().join("manifests").display().to_string();
    let output = nothing.refused();
    assert_eq!(
        (output.status.code(), talk(&output)),
        (
            Some(2),
            format!(
                "error: `manifests` entry `manifests/*.yml` matches no file in `{directory}`\nhint: put a manifest there, or remove the entry\n"
            )
        )
    );
}
