//! What the kernel says about a process and its children, read from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// `USER_HZ`, in which `/proc/PID/stat` counts: 100 on every architecture that Linux has kept.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of a process and its live children so far, threads that have ended included.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let mut sum = Duration::ZERO;
    for pid in family(pid)? {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        sum += TICK * ticks(&stat).with_context(|| format!("/proc/{pid}/stat: {stat}"))?;
    }
    Ok(sum)
}

/// Memory that belongs to a process and its live children alone, and their part of what they share.
pub(crate) fn memory(pid: u32) -> anyhow::Result<u64> {
    let mut sum = 0;
    for pid in family(pid)? {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        sum += pss(&rollup).with_context(|| format!("/proc/{pid}/smaps_rollup: {rollup}"))?;
    }
    Ok(sum)
}

/// Each tunnel takes two descriptors, here for client and backend, and in the proxy, which inherits the limit.
/// Tidegate keeps a fifth of its own for other needs and for connections without a request
/// (`gateway/src/connections/capacity.rs`).
const DESCRIPTORS_OF_TEN: usize = 25;

/// How many tunnels the open-file limit of this process allows.
pub(crate) fn tunnels() -> anyhow::Result<usize> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let limit = soft_limit(&limits).with_context(|| format!("/proc/self/limits: {limits}"))?;
    Ok(limit.saturating_mul(10) / DESCRIPTORS_OF_TEN)
}

fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    // "unlimited" is no number.
    Some(soft.parse().unwrap_or(usize::MAX))
}

fn family(pid: u32) -> anyhow::Result<Vec<u32>> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        for child in children.split_whitespace() {
            all.push(child.parse()?);
        }
        next += 1;
    }
    Ok(all)
}

/// utime and stime, fields 14 and 15 (proc_pid_stat(5)); the name before them may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11);
    let user: u32 = times.next()?.parse().ok()?;
    let system: u32 = times.next()?.parse().ok()?;
    Some(user + system)
}

fn pss(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_behind_a_name_with_anything_in_it() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0";
        assert_eq!(ticks(stat), Some(200));
    }

    #[test]
    fn memory_is_the_proportional_share() {
        let rollup = "00400000-7fff [rollup]\nRss:  900 kB\nPss:     12 kB\nPss_Anon: 3 kB\n";
        assert_eq!(pss(rollup), Some(12 * 1024));
    }

    #[test]
    fn the_open_file_limit_is_the_soft_one() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files  20000  65536  files\n";
        assert_eq!(soft_limit(limits), Some(20_000));
        assert!(tunnels().unwrap() > 0);
    }

    #[test]
    fn this_process_has_both() {
        assert!(memory(std::process::id()).unwrap() > 0);
        cpu(std::process::id()).unwrap();
    }
}
