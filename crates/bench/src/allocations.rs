//! Allocations of the gateway per call, counted without a line of code in it: glibc's `libmemusage.so`, preloaded, counts what
//! the unmodified program asks of `malloc`, `realloc` and `calloc` and prints the sums when it ends. The program runs twice per
//! cell, with few and with many calls; the difference over the difference is the cost of one call, and start and end cancel out.
//!
//! Not counted: requests with an alignment above 16 bytes, and a program with an allocator of its own (then the count is refused).

use std::path::Path;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::Outcome;
use crate::cell::{Cell, What};
use crate::gateway::Gateway;
use crate::load::{self, Window};

const LIBRARY: &str = "libmemusage.so";
const CALLS_FEW: u64 = 200;
const CALLS_MANY: u64 = 1_200;
/// A megabyte of result takes longer, and there is less to see.
const BIG_CALLS_FEW: u64 = 20;
const BIG_CALLS_MANY: u64 = 120;
/// Fewer allocations than this in a whole run: the program does not use the counted allocator.
const PLAUSIBLE_MIN: u64 = 1_000;

/// What one call asks of the allocator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Number of requests.
    pub(crate) count: f64,
    /// Bytes.
    pub(crate) bytes: f64,
}

/// Counts for every cell, measured with one connection.
pub(crate) fn count(
    runtime: &Runtime,
    program: &Path,
    upstream: &str,
    tools: usize,
    payload: usize,
    cells: &[Cell],
) -> Outcome<Vec<(Cell, Cost)>> {
    let mut counts: Vec<(Cell, Cost)> = Vec::new();
    for cell in cells {
        let alone = Cell { connections: 1, ..*cell };
        let known = counts.iter().find(|(seen, _)| Cell { connections: 1, ..*seen } == alone).map(|(_, cost)| *cost);
        let cost = match known {
            Some(cost) => cost,
            None => {
                let (few, many) = if cell.what == What::Big { (BIG_CALLS_FEW, BIG_CALLS_MANY) } else { (CALLS_FEW, CALLS_MANY) };
                let run = |calls| total(runtime, program, upstream, tools, payload, &alone, calls);
                let (low, high) = (run(few)?, run(many)?);
                let per_call = |low: u64, high: u64| high.saturating_sub(low) as f64 / (many - few) as f64;
                Cost { count: per_call(low.0, high.0), bytes: per_call(low.1, high.1) }
            }
        };
        counts.push((*cell, cost));
    }
    Ok(counts)
}

/// Allocations and bytes of one whole run of the program with so many calls.
fn total(runtime: &Runtime, program: &Path, upstream: &str, tools: usize, payload: usize, cell: &Cell, calls: u64) -> Outcome<(u64, u64)> {
    let mut gateway = Gateway::start(program, upstream, &[("LD_PRELOAD", LIBRARY)])?;
    let window = Window { warmup: 0.0, seconds: 0.0, calls: Some(calls) };
    let target = gateway.target(tools);
    let sample = runtime.block_on(load::measure(&target, cell, payload, &window, || Duration::ZERO))?;
    if let Some(wrong) = sample.wrong.first() {
        return Err(format!("{cell} while counting: {wrong}"));
    }
    gateway.app.terminate();
    match sums(&gateway.app.stderr()) {
        Some((count, bytes)) if count >= PLAUSIBLE_MIN => Ok((count, bytes)),
        Some(_) => Err(format!("{LIBRARY} sees almost nothing: the program has an allocator of its own")),
        None => {
            Err(format!("{LIBRARY} printed nothing; on Debian it comes with the package libc-devtools, and the program must end by itself"))
        }
    }
}

/// Sums up the lines `malloc| CALLS BYTES FAILED`, `realloc|` and `calloc|`, which come with terminal colours. The last summary
/// counts: whatever the program started has printed its own before.
fn sums(text: &str) -> Option<(u64, u64)> {
    let text = without_colours(text);
    let text = &text[text.rfind("malloc|")?..];
    let line = |name: &str| {
        let rest = text.lines().find_map(|line| line.trim_start().strip_prefix(name))?;
        let mut numbers = rest.split_whitespace().map(str::parse::<u64>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    let (malloc, realloc, calloc) = (line("malloc|")?, line("realloc|")?, line("calloc|")?);
    text.contains("free|").then_some((malloc.0 + realloc.0 + calloc.0, malloc.1 + realloc.1 + calloc.1))
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_read_with_and_without_colours() {
        let text = "warm words\n\u{1b}[04;34m total calls   total memory\u{1b}[0m\n\u{1b}[00;34m malloc|\u{1b}[0m   8   2221   0\u{1b}[00;00m\n\
                    \u{1b}[00;34mrealloc|\u{1b}[0m  3  184  0\u{1b}[00;00m  (nomove:0)\n\u{1b}[00;34m calloc|\u{1b}[0m  101  5202  0\n\u{1b}[00;34m   free|\u{1b}[0m 110 7063\n";
        assert_eq!(sums(text), Some((112, 7607)));
        assert_eq!(sums(&without_colours(text)), Some((112, 7607)));
        let later = format!("malloc| 1 1 0\nrealloc| 1 1 0\n calloc| 1 1 0\n free| 1 1\n{text}");
        assert_eq!(sums(&later), Some((112, 7607)));
        assert_eq!(sums("malloc| 8 1 0\nrealloc| 1 1 0\n"), None);
    }
}
