//! One thing that was looked at: how it is, what was measured, and the lines to change.

use super::code::StoreCode;
use crate::proxies::Lang;
use serde_json::{Value, json};

/// How it is, the worst last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    Ok,
    /// Could not look.
    Unknown,
    /// Costs nothing now.
    Warning,
    /// Costs visitors something now, or at the next restart.
    Fault,
    /// Nobody can sign in.
    Stop,
}

impl Level {
    /// As the JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Fault | Self::Stop => "fault",
        }
    }
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fix {
    /// As it stands in a file or is typed, and where.
    Line { text: String, place: &'static str },
    /// Where no line can be known: in English and in Russian.
    Advice(String, String),
}

pub const CONSOLE: &str = "redis-cli, at once";
pub const REDIS_CONF: &str = "redis.conf, for good";
pub const CONFIGURATION: &str = "max-auth.toml";
pub const SHELL: &str = "a shell on this machine";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    pub code: StoreCode,
    pub level: Level,
    /// Which server, node or file.
    pub at: String,
    /// In English: it quotes what servers say, and is what people search for.
    pub measured: String,
    pub fixes: Vec<Fix>,
}

impl Check {
    pub fn new(code: StoreCode, level: Level, measured: impl ToString) -> Self {
        Self { code, level, at: String::new(), measured: measured.to_string(), fixes: Vec::new() }
    }

    pub fn at(self, at: impl Into<String>) -> Self {
        Self { at: at.into(), ..self }
    }

    pub fn line(mut self, text: impl Into<String>, place: &'static str) -> Self {
        self.fixes.push(Fix::Line { text: text.into(), place });
        self
    }

    /// A setting of Redis, now and after its next restart.
    pub fn setting(self, name: &str, value: &str) -> Self {
        let typed = if value.is_empty() { "\"\"" } else { value };
        self.line(format!("CONFIG SET {name} {typed}"), CONSOLE).line(format!("{name} {typed}"), REDIS_CONF)
    }

    pub fn advice(mut self, english: impl Into<String>, russian: impl Into<String>) -> Self {
        self.fixes.push(Fix::Advice(english.into(), russian.into()));
        self
    }

    /// Where the lines go, each place once.
    pub fn place(&self) -> String {
        let mut places: Vec<&str> = Vec::new();
        for fix in &self.fixes {
            if let Fix::Line { place, .. } = fix
                && !places.contains(place)
            {
                places.push(place);
            }
        }
        places.join("; ")
    }

    /// Whether there is something to tell beside its line.
    pub fn is_told(&self) -> bool {
        self.level > Level::Unknown || (self.level == Level::Unknown && !self.fixes.is_empty())
    }

    pub fn json(&self) -> Value {
        let lines = self.fixes.iter().filter_map(|fix| match fix {
            Fix::Line { text, .. } => Some(text.as_str()),
            Fix::Advice(..) => None,
        });
        let advice = self.fixes.iter().filter_map(|fix| match fix {
            Fix::Advice(english, _) => Some(english.as_str()),
            Fix::Line { .. } => None,
        });
        json!({
            "code": self.code.name(),
            "result": self.level.name(),
            "at": self.at,
            "measured": self.measured,
            "why": Lang::En.say(self.code.why()),
            "fix": lines.collect::<Vec<_>>(),
            "advice": advice.collect::<Vec<_>>(),
            "where": self.place(),
            "page": format!("docs/storage.md#{}", super::ANCHOR),
        })
    }
}

/// 3.2 MiB.
pub fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "bytes");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{value:.1} {unit}") }
}

/// Median, 99 of 100, longest; empty of nothing.
pub fn times(times: &[std::time::Duration]) -> Option<(f64, f64, f64)> {
    let mut times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied();
    Some((at(50)?, at(99)?, times.last().copied()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn figures_are_written_for_people() {
        for (bytes, text) in [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB")] {
            assert_eq!(size(bytes), text);
        }
        let all: Vec<Duration> = (1..=100).map(Duration::from_millis).rev().collect();
        assert_eq!(times(&all), Some((51.0, 100.0, 100.0)));
        assert_eq!(times(&[]), None);
    }

    #[test]
    fn the_worst_comes_last() {
        assert!(Level::Ok < Level::Unknown && Level::Unknown < Level::Warning && Level::Fault < Level::Stop);
    }
}
