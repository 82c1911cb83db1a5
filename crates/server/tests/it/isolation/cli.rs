//! One command against the gateway, by somebody who has nothing but its address and a key. Commands on the machine's own database are the
//! operator's, who may read all of it anyway: they are no way across.

use std::collections::BTreeMap;
use std::process::Stdio;

use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::place::Place;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::attack::Attack;
use super::dice::Dice;
use super::pool::{Kind, is_crew};
use super::tally::{Face, Outcome};
use super::world::{ACME, BELLUM};

/// Commands; a word in capital letters stands for a value. `--org` is added to those that end with `@`.
pub(crate) const COMMANDS: [&str; 42] = [
    "org list",
    "org show ORG",
    "user add FRESH @",
    "user list @",
    "user show SUB @",
    "user role SUB member @",
    "group create FRESH --name FRESH @",
    "group list @",
    "group add GROUP SUB @",
    "group members GROUP @",
    "group remove GROUP SUB @",
    "agent create FRESH --agent-type reader @",
    "agent list @",
    "agent show AGENT @",
    "agent assign AGENT --group data --role member @",
    "agent disable AGENT @",
    "agent enable AGENT @",
    "key create --agent-id worker --note FRESH @",
    "key list @",
    "key rotate KEY @",
    "key revoke KEY --yes @",
    "secret set SECRET @",
    "secret list @",
    "secret rm SECRET --yes @",
    "user remove SUB --yes @",
    "group delete GROUP --yes @",
    "instruction set rule SLUG --file - --title FRESH @",
    "instruction list @",
    "instruction show rule SLUG @",
    "instruction history rule SLUG @",
    "instruction revert rule SLUG 1 @",
    "instruction delete rule SLUG --yes @",
    "run-log list @",
    "run-log show RUN @",
    "run-log finish RUN --reason FRESH @",
    "feedback give gap missing_tool FRESH @",
    "feedback list @",
    "feedback resolve REPORT FRESH @",
    "org create FRESH",
    "platform-admin list",
    "platform-admin add SUB @",
    "platform-admin remove SUB --yes",
];
/// Those that administrators of an organisation cannot do, or not from elsewhere.
const REFUSED: [&str; 4] = ["org create", "platform-admin list", "platform-admin add", "platform-admin remove"];

/// Those that have to succeed now and then.
pub(crate) fn possible() -> Vec<String> {
    COMMANDS
        .iter()
        .filter(|command| !REFUSED.iter().any(|refused| command.starts_with(refused)))
        .map(|command| (*command).to_owned())
        .collect()
}

/// Those that can only be refused to somebody without a key.
const OPEN: [&str; 1] = ["org list"];
/// What has to be there before a command can succeed: the word for it, and the command that makes it.
const MAKERS: [(&str, &str); 5] = [
    ("SUB", "user add SUB @"),
    ("GROUP", "group create GROUP @"),
    ("AGENT", "agent create AGENT --agent-type reader @"),
    ("SECRET", "secret set SECRET @"),
    ("SLUG", "instruction set rule SLUG --file - @"),
];
/// The same for what gets its name only when it is made; the last word is the member of the answer that has it.
const IDS: [(&str, &str); 2] =
    [("KEY", "key create --agent-id worker --output json @"), ("REPORT", "feedback give gap other FRESH --output json @")];

/// Those that have to be refused now and then.
pub(crate) fn refusable() -> Vec<String> {
    COMMANDS.iter().filter(|command| !OPEN.contains(command)).map(|command| (*command).to_owned()).collect()
}

pub(crate) async fn one(attack: &Attack, dice: &mut Dice, number: usize) {
    let (round, command) = (number / COMMANDS.len(), COMMANDS[number % COMMANDS.len()]);
    if round.is_multiple_of(2) { honestly(attack, dice, command).await } else { hostilely(attack, dice, command, round).await }
}

/// Makes what the command needs, and does it.
async fn honestly(attack: &Attack, dice: &mut Dice, command: &str) {
    let key = attack.key("ann").to_owned();
    let mut values: BTreeMap<&str, String> = BTreeMap::from([("ORG", ACME.org.to_owned()), ("@", ACME.org.to_owned())]);
    for (word, maker) in IDS.iter().filter(|(word, _)| command.contains(word)) {
        let made = run(attack, &filled(dice, maker, &values), Some(&key)).await;
        let made: Value = serde_json::from_slice(&made.stdout).unwrap_or_default();
        values.insert(word, made["id"].as_str().unwrap_or_default().to_owned());
    }
    if command.contains("RUN") {
        values.insert("RUN", started(attack, &key).await);
    }
    for (word, maker) in MAKERS.iter().filter(|(word, _)| command.split(' ').any(|of| of == *word)) {
        let name = dice.fresh();
        values.insert(word, if *word == "SECRET" { name.to_uppercase().replace('-', "_") } else { name });
        run(attack, &filled(dice, maker, &values), Some(&key)).await;
    }
    if command.starts_with("group remove") {
        run(attack, &filled(dice, "group add GROUP SUB @", &values), Some(&key)).await;
    }
    let output = run(attack, &filled(dice, command, &values), Some(&key)).await;
    attack.tally.note(Face::Cli, command, Outcome::of(output.status.success()));
}

/// A run of one's own; no command starts one.
async fn started(attack: &Attack, key: &str) -> String {
    let client = Client::http(&format!("{}/mcp", attack.base_url), Era::Modern).bearer(key);
    let run = client.call("run_start", json!({"label": "from elsewhere"})).await.unwrap_or_default();
    run["structuredContent"]["run_id"].as_str().unwrap_or_default().to_owned()
}

/// By anybody, mostly on the other organisation, with whatever names.
async fn hostilely(attack: &Attack, dice: &mut Dice, command: &str, round: usize) {
    let org = if round > 1 && dice.percent(20) { ACME.org } else { BELLUM.org };
    let (_, key) = attack.anybody(dice);
    let mut values: BTreeMap<&str, String> = BTreeMap::from([("ORG", org.to_owned()), ("@", org.to_owned())]);
    let kinds = [
        ("SUB", Kind::Sub),
        ("GROUP", Kind::Group),
        ("AGENT", Kind::Agent),
        ("KEY", Kind::Key),
        ("SECRET", Kind::Secret),
        ("SLUG", Kind::Slug),
        ("RUN", Kind::Run),
        ("REPORT", Kind::Feedback),
    ];
    for (word, kind) in kinds {
        let value = attack.pool.any(dice, kind);
        let needed = value.eq_ignore_ascii_case(BELLUM.only)
            || is_crew(&value)
            || attack.pool.home.get(&Kind::Key).is_some_and(|keys| keys.contains(&value));
        // No argument holds a zero byte, and none of ours is an option.
        let misfits = value.contains('\0') || value.starts_with('-') || (org == ACME.org && needed);
        values.insert(word, if misfits { dice.fresh() } else { value });
    }
    let words = filled(dice, command, &values);
    let output = run(attack, &words, key.as_deref()).await;
    let abroad = org == BELLUM.org && (command.ends_with('@') || command.contains("ORG"));
    let is_done = output.status.success();
    assert!(!(abroad && is_done), "{words:?} was done: {}", String::from_utf8_lossy(&output.stdout));
    attack.tally.note(Face::Cli, command, Outcome::of(is_done));
}

/// The words of a command, with values for those in capital letters.
fn filled(dice: &mut Dice, command: &str, values: &BTreeMap<&str, String>) -> Vec<String> {
    let mut words = Vec::new();
    for word in command.split(' ') {
        match word {
            "@" => words.push("--org".to_owned()),
            "FRESH" => words.push(dice.fresh()),
            _ => {}
        }
        if word != "FRESH" {
            words.push(values.get(word).cloned().unwrap_or_else(|| word.to_owned()));
        }
    }
    words
}

async fn run(attack: &Attack, words: &[String], key: Option<&str>) -> std::process::Output {
    let place = Place::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(words).args(["--server", &attack.base_url]).env_clear().env("HOME", place.path()).current_dir(place.path());
    command.envs(key.map(|key| ("BAILIWICK_KEY", key)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Whoever reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(b"a-value-of-no-use").await;
    let output = child.wait_with_output().await.unwrap();
    attack.check(&format!("bailiwick {words:?}"), &[output.stdout.as_slice(), &output.stderr].concat());
    output
}
