//! What machine it is, and what the operating system counted.

use std::fs;
use std::time::Duration;

/// One line: processors, memory, kernel, date.
pub fn describe_machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: u64 = memory.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d");
    let model = model.trim_start_matches([':', '\t', ' ']);
    format!("{day}, {processors} × {model}, {} GiB, Linux {}", kilobytes >> 20, kernel.trim())
}

/// Processor time of this process and of its children that have ended.
pub(crate) fn processor_time() -> Duration {
    // Fields 14 to 17 of proc_pid_stat(5), in clock ticks of 1/100 s on every Linux that Rust supports.
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Bytes of memory at the peak.
pub type MemoryPeak = u64;

/// The peak resident memory of this process so far.
pub fn peak_memory() -> MemoryPeak {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default() * 1024
}
