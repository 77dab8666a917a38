//! Resident memory of a process, in MiB.

use std::fs;

/// The current resident memory.
pub fn resident_mib(pid: u32) -> f64 {
    field(pid, "VmRSS:")
}

/// The peak of resident memory since the start of the process or the last [`reset_peak`].
pub fn peak_mib(pid: u32) -> f64 {
    field(pid, "VmHWM:")
}

/// Resets the peak to the current memory. Without permission the peak stays.
pub fn reset_peak(pid: u32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

fn field(pid: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    parse(&status, name).unwrap_or(0.0) / 1024.0
}

fn parse(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_field_is_parsed_by_name() {
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        assert_eq!(super::parse(status, "VmRSS:"), Some(1024.0));
        assert_eq!(super::parse(status, "VmHWM:"), Some(2048.0));
        assert_eq!(super::parse(status, "VmSwap:"), None);
    }
}
