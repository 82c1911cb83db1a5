//! What `/proc` says about a process.

use std::time::Duration;

use crate::Outcome;

/// Memory of a process in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Resident, shared pages counted in full.
    pub(crate) resident: u64,
    /// Proportional: shared pages counted by their share.
    pub(crate) proportional: u64,
}

/// Processor time of a process and all its threads, also of those that have ended.
pub(crate) fn cpu(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold spaces.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split(' ').collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_nanos(ticks * 1_000_000_000 / rustix::param::clock_ticks_per_second()))
}

/// Memory of a process.
pub(crate) fn memory(pid: u32) -> Option<Memory> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let kib = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse().ok());
    Some(Memory { resident: kib("Rss:")?, proportional: kib("Pss:")? })
}

/// Puts this process and all that it starts on one processor.
pub(crate) fn pin(cpu: usize) -> Outcome<()> {
    let mut set = rustix::thread::CpuSet::new();
    if cpu >= rustix::thread::CpuSet::MAX_CPU {
        return Err(format!("there is no processor {cpu}"));
    }
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set).map_err(|e| format!("processor {cpu}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_spends_time() {
        let pid = std::process::id();
        let memory = memory(pid).unwrap();
        assert!(memory.proportional > 100 && memory.resident >= memory.proportional, "{memory:?}");
        let before = cpu(pid).unwrap();
        let mut sum = 0_u64;
        while cpu(pid).unwrap() < before + Duration::from_millis(20) {
            sum = (0..100_000).fold(sum, |a, b| std::hint::black_box(a ^ b));
        }
        assert!(cpu(u32::MAX).is_none());
    }
}
