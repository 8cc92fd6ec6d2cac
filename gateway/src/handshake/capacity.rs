//! How many connections a process can carry: each tunnel takes two descriptors.

use std::fs;

/// Descriptors for everything else: listeners, admin server, watches, name lookups, runtimes.
const ASIDE: u64 = 100;

/// Half of what is left of the limit of open files. `None` where the system does not tell.
pub(super) fn by_open_files() -> Option<u32> {
    from_limits(&fs::read_to_string("/proc/self/limits").ok()?)
}

/// From the text of proc(5)'s `limits`: name, soft limit, hard limit, unit.
fn from_limits(text: &str) -> Option<u32> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let soft: u64 = line.split_whitespace().next()?.parse().ok()?;
    u32::try_from(soft.saturating_sub(ASIDE) / 2)
        .ok()
        .filter(|most| *most > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_descriptors_are_for_backends() {
        let text =
            |soft: &str| format!("Limit    Soft Limit\nMax open files   {soft}   4096   files\n");
        assert_eq!(from_limits(&text("1100")), Some(500));
        assert_eq!(from_limits(&text("unlimited")), None);
        assert_eq!(from_limits(&text("10")), None);
        assert_eq!(from_limits(""), None);
    }
}
