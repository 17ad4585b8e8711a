//! What every Prometheus client says of its process, by the standard names; out of Linux' `/proc`.

use std::fmt::Write as _;
use std::fs;

/// Ticks of `/proc` in a second: 100 on every Linux that runs today.
const TICKS: f64 = 100.0;

/// What was read.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Process {
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    pub virtual_bytes: u64,
    /// Unix time.
    pub start_seconds: f64,
    pub open_fds: u64,
    pub max_fds: Option<u64>,
}

impl Process {
    /// `None` where there is no `/proc`.
    pub fn read() -> Option<Self> {
        let text = |path: &str| fs::read_to_string(path).ok();
        let boot = text("/proc/stat")?.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())?;
        let open_fds = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as u64;
        let limits = text("/proc/self/limits").unwrap_or_default();
        Self::parse(&text("/proc/self/stat")?, &text("/proc/self/statm")?, boot, open_fds, max_fds(&limits))
    }

    fn parse(stat: &str, statm: &str, boot: f64, open_fds: u64, max_fds: Option<u64>) -> Option<Self> {
        // The name of the program, in brackets, may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let field = |number: usize| fields.get(number)?.parse::<f64>().ok();
        let pages = |number: usize| statm.split(' ').nth(number)?.parse::<u64>().ok();
        let page = rustix::param::page_size() as u64;
        Some(Self {
            cpu_seconds: (field(11)? + field(12)?) / TICKS,
            resident_bytes: pages(1)? * page,
            virtual_bytes: pages(0)? * page,
            start_seconds: boot + field(19)? / TICKS,
            open_fds,
            max_fds,
        })
    }

    /// For `/metrics`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let rows = [
            (
                "process_cpu_seconds_total",
                "counter",
                "Processor time of this process, user and system",
                self.cpu_seconds,
            ),
            ("process_resident_memory_bytes", "gauge", "Memory that is really used", self.resident_bytes as f64),
            ("process_virtual_memory_bytes", "gauge", "Memory that is mapped", self.virtual_bytes as f64),
            ("process_start_time_seconds", "gauge", "When the process began, Unix time", self.start_seconds),
            ("process_open_fds", "gauge", "Open file descriptors", self.open_fds as f64),
        ];
        let limit = self.max_fds.map(|max| ("process_max_fds", "gauge", "Most file descriptors", max as f64));
        for (name, kind, help, value) in rows.into_iter().chain(limit) {
            // A text takes whatever it is given.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
        }
        text
    }
}

fn max_fds(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_read_whatever_the_program_is_called() {
        let stat = "42 (max) auth (x) S 1 42 42 0 -1 4194560 2050 0 0 0 130 25 0 0 20 0 3 0 5000 99000 3000 18446744073709551615";
        let process = Process::parse(stat, "24000 3200 1800 1 0 9000 0", 1_700_000_000.0, 12, Some(1024)).unwrap();
        let page = rustix::param::page_size() as u64;
        assert_eq!((process.cpu_seconds, process.start_seconds), (1.55, 1_700_000_050.0));
        assert_eq!((process.resident_bytes, process.virtual_bytes), (3200 * page, 24_000 * page));
        let text = process.text();
        assert!(text.contains("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.55\n"), "{text}");
        assert!(
            text.contains("\nprocess_start_time_seconds 1700000050\n") && text.contains("\nprocess_max_fds 1024\n")
        );
        assert_eq!(Process::parse("42 (x) S 1", "1 2", 0.0, 0, None), None);
        assert_eq!(
            max_fds("Limit Soft Hard Units\nMax open files            400                  4096     files\n"),
            Some(400)
        );
        assert_eq!(max_fds("Max open files            unlimited            unlimited            files\n"), None);
    }

    #[test]
    fn this_process_has_memory_descriptors_and_a_beginning() {
        let process = Process::read().unwrap();
        assert!(
            process.resident_bytes > 1024 * 1024 && process.open_fds >= 3 && process.start_seconds > 1.6e9,
            "{process:?}"
        );
    }
}
