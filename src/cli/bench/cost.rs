//! What the server's processes use: memory and processor time, read from /proc.

use std::fs;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    pub resident_kib: u64,
    pub cpu_ms: f64,
}

impl Usage {
    /// `None` when there is no such process, or its numbers cannot be read.
    pub fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&status, &stat, rustix::param::clock_ticks_per_second())
    }

    fn parse(status: &str, stat: &str, ticks_per_second: u64) -> Option<Self> {
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let resident_kib = resident.trim().trim_end_matches(" kB").parse().ok()?;
        // utime and stime are the 14th and 15th field; the 2nd, in parentheses, may hold spaces.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Self { resident_kib, cpu_ms: ticks as f64 * 1000.0 / ticks_per_second as f64 })
    }
}

/// Readings of one process, in the order of a run. What could not be read (it was restarted meanwhile) is missing.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    pub pid: u32,
    pub before: Option<Usage>,
    /// Once every login waits and allocations have settled.
    pub settled: Option<Usage>,
    /// At the end of the hold, or of the run where nothing is held.
    pub after: Option<Usage>,
}

impl Readings {
    pub fn cpu_ms(&self) -> Option<f64> {
        Some(self.after?.cpu_ms - self.before?.cpu_ms)
    }

    /// Processor time while nothing happened but waiting.
    pub fn waiting_cpu_ms(&self) -> Option<f64> {
        Some(self.after?.cpu_ms - self.settled?.cpu_ms)
    }

    pub fn grown_kib(&self) -> Option<i64> {
        let kib = |usage: Usage| i64::try_from(usage.resident_kib).unwrap_or(i64::MAX);
        Some(kib(self.after?) - kib(self.before?))
    }
}

/// All processes together; `None` when one could not be read, because half a sum is a lie.
pub fn sum<T: std::iter::Sum>(all: &[Readings], of: impl Fn(&Readings) -> Option<T>) -> Option<T> {
    if all.is_empty() { None } else { all.iter().map(of).sum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_shifts_no_field() {
        let status = "Name:\tmax-auth\nVmPeak:\t  99999 kB\nVmRSS:\t   10240 kB\n";
        let stat = "77 (max) auth 1 2) S 1 77 77 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 3 0 100 200 300";
        assert_eq!(Usage::parse(status, stat, 100), Some(Usage { resident_kib: 10_240, cpu_ms: 3000.0 }));
        assert_eq!(Usage::parse("Name:\tx\n", stat, 100), None);
        assert_eq!(Usage::parse(status, "77 (x) S 1", 100), None);
    }

    #[test]
    fn a_process_that_went_away_leaves_no_sum() {
        let usage = |kib, cpu_ms| Some(Usage { resident_kib: kib, cpu_ms });
        let whole = Readings { pid: 1, before: usage(100, 1.0), settled: usage(300, 5.0), after: usage(400, 7.0) };
        let gone = Readings { after: None, ..whole.clone() };
        assert_eq!(sum(&[whole.clone(), whole.clone()], Readings::grown_kib), Some(600));
        assert_eq!(sum(&[whole.clone(), whole.clone()], Readings::waiting_cpu_ms), Some(4.0));
        assert_eq!(sum(&[whole, gone], Readings::grown_kib), None);
        assert_eq!(sum(&[], Readings::grown_kib), None);
    }
}
