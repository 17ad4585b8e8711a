//! What a run found: a table for people, one JSON object for programs (docs/bench.md lists its fields).

use super::cost::{Readings, sum};
use super::plan::{Begin, Load, Plan};
use super::tally::{Percentiles, Tally, Times};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// Reasons in the table; all are in the JSON.
const REASONS_SHOWN: usize = 5;

/// Width of the first column, and of each of the others.
const NAME: usize = 22;
const COLUMN: usize = 13;

pub struct Outcome {
    pub plan: Plan,
    pub tally: Tally,
    pub processes: Vec<Readings>,
    pub length: Duration,
    /// Logins that waited to the end of the hold.
    pub waited: u64,
    /// How long waiting was watched.
    pub held: Duration,
}

/// What one login costs the servers, where that could be measured.
#[derive(Debug, Default, PartialEq)]
struct PerLogin {
    waiting_kib: Option<f64>,
    waiting_cpu_us_per_second: Option<f64>,
    finished_cpu_ms: Option<f64>,
}

impl Outcome {
    fn is_waiting(&self) -> bool {
        matches!(self.plan.load, Load::Waiting { .. })
    }

    fn times(&self) -> [(&'static str, &'static str, &Times); 3] {
        [
            ("start to first code", "first_code_ms", &self.tally.first_code),
            ("start to success", "success_ms", &self.tally.success),
            ("approval to success", "approval_to_success_ms", &self.tally.approval_to_success),
        ]
    }

    fn per_login(&self) -> PerLogin {
        if !self.is_waiting() {
            let finished = (self.tally.succeeded > 0).then_some(self.tally.succeeded as f64);
            let cpu = sum(&self.processes, Readings::cpu_ms);
            return PerLogin { finished_cpu_ms: finished.and_then(|count| Some(cpu? / count)), ..PerLogin::default() };
        }
        let each = |total: Option<f64>| (self.waited > 0).then(|| Some(total? / self.waited as f64))?;
        let seconds = self.held.as_secs_f64();
        let cpu = sum(&self.processes, Readings::waiting_cpu_ms).filter(|_| seconds > 0.0);
        PerLogin {
            waiting_kib: each(sum(&self.processes, Readings::grown_kib).map(|kib: i64| kib as f64)),
            waiting_cpu_us_per_second: each(cpu.map(|cpu| cpu * 1000.0 / seconds)),
            finished_cpu_ms: None,
        }
    }

    /// Finished logins a second, where they finish all the time.
    fn per_second(&self) -> Option<f64> {
        (!self.is_waiting()).then(|| self.tally.succeeded as f64 / self.length.as_secs_f64())
    }

    pub fn json(&self) -> Value {
        let tally = &self.tally;
        let load = match self.plan.load {
            Load::Waiting { .. } => "waiting",
            Load::Closed { .. } => "closed",
            Load::Open { .. } => "open",
        };
        let per_login = self.per_login();
        let mut report = json!({
            "schema": 1,
            "load": load,
            "transport": self.plan.transport.name(),
            "client": self.plan.client.as_ref().map(|client| client.id.as_str()),
            "addresses": self.plan.targets.iter().map(|target| target.url.as_str()).collect::<Vec<_>>(),
            "length_ms": millis(self.length),
            "watched_ms": self.is_waiting().then(|| millis(self.held)),
            "logins": {
                "started": tally.started,
                "not_started": tally.not_started,
                "waited": self.is_waiting().then_some(self.waited),
                "succeeded": tally.succeeded,
                "released": tally.released,
                "failed": tally.failed,
                "lost": tally.lost,
                "succeeded_per_second": self.per_second().map(rounded),
            },
            "streams": {
                "resumed": tally.resumed,
                "fresh_codes": tally.fresh_codes,
                "out_of_order": tally.out_of_order,
            },
            "approvals": { "given": tally.approved, "refused": tally.approvals_refused },
            "reasons": tally.reasons,
            "processes": self.processes.iter().map(process).collect::<Vec<_>>(),
            "per_waiting_login": {
                "resident_kib": per_login.waiting_kib.map(rounded),
                "cpu_us_per_second": per_login.waiting_cpu_us_per_second.map(rounded),
            },
            "per_finished_login": { "cpu_ms": per_login.finished_cpu_ms.map(rounded) },
        });
        for (_, field, times) in self.times() {
            report[field] = times.percentiles().map_or(Value::Null, |all| {
                let Percentiles { p50, p90, p99, p999, max } = all;
                json!({ "count": times.count(), "p50": p50, "p90": p90, "p99": p99, "p999": p999, "max": max })
            });
        }
        report
    }

    pub fn table(&self) -> String {
        let mut text = format!("{}\n\n", self.title());
        let tally = &self.tally;
        let always = [("started", tally.started), ("succeeded", tally.succeeded)];
        let if_any = [
            ("resumed", tally.resumed),
            ("fresh codes", tally.fresh_codes),
            ("approvals refused", tally.approvals_refused),
            ("failed", tally.failed),
            ("lost", tally.lost),
            ("events out of order", tally.out_of_order),
        ];
        for (name, count) in always {
            line(&mut text, name, &[grouped(count)]);
        }
        if self.is_waiting() {
            line(&mut text, "waited to the end", &[grouped(self.waited)]);
        }
        if let Some(rate) = self.per_second() {
            line(&mut text, "succeeded a second", &[format!("{rate:.1}")]);
        }
        for (name, count) in if_any.into_iter().filter(|&(_, count)| count > 0) {
            line(&mut text, name, &[grouped(count)]);
        }
        if tally.not_started > 0 {
            line(&mut text, "NOT STARTED", &[grouped(tally.not_started)]);
            text += "  so many were open already: the server did not keep up, and times below are of the others only\n";
        }
        for (reason, count) in tally.top_reasons().into_iter().take(REASONS_SHOWN) {
            line(&mut text, "", &[grouped(count), format!("  {reason}")]);
        }
        text += &self.table_of_times();
        text += &self.table_of_processes();
        text.trim_end().to_owned()
    }

    fn title(&self) -> String {
        let seconds = |length: Duration| format!("{} s", length.as_secs_f64());
        let to = if self.plan.client.is_some() { " to an app" } else { "" };
        let load = match self.plan.load {
            Load::Waiting { logins, begin, hold, .. } => {
                let begun = match begin {
                    Begin::Ramp(rate) => format!("{rate} a second"),
                    Begin::AtOnce(at_once) => format!("{at_once} at once"),
                };
                format!("{} waiting logins, {begun}, held for {}", grouped(logins), seconds(hold))
            }
            Load::Closed { visitors, length } => {
                format!(
                    "{} visitors who sign in{to} again and again, for {}",
                    grouped(visitors as u64),
                    seconds(length)
                )
            }
            Load::Open { rate, length, .. } => format!("{rate} logins{to} a second, for {}", seconds(length)),
        };
        let servers = self.plan.targets.len();
        let addresses = if servers == 1 { "1 address".to_owned() } else { format!("{servers} addresses") };
        format!("{load}; {} at {addresses}; {:.1} s in all", self.plan.transport.name(), self.length.as_secs_f64())
    }

    fn table_of_times(&self) -> String {
        let mut text = String::new();
        for (name, _, times) in self.times() {
            let Some(all) = times.percentiles() else { continue };
            if text.is_empty() {
                text += "\n";
                line(&mut text, "milliseconds", &["count", "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned));
            }
            let Percentiles { p50, p90, p99, p999, max } = all;
            let columns = [p50, p90, p99, p999, max].map(|millis| format!("{millis:.1}"));
            let columns: Vec<String> = std::iter::once(grouped(times.count())).chain(columns).collect();
            line(&mut text, name, &columns);
        }
        text
    }

    fn table_of_processes(&self) -> String {
        if self.processes.is_empty() {
            return String::new();
        }
        let mut text = "\n".to_owned();
        let unknown = || "?".to_owned();
        let number = |number: Option<f64>| number.map_or_else(unknown, |number| grouped(number.round() as u64));
        line(&mut text, "process", &["before KiB", "after KiB", "CPU ms"].map(str::to_owned));
        for each in &self.processes {
            let kib =
                |usage: Option<super::cost::Usage>| usage.map_or_else(unknown, |usage| grouped(usage.resident_kib));
            line(&mut text, &each.pid.to_string(), &[kib(each.before), kib(each.after), number(each.cpu_ms())]);
        }
        if self.processes.len() > 1 {
            let total = |kib: Option<u64>| kib.map_or_else(unknown, grouped);
            let before = sum(&self.processes, |each| Some(each.before?.resident_kib));
            let after = sum(&self.processes, |each| Some(each.after?.resident_kib));
            let cpu = sum(&self.processes, Readings::cpu_ms);
            line(&mut text, "all", &[total(before), total(after), number(cpu)]);
        }
        let per_login = self.per_login();
        if let (Some(kib), Some(micros)) = (per_login.waiting_kib, per_login.waiting_cpu_us_per_second) {
            line(
                &mut text,
                "per waiting login",
                &[format!("{kib:.2} KiB"), String::new(), format!("{micros:.1} µs/s")],
            );
        }
        if let Some(millis) = per_login.finished_cpu_ms {
            line(&mut text, "per finished login", &[String::new(), String::new(), format!("{millis:.3} ms")]);
        }
        text
    }

    /// What was not well, in a sentence.
    pub fn complaint(&self) -> String {
        let tally = &self.tally;
        let parts = [
            (tally.failed, "failed"),
            (tally.lost, "were lost"),
            (tally.not_started, "were not started"),
            (tally.out_of_order, "events came out of order"),
        ];
        let parts = parts.into_iter().filter(|&(count, _)| count > 0);
        let said: Vec<String> = parts.map(|(count, what)| format!("{} {what}", grouped(count))).collect();
        let why =
            tally.top_reasons().first().map_or_else(String::new, |(reason, _)| format!(" (most often: {reason})"));
        format!("of {} logins {}{why}", grouped(tally.started + tally.not_started), said.join(", "))
    }
}

fn process(readings: &Readings) -> Value {
    json!({
        "pid": readings.pid,
        "resident_before_kib": readings.before.map(|usage| usage.resident_kib),
        "resident_after_kib": readings.after.map(|usage| usage.resident_kib),
        "cpu_ms": readings.cpu_ms(),
        "waiting_cpu_ms": readings.waiting_cpu_ms(),
    })
}

/// One line: a name on the left, columns on the right.
fn line(text: &mut String, name: &str, columns: &[String]) {
    let _ = write!(text, "{name:NAME$}");
    for column in columns {
        // Words are no numbers: they begin where the column does.
        let _ = if column.starts_with(' ') { write!(text, "{column}") } else { write!(text, "{column:>COLUMN$}") };
    }
    text.push('\n');
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// 12345 is `12 345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
