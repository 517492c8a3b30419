//! What memory a process may still take.

/// Memory that a process may still take, in bytes: what the kernel has to give, within the control group's limit.
/// Nothing where the system does not say.
#[must_use]
pub fn free_memory() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let available = available(&meminfo)?;
    let number = |path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let group = number("/sys/fs/cgroup/memory.max")
        .zip(number("/sys/fs/cgroup/memory.current"))
        .map(|(most, now)| most.saturating_sub(now));
    Some(group.map_or(available, |group| group.min(available)))
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::available;

    #[test]
    fn the_kernel_says_what_is_free() {
        let text = "MemTotal:       24000000 kB\nMemAvailable:   12345 kB\n";
        assert_eq!(available(text), Some(12_345 * 1024));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }
}
