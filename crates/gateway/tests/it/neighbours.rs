//! Two agents whose ids are prefixes of each other share one gateway, one manifest with every built-in module, and every service behind
//! it. Whatever one of them tries, the other is not there:
//!
//! 1. each gets the answers that it gets alone in a world of its own, to the byte (`evidence::normal` lists what is left out);
//! 2. nothing that one wrote is in an answer to the other;
//! 3. what arrives at the services names only the places of who sent it, and what arrived and what is kept in the end is what the two
//!    alone would have sent and kept, and nothing else.
//!
//! `BAILIWICK_NEIGHBOURS_SEED` repeats a failed run as far as the scheduler allows, `BAILIWICK_NEIGHBOURS_OPERATIONS` makes it longer.

mod evidence;
mod guess;
mod plan;
mod work;
mod world;

use std::sync::Arc;

use bailiwick_testkit::service::Received;
use serde_json::Value;
use tokio::sync::Barrier;

use plan::{Operation, TWO, Who};
use world::{Remains, World};

/// Operations of both together.
const OPERATIONS: usize = 20_000;
const SEED: u64 = 20_260_728;
/// Operations of one agent among which every tool is expected to succeed once.
const LIVELY_FROM: usize = 1_000;
/// Of so many requests to a service at least one comes from another agent than the one before it.
const TURNS_ONE_IN: usize = 10;

#[allow(clippy::disallowed_methods, reason = "a test has no other entry point than its process")]
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_learns_and_changes_nothing_of_one_whose_id_begins_with_its_own() {
    let seed = number("BAILIWICK_NEIGHBOURS_SEED", SEED);
    let operations = usize::try_from(number("BAILIWICK_NEIGHBOURS_OPERATIONS", OPERATIONS as u64)).unwrap();
    println!("BAILIWICK_NEIGHBOURS_SEED={seed} BAILIWICK_NEIGHBOURS_OPERATIONS={operations}");
    let plans = plan::plans(seed, operations / 2).map(Arc::new);
    // The three worlds stand side by side: much of a call is waiting for the disk.
    let together = tokio::spawn(play_together(plans.clone()));
    let [first, second] = [0, 1].map(|turn| tokio::spawn(play_alone(&TWO[turn], plans[turn].clone())));
    let (transcripts, together) = together.await.unwrap();
    let alone = [first.await.unwrap(), second.await.unwrap()];
    for (turn, (who, other)) in [(&TWO[0], &TWO[1]), (&TWO[1], &TWO[0])].into_iter().enumerate() {
        is_lively(&plans[turn], &alone[turn].0);
        is_silent_of(other, &plans[turn], &transcripts[turn]);
        is_same(who, &plans[turn], &transcripts[turn], &alone[turn].0);
    }
    keeps_to_its_places(&together);
    is_the_sum(&together, &alone.map(|(_, remains)| remains));
}

async fn play_together(plans: [Arc<Vec<Operation>>; 2]) -> ([Vec<String>; 2], Remains) {
    let world = World::build().await;
    let start = Arc::new(Barrier::new(2));
    let mut tasks = Vec::new();
    for (who, plan) in TWO.iter().zip(&plans) {
        let (player, plan, start) = (world.player(who.id).await, plan.clone(), start.clone());
        tasks.push(tokio::spawn(async move {
            start.wait().await;
            player.play(&plan).await
        }));
    }
    let mut transcripts = Vec::new();
    for task in tasks {
        transcripts.push(task.await.unwrap());
    }
    (transcripts.try_into().unwrap(), world.end().await)
}

async fn play_alone(who: &'static Who, plan: Arc<Vec<Operation>>) -> (Vec<String>, Remains) {
    let world = World::build().await;
    let transcript = world.player(who.id).await.play(&plan).await;
    (transcript, world.end().await)
}

/// Every tool that the agent sees was called and did its work at least once: refusals alone would prove nothing.
fn is_lively(plan: &[Operation], transcript: &[String]) {
    if plan.len() < LIVELY_FROM {
        return;
    }
    let listed = plan.iter().zip(transcript).find(|(operation, _)| operation.method == "tools/list").unwrap().1;
    let listed: Value = serde_json::from_str(listed).unwrap();
    let names = listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap());
    let did = |name: &str| plan.iter().zip(transcript).any(|(o, answer)| o.params["name"] == name && answer.contains("\"isError\":false"));
    let idle: Vec<&str> = names.filter(|name| !name.ends_with("_fail") && !did(name)).collect();
    assert!(idle.is_empty(), "never did anything: {idle:?}");
}

/// Property 1.
fn is_same(who: &Who, plan: &[Operation], together: &[String], alone: &[String]) {
    for (number, (with, without)) in together.iter().zip(alone).enumerate() {
        assert!(
            with == without,
            "`{}` can tell that it is not alone by operation {number}: {:?}\n  together: {with}\n  alone:    {without}",
            who.id,
            plan[number]
        );
    }
    assert_eq!(together.len(), alone.len());
}

/// Property 2.
fn is_silent_of(other: &Who, plan: &[Operation], transcript: &[String]) {
    for (operation, answer) in plan.iter().zip(transcript) {
        assert!(!answer.contains(other.canary), "something of `{}` in the answer to {operation:?}: {answer}", other.id);
    }
}

/// Property 3, request by request; and the two really were there at the same time.
fn keeps_to_its_places(together: &Remains) {
    for (service, requests) in &together.received {
        let mut senders = Vec::new();
        for request in requests {
            let Some(sender) = sender(service, request) else { continue };
            let strange = evidence::places(service, request).into_iter().find(|place| !is_place_of(sender, place));
            assert!(strange.is_none(), "`{}` reached {strange:?} at {service}: {request:?}", sender.id);
            senders.push(sender.id);
        }
        let turns = senders.windows(2).filter(|two| two[0] != two[1]).count();
        assert!(turns * TURNS_ONE_IN >= senders.len().saturating_sub(TURNS_ONE_IN), "{service} was used by one after the other: {turns}");
    }
}

/// Whose canary a request carries.
fn sender(service: &str, request: &Received) -> Option<&'static Who> {
    let mut senders = TWO.iter().filter(|who| holds(request, who.canary));
    let sender = senders.next();
    assert!(senders.next().is_none(), "two agents in one request to {service}: {request:?}");
    sender
}

fn holds(request: &Received, text: &str) -> bool {
    // In a target and a query the canary needs no escape.
    let headers = request.headers.iter().map(|(_, value)| value.as_str());
    headers.chain([request.target.as_str(), &request.text()]).any(|part| part.contains(text))
}

fn is_place_of(who: &Who, place: &str) -> bool {
    let id = who.id;
    place == "telemetry" || place == format!("agents-{id}") || place == format!("agent-{id}") || place.starts_with(&format!("{id}--"))
}

/// Property 3, all together.
fn is_the_sum(together: &Remains, alone: &[Remains; 2]) {
    for (service, requests) in &together.requests {
        let mut sum: Vec<&String> = alone.iter().flat_map(|remains| &remains.requests[service]).collect();
        sum.sort_unstable();
        let differs = requests.iter().zip(&sum).find(|(with, without)| with != *without);
        assert!(differs.is_none() && requests.len() == sum.len(), "{service} received something else than from the two alone: {differs:?}");
    }
    let sum = alone.iter().flat_map(|remains| &remains.state).map(|(thing, content)| (thing.clone(), content.clone())).collect();
    let differs = together.state.iter().find(|(thing, content)| evidence::State::get(&sum, thing) != Some(content));
    assert!(differs.is_none(), "kept, and not by the one who owns it alone: {differs:?}");
    assert_eq!(together.state.len(), sum.len(), "something is gone that one alone would have kept");
    for (who, remains) in TWO.iter().zip(alone) {
        let strange = remains.state.keys().find(|(owner, _)| !owner.is_empty() && owner != who.id);
        assert!(strange.is_none(), "`{}` made something that is not its own: {strange:?}", who.id);
    }
}
