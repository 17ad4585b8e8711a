//! `--networks`: do sign-ins fail for the visitors of some networks only? Some in Russia freeze a connection to a host abroad
//! after some 25 packets or 16 KB, in silence: nothing that a probe could see from here, but the running server has counts.

use super::finding::Finding;
use super::layout::Paint;
use super::report::Report;
use super::{nothing_asked, words};
use crate::probe::{FREEZE_KB, NetworkCounts, NetworkSeen, NetworksAnswer};
use crate::proxies::{FindingCode, Lang, Text, UNKNOWN};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// So few are chance.
const ENOUGH: u64 = 3;

/// And one in so many of all.
const SHARE: u64 = 10;

/// Of streams, one in so many, and so many times the share of all other networks, whose streams are so many at least.
const SILENT_SHARE: u64 = 4;
const OTHERS: u64 = 20;

/// Rows of the text; the JSON has all.
const ROWS: usize = 20;

/// Networks that the evidence names.
const NAMED: usize = 4;

/// How many ended, and of these, how many went silent.
#[derive(Clone, Copy)]
struct Streams {
    ended: u64,
    silent: u64,
}

impl Streams {
    /// Of all networks but this one.
    fn of_others(seen: &NetworkSeen, all: &NetworkCounts) -> Self {
        let silent = all.silent.all().saturating_sub(seen.day.silent.all());
        Self { ended: all.streams.saturating_sub(seen.day.streams), silent }
    }
}

/// What the counts of a network say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Frozen,
    Fine,
    /// Too few visitors to tell.
    Few,
    /// Not a network of visitors, or one of the operator's own.
    Inside,
}

impl Verdict {
    /// `others`: all other networks.
    fn of(seen: &NetworkSeen, others: Streams) -> Self {
        let NetworkCounts { logins, frozen, streams, silent } = seen.day;
        let many = |part: u64, whole: u64| part >= ENOUGH && part * SHARE >= whole;
        let by_browsers = many(frozen, logins);
        // Machines that are put to sleep fall silent, too, whatever they were sent.
        let by_streams = many(silent.between, streams) && silent.between * 2 >= silent.all();
        // A network that counts packets freezes a stream of ours after 3 KB, as quiet as it is.
        let own = Streams { ended: streams, silent: silent.all() };
        let by_contrast = own.silent >= ENOUGH
            && own.silent * SILENT_SHARE >= own.ended
            && others.ended >= OTHERS
            && others.silent * own.ended * SILENT_SHARE <= own.silent * others.ended;
        match (seen.inside, by_browsers || by_streams || by_contrast) {
            (true, _) => Self::Inside,
            (false, true) => Self::Frozen,
            (false, false) if logins.max(streams) < ENOUGH => Self::Few,
            (false, false) => Self::Fine,
        }
    }

    /// As the JSON has it.
    fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Fine => "fine",
            Self::Few => "few",
            Self::Inside => "inside",
        }
    }

    fn word(self) -> Text {
        match self {
            Self::Frozen => words::NETWORK_FROZEN,
            Self::Fine => words::NETWORK_FINE,
            Self::Few => words::NETWORK_FEW,
            Self::Inside => words::NETWORK_INSIDE,
        }
    }
}

/// What a running server saw of the networks of its visitors.
pub struct NetworksReport {
    asked: String,
    /// Also those that are not listed.
    seen: u64,
    rows: Vec<(NetworkSeen, Verdict)>,
    /// Its findings.
    report: Report,
}

impl NetworksReport {
    /// Out of what the operator's listener at `asked` says.
    pub fn of(asked: &str, body: &[u8]) -> Result<Self, String> {
        let answer: NetworksAnswer =
            serde_json::from_slice(body).map_err(|error| format!("{asked} is not answered by max-auth: {error}"))?;
        let all = answer.all;
        let judged = |seen: NetworkSeen| {
            let verdict = Verdict::of(&seen, Streams::of_others(&seen, &all));
            (seen, verdict)
        };
        let rows: Vec<_> = answer.networks.into_iter().map(judged).collect();
        let findings = finding(answer.seen, &all, &rows).into_iter().collect();
        let report = Report { asked: asked.to_owned(), findings, ..nothing_asked() };
        Ok(Self { asked: asked.to_owned(), seen: answer.seen, rows, report })
    }

    /// 0 no network is in trouble, 1 one is.
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.report.findings.is_empty())
    }

    pub fn json(&self) -> Value {
        let row = |(seen, verdict): &(NetworkSeen, Verdict)| {
            let (hour, day) = (json!(seen.hour), json!(seen.day));
            json!({ "network": seen.network, "verdict": verdict.name(), "hour": hour, "day": day })
        };
        json!({
            "asked": self.asked,
            "seen": self.seen,
            "networks": self.rows.iter().map(row).collect::<Vec<_>>(),
            "findings": self.report.findings.iter().map(|finding| finding.json(&self.report.site)).collect::<Vec<_>>(),
        })
    }

    pub fn text(&self, colours: bool, lang: Lang) -> String {
        let paint = Paint(colours);
        let sentence = match (self.rows.is_empty(), self.report.findings.is_empty()) {
            (true, _) => words::NETWORKS_NONE,
            (false, true) => words::NETWORKS_FINE,
            (false, false) => words::NETWORKS_FROZEN,
        };
        let title = paint.bold(&format!("max-auth doctor --networks {}", self.asked));
        let mut text = format!("{title}\n\n{}\n", lang.say(sentence));
        if !self.rows.is_empty() {
            let _ = writeln!(text, "\n{}", line(&words::NETWORKS_COLUMNS.map(|column| lang.say(column))));
        }
        for (seen, verdict) in self.rows.iter().take(ROWS) {
            let said = lang.say(verdict.word());
            let said = if *verdict == Verdict::Frozen { paint.red(said) } else { said.to_owned() };
            let _ = writeln!(text, "{}  {said}", line(&figures(seen)));
        }
        match self.seen.saturating_sub(self.rows.len().min(ROWS) as u64) {
            0 => {}
            more => drop(writeln!(text, "  {}: {more}", lang.say(words::NETWORKS_MORE))),
        }
        for finding in &self.report.findings {
            self.report.finding(&mut text, &paint, finding, lang);
        }
        text.trim_end().to_owned()
    }
}

/// Under [`words::NETWORKS_COLUMNS`].
fn figures(seen: &NetworkSeen) -> [String; 9] {
    let NetworkCounts { logins, frozen, streams, silent } = seen.day;
    let mean = silent.mean_bytes.map(|bytes| (bytes / 1024).to_string());
    let [logins, frozen, now, streams, below, between, above] =
        [logins, frozen, seen.hour.frozen, streams, silent.below, silent.between, silent.above].map(|n| n.to_string());
    [seen.network.clone(), logins, frozen, now, streams, below, between, above, mean.unwrap_or_default()]
}

fn line<T: AsRef<str>>(columns: &[T; 9]) -> String {
    let [network, logins, frozen, now, streams, below, between, above, mean] = columns.each_ref().map(AsRef::as_ref);
    format!("  {network:<18}{logins:>9}{frozen:>9}{now:>8}{streams:>9}{below:>11}{between:>7}{above:>8}{mean:>8}")
}

/// One for all networks: what mends one mends all.
fn finding(seen: u64, all: &NetworkCounts, rows: &[(NetworkSeen, Verdict)]) -> Option<Finding> {
    let frozen: Vec<&NetworkSeen> =
        rows.iter().filter(|(_, verdict)| *verdict == Verdict::Frozen).map(|(seen, _)| seen).collect();
    if frozen.is_empty() {
        return None;
    }
    let named: Vec<String> = frozen.iter().take(NAMED).map(|seen| evidence(seen, all)).collect();
    let more = match frozen.len() {
        all if all > NAMED => format!("; and {} more", all - NAMED),
        _ => String::new(),
    };
    let evidence = format!("{} of {seen} networks in a day: {}{more}", frozen.len(), named.join("; "));
    Some(Finding::new(FindingCode::FrozenByNetwork, UNKNOWN, evidence))
}

fn evidence(seen: &NetworkSeen, all: &NetworkCounts) -> String {
    let NetworkCounts { logins, frozen, streams, silent } = seen.day;
    let mut said = format!("{}: browsers reported a frozen line in {frozen} of {logins} sign-ins", seen.network);
    if silent.all() > 0 {
        let others = Streams::of_others(seen, all);
        let _ = write!(said, ", {} of {streams} streams went silent without a close", silent.all());
        if let Some(bytes) = silent.mean_bytes {
            let ((from, to), kb) = (FREEZE_KB, bytes / 1024);
            let _ = write!(said, " ({} after {from} to {to} KB, {kb} KB on average)", silent.between);
        }
        let _ = write!(said, ", of all others {} of {}", others.silent, others.ended);
    }
    said
}

#[cfg(test)]
mod tests;
