//! What a governed call costs: a fast fake upstream, a closed-loop load generator that checks every answer, and the program
//! `bailiwick` between them with key authentication, policy and ledger on. Direct and governed cells are measured in
//! interleaved rounds of one run, since only ratios inside one run mean anything on a shared machine.
//!
//! `cargo run --release -p bailiwick-bench` builds the program, measures, prints a table. See `--help`.

mod allocations;
mod cell;
mod gateway;
mod load;
mod process;
mod report;
mod upstream;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::cell::Cell;
use crate::gateway::Gateway;
use crate::load::{Sample, Target};
use crate::upstream::Upstream;

/// Tells what a call through the gateway costs, compared with the same call made directly.
#[derive(Parser)]
#[command(name = "bench")]
struct Options {
    /// The program `bailiwick`; built in release mode when not given.
    #[arg(long, env = "BAILIWICK")]
    gateway: Option<PathBuf>,
    /// Cells, comma-separated: `WHAT[:CONNECTIONS][@ERA]` with read, effects, list or big; @modern or @init. `--cells help` lists the default.
    #[arg(long)]
    cells: Option<String>,
    /// Rounds; every second one runs backwards.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Measured seconds of one cell in one round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Seconds before that.
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    /// Tools of the upstream, at least 5.
    #[arg(long, default_value_t = 200)]
    tools: usize,
    /// Bytes of the payload of read and effects.
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// Put everything on this processor: least noise. Not given: wherever the system likes.
    #[arg(long)]
    cpu: Option<usize>,
    /// Do not count allocations.
    #[arg(long)]
    no_allocations: bool,
    /// Also write every sample to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Text of what went wrong, for people.
type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|first| first == "upstream").is_some() {
        // The upstream is a process of its own, so that its time is not taken for the load generator's.
        return upstream::serve(args);
    }
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// False when an answer was wrong.
fn run(options: &Options) -> Outcome<bool> {
    let cells = match options.cells.as_deref() {
        None => Cell::standard(),
        Some("help") => {
            Cell::standard().iter().for_each(|cell| println!("{cell}"));
            return Ok(true);
        }
        Some(list) => list.split(',').map(Cell::parse).collect::<Outcome<_>>()?,
    };
    if let Some(cpu) = options.cpu {
        process::pin(cpu)?;
    }
    let program = gateway::program(options.gateway.as_deref())?;
    let upstream = Upstream::start(options.tools)?;
    let gateway = Gateway::start(&program, &upstream.url, &[])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let direct = Target::direct(&upstream.url, options.tools);
    let governed = gateway.target(options.tools);
    runtime.block_on(load::prove(&governed, &cells))?;
    let idle = gateway.memory();
    let mut samples = Vec::new();
    for round in 0..options.rounds {
        measure_round(options, &runtime, round, &cells, &[&direct, &governed], &gateway, &mut samples)?;
    }
    let loaded = gateway.memory();
    drop(gateway);
    let allocations = if options.no_allocations {
        Err("not asked for".to_owned())
    } else {
        allocations::count(&runtime, &program, &upstream.url, options.tools, options.payload, &cells)
    };
    let report = report::Report { options, cells: &cells, samples: &samples, idle, loaded, allocations };
    print!("{}", report.table());
    if let Some(path) = &options.json {
        std::fs::write(path, report.json()).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(samples.iter().all(|s| s.wrong.is_empty()))
}

fn measure_round(
    options: &Options,
    runtime: &tokio::runtime::Runtime,
    round: u32,
    cells: &[Cell],
    targets: &[&Target],
    gateway: &Gateway,
    samples: &mut Vec<Sample>,
) -> Outcome<()> {
    let mut order: Vec<(&Cell, &Target)> = cells.iter().flat_map(|cell| targets.iter().map(move |target| (cell, *target))).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    for (cell, target) in order {
        let window = load::Window { warmup: options.warmup, seconds: options.seconds, calls: None };
        let sample = runtime.block_on(load::measure(target, cell, options.payload, &window, || gateway.cpu()))?;
        if let Some(first) = sample.wrong.first() {
            eprintln!("bench: {cell} {}: {} wrong answers, first: {first}", target.name, sample.wrong.len());
        }
        samples.push(sample);
    }
    Ok(())
}
