//! The table for people and the samples for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::allocations::Cost;
use crate::cell::Cell;
use crate::load::Sample;
use crate::process::Memory;
use crate::{Options, Outcome};

/// Everything that was measured.
pub(crate) struct Report<'a> {
    /// What was asked for.
    pub(crate) options: &'a Options,
    /// In the order of the table.
    pub(crate) cells: &'a [Cell],
    /// All rounds.
    pub(crate) samples: &'a [Sample],
    /// Before the first round.
    pub(crate) idle: Memory,
    /// After the last.
    pub(crate) loaded: Memory,
    /// Per call, or why not.
    pub(crate) allocations: Outcome<Vec<(Cell, Cost)>>,
}

/// Medians over the rounds of one cell and target.
struct Row {
    rate: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
    wrong: usize,
}

impl Report<'_> {
    /// The table; every figure is the median over the rounds.
    pub(crate) fn table(&self) -> String {
        let mut out = String::new();
        let options = self.options;
        let pinned = options.cpu.map_or("not pinned".to_owned(), |cpu| format!("all on processor {cpu}"));
        let _ = writeln!(
            out,
            "{} tools, payload {} bytes, {} rounds of {} s, {pinned}; key authentication, policy and ledger on\n",
            options.tools, options.payload, options.rounds, options.seconds
        );
        out.push_str("| cell | calls/s direct | gateway | ratio | p50 us direct | gateway | added | p99 us direct | gateway | CPU us/call | allocations/call | bytes/call | wrong |\n");
        out.push_str("|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
        for cell in self.cells {
            let (direct, gateway) = (self.row("direct", cell), self.row("gateway", cell));
            let cost = self.allocations.as_ref().ok().and_then(|all| all.iter().find(|(c, _)| c == cell)).map(|(_, cost)| cost);
            let (count, bytes) = cost.map_or(("-".to_owned(), "-".to_owned()), |c| (format!("{:.1}", c.count), format!("{:.0}", c.bytes)));
            let _ = writeln!(
                out,
                "| {cell} | {:.0} | {:.0} | {:.3} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {count} | {bytes} | {} |",
                direct.rate,
                gateway.rate,
                gateway.rate / direct.rate.max(f64::MIN_POSITIVE),
                direct.p50,
                gateway.p50,
                gateway.p50 - direct.p50,
                direct.p99,
                gateway.p99,
                gateway.cpu,
                direct.wrong + gateway.wrong
            );
        }
        let mib = |kib: u64| kib as f64 / 1024.0;
        let _ = writeln!(
            out,
            "\nmemory of the gateway: idle {:.1} MiB resident ({:.1} proportional), after the load {:.1} ({:.1})",
            mib(self.idle.resident),
            mib(self.idle.proportional),
            mib(self.loaded.resident),
            mib(self.loaded.proportional)
        );
        if let Err(why) = &self.allocations {
            let _ = writeln!(out, "allocations not counted: {why}");
        }
        out
    }

    /// Every sample and the summary.
    pub(crate) fn json(&self) -> String {
        let samples: Vec<Value> = self.samples.iter().map(sample).collect();
        let memory = |m: Memory| json!({"resident_kib": m.resident, "proportional_kib": m.proportional});
        let allocations = match &self.allocations {
            Err(why) => json!({"error": why}),
            Ok(all) => {
                let entry = |(cell, cost): &(Cell, Cost)| (cell.to_string(), json!({"count": cost.count, "bytes": cost.bytes}));
                Value::Object(all.iter().map(entry).collect())
            }
        };
        let document = json!({
            "options": {"tools": self.options.tools, "payload": self.options.payload, "rounds": self.options.rounds,
                        "seconds": self.options.seconds, "cpu": self.options.cpu},
            "samples": samples, "memory": {"idle": memory(self.idle), "loaded": memory(self.loaded)}, "allocations": allocations,
        });
        format!("{document:#}\n")
    }

    fn row(&self, target: &str, cell: &Cell) -> Row {
        let all: Vec<&Sample> = self.samples.iter().filter(|s| s.target == target && s.cell == *cell).collect();
        let of = |figure: &dyn Fn(&Sample) -> f64| median(all.iter().map(|s| figure(s)).collect());
        Row {
            rate: of(&|s| s.calls as f64 / s.seconds),
            p50: of(&|s| s.p50),
            p99: of(&|s| s.p99),
            cpu: of(&|s| s.cpu),
            wrong: all.iter().map(|s| s.wrong.len()).sum(),
        }
    }
}

fn sample(sample: &Sample) -> Value {
    json!({
        "target": sample.target, "cell": sample.cell.to_string(), "calls": sample.calls, "seconds": sample.seconds,
        "p50_us": sample.p50, "p99_us": sample.p99, "cpu_us_per_call": sample.cpu, "wrong": sample.wrong,
    })
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => 0.0,
        n if n % 2 == 1 => figures[n / 2],
        n => f64::midpoint(figures[n / 2 - 1], figures[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(Vec::new()).abs() < f64::EPSILON);
    }
}
