//! What the system says of this process, under the names that every dashboard knows. Read from
//! `/proc` at each scrape; elsewhere than on Linux the values stay 0.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Counter, IntGauge, Registry};

use crate::telemetry::metrics::register::{amount, gauge};

/// Clock ticks in `/proc/self/stat`: fixed to 100 in Linux' interface on all its architectures.
const TICKS_PER_SECOND: f64 = 100.0;

/// Position of user and system time in `/proc/self/stat` after the command's name: proc(5), fields
/// 14 and 15.
const TIMES: [usize; 2] = [11, 12];

/// The process' metrics.
#[derive(Debug)]
pub(super) struct Process {
    cpu: Counter,
    memory: IntGauge,
    open: IntGauge,
    limit: IntGauge,
}

impl Process {
    pub(super) fn register(r: &Registry) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        gauge(
            r,
            "process_start_time_seconds",
            "Start, in seconds since 1970",
        )
        .set(i64::try_from(now).unwrap_or(i64::MAX));
        Self {
            cpu: amount(
                r,
                "process_cpu_seconds_total",
                "Processor time used, user and system",
            ),
            memory: gauge(r, "process_resident_memory_bytes", "Resident memory"),
            open: gauge(r, "process_open_fds", "File descriptors open now"),
            limit: gauge(r, "process_max_fds", "File descriptors that may be open"),
        }
    }

    pub(super) fn refresh(&self) {
        let stat = fs::read_to_string("/proc/self/stat");
        if let Some(seconds) = stat.ok().and_then(|stat| cpu_seconds(&stat)) {
            // A counter refuses to go back, which the clock does not do either.
            self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        set(&self.memory, resident_bytes(&status));
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        set(&self.limit, max_files(&limits));
        set(&self.open, open_files());
    }
}

fn set(gauge: &IntGauge, value: Option<i64>) {
    if let Some(value) = value {
        gauge.set(value);
    }
}

/// The command's name may hold anything, so only what is behind its parenthesis counts.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = TIMES.map(|at| fields.get(at)?.parse::<f64>().ok());
    Some((ticks[0]? + ticks[1]?) / TICKS_PER_SECOND)
}

fn resident_bytes(status: &str) -> Option<i64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn max_files(limits: &str) -> Option<i64> {
    let of = |line: &str| line.strip_prefix("Max open files").map(str::to_owned);
    let line = limits.lines().find_map(of)?;
    line.split_whitespace().next()?.parse().ok()
}

/// Newer kernels (6.2) tell the number as the directory's size; counting 100,000 entries takes
/// tens of milliseconds.
fn open_files() -> Option<i64> {
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    if size > 0 {
        return i64::try_from(size).ok();
    }
    i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_writes_is_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 5 6 7";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t3\n";
        assert_eq!(resident_bytes(status), Some(2 * 1024 * 1024));
        let limits = "Max processes 1 2 x\nMax open files            1024       4096   files\n";
        assert_eq!(max_files(limits), Some(1024));
    }

    #[test]
    fn this_process_uses_something() {
        let registry = Registry::new();
        Process::register(&registry).refresh();
        for family in registry.gather() {
            if family.name() != "process_cpu_seconds_total" {
                let value = family.get_metric()[0].get_gauge().get_value();
                assert!(value > 0.0, "{}", family.name());
            }
        }
    }
}
