//! The reports of all nodes together, and what they come to: does signing in work?

use super::report::{Bar, HALF_HOUR, Hop, MINUTE, NodeReport, Sparse};
use crate::observe::history::{self, COLUMNS, Counts};
use crate::probe::NetworkSeen;
use serde::Serialize;
use std::collections::BTreeMap;

/// Nobody could help it, and it is not the visitor's account: MAX, the way to it, or we.
pub const FAULTS: [&str; 6] =
    ["upstream-unreachable", "qr-login-disabled", "max-rate-limited", "max-trouble", "driver-down", "internal"];

/// The account does not allow it here.
pub const ACCOUNT: [&str; 4] = ["password-not-supported", "password-wrong", "two-factor-needed", "account-blocked"];

/// The visitor's own choice.
pub const GAVE_UP: [&str; 6] = ["login-expired", "visitor-left", "cancelled", "declined", "expired", "locked"];

/// Nothing was begun.
pub const TURNED_AWAY: [&str; 3] = ["busy", "rate-limited", "origin-refused"];

/// So many are needed to be believed.
const FEW: u64 = 3;

/// Whether people can sign in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Up,
    /// Nobody has tried for an hour, and nothing is known to be broken.
    Idle,
    Degraded,
    Down,
}

/// Why it is not [`State::Up`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    StoreUnreachable,
    MaxUnreachable,
    MaxAddressFails,
    AppVersionRefused,
    MaxLimits,
    SignInsFail,
    Busy,
    Stopping,
}

/// Counts of a stretch of time, of all nodes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stretch(Counts);

impl Stretch {
    pub fn of(&self, name: &str) -> u64 {
        history::index(name).map_or(0, |place| self.0[place])
    }

    fn sum(&self, names: &[&str]) -> u64 {
        names.iter().map(|name| self.of(name)).sum()
    }

    pub fn success(&self) -> u64 {
        self.of("success")
    }

    /// Whoever wanted to sign in and could not.
    pub fn failed(&self) -> u64 {
        self.faults() + self.sum(&ACCOUNT)
    }

    pub fn faults(&self) -> u64 {
        self.sum(&FAULTS)
    }

    pub fn gave_up(&self) -> u64 {
        self.sum(&GAVE_UP)
    }

    pub fn turned_away(&self) -> u64 {
        self.sum(&TURNED_AWAY)
    }

    /// Those that were decided.
    pub fn decided(&self) -> u64 {
        self.success() + self.failed()
    }

    /// Each that is not zero, by its name.
    pub fn named(&self) -> BTreeMap<&'static str, u64> {
        let named = COLUMNS.iter().zip(self.0).filter(|(_, count)| *count > 0);
        named.map(|(column, count)| (column.name, count)).collect()
    }

    fn add(&mut self, counts: &Sparse) {
        for (place, count) in counts {
            if let Some(sum) = self.0.get_mut(*place) {
                *sum = sum.saturating_add(*count);
            }
        }
    }
}

impl Default for Stretch {
    fn default() -> Self {
        Self([0; COLUMNS.len()])
    }
}

/// A bar of all nodes together.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// Unix seconds.
    pub at: i64,
    pub seconds: i64,
    pub counts: Stretch,
}

/// How long the steps took: the median and what nine of ten are below, in seconds, for each of [`history::TIMES`].
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Took {
    pub p50: Option<f64>,
    pub p90: Option<f64>,
}

pub type Times = [Took; history::TIMES.len()];

/// All nodes together.
pub struct Summary {
    /// When, Unix seconds.
    pub at: i64,
    pub state: State,
    pub reasons: Vec<Reason>,
    pub recent: Stretch,
    pub hour: Stretch,
    pub day: Stretch,
    pub hour_times: Times,
    pub day_times: Times,
    pub minutes: Vec<Point>,
    pub half_hours: Vec<Point>,
    /// Ours first.
    pub nodes: Vec<NodeReport>,
    /// Nodes that live and left no report, or one that we do not understand.
    pub silent: Vec<String>,
    pub hops: Vec<Hop>,
    pub networks: Vec<NetworkSeen>,
    pub refusals: BTreeMap<String, u64>,
}

/// `ours` and those of `others`; `silent` live too.
pub fn summary(ours: NodeReport, others: Vec<NodeReport>, mut silent: Vec<String>) -> Summary {
    let at = ours.at;
    let (readable, strange): (Vec<_>, Vec<_>) = others.into_iter().partition(NodeReport::is_readable);
    silent.extend(strange.into_iter().map(|report| report.facts.node));
    let mut nodes = vec![ours];
    nodes.extend(readable);
    let stretch = |of: fn(&NodeReport) -> &Sparse| {
        let mut sum = Stretch::default();
        nodes.iter().for_each(|node| sum.add(of(node)));
        sum
    };
    let (recent, hour, day) = (stretch(|node| &node.recent), stretch(|node| &node.hour), stretch(|node| &node.day));
    let (state, reasons) = judge(&nodes, &recent, &hour);
    Summary {
        at,
        state,
        reasons,
        recent,
        hour,
        day,
        hour_times: times(nodes.iter().map(|node| &node.hour_times)),
        day_times: times(nodes.iter().map(|node| &node.day_times)),
        minutes: points(nodes.iter().map(|node| &node.minutes), MINUTE, 60, at),
        half_hours: points(nodes.iter().map(|node| &node.half_hours), HALF_HOUR, 48, at),
        hops: hops(&nodes),
        networks: networks(&nodes),
        refusals: refusals(&nodes),
        silent,
        nodes,
    }
}

fn judge(nodes: &[NodeReport], recent: &Stretch, hour: &Stretch) -> (State, Vec<Reason>) {
    let mut reasons = Vec::new();
    let mut down = false;
    let mut found = |reason, is_all| {
        down |= is_all;
        reasons.push(reason);
    };
    let all = |of: fn(&NodeReport) -> bool| nodes.iter().all(of);
    let any = |of: fn(&NodeReport) -> bool| nodes.iter().any(of);
    if any(|node| !node.store_up) {
        found(Reason::StoreUnreachable, all(|node| !node.store_up));
    }
    let cut_off = |node: &NodeReport| !node.endpoints.is_empty() && node.endpoints.iter().all(|endpoint| !endpoint.up);
    if nodes.iter().any(cut_off) {
        found(Reason::MaxUnreachable, nodes.iter().all(cut_off));
    } else if any(|node| node.endpoints.iter().any(|endpoint| !endpoint.up)) {
        found(Reason::MaxAddressFails, false);
    }
    let nobody = recent.success() == 0;
    if recent.of("qr-login-disabled") > 0 {
        found(Reason::AppVersionRefused, nobody);
    }
    if recent.of("max-rate-limited") > 0 {
        found(Reason::MaxLimits, false);
    }
    let many =
        |stretch: &Stretch| stretch.faults() >= FEW && stretch.faults() * 10 > stretch.success() + stretch.faults();
    if many(recent) || many(hour) {
        found(Reason::SignInsFail, nobody && recent.faults() >= FEW);
    }
    if recent.of("busy") > 0 {
        found(Reason::Busy, false);
    }
    if any(|node| node.facts.stopping) {
        found(Reason::Stopping, all(|node| node.facts.stopping));
    }
    let state = match (down, reasons.is_empty()) {
        (true, _) => State::Down,
        (false, false) => State::Degraded,
        (false, true) if hour.decided() == 0 => State::Idle,
        (false, true) => State::Up,
    };
    (state, reasons)
}

fn times<'a>(nodes: impl Iterator<Item = &'a Vec<Vec<u64>>>) -> Times {
    let mut sums: Vec<Vec<u64>> =
        history::TIMES.iter().map(|times| vec![0; history::bounds(times).len() + 1]).collect();
    for (sum, more) in nodes.flat_map(|node| node.iter().enumerate()) {
        if let Some(sums) = sums.get_mut(sum) {
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(*more));
        }
    }
    std::array::from_fn(|at| {
        let quantile = |part| history::quantile(part, history::bounds(history::TIMES[at]), &sums[at]);
        Took { p50: quantile(0.5), p90: quantile(0.9) }
    })
}

fn points<'a>(nodes: impl Iterator<Item = &'a Vec<Bar>>, seconds: i64, count: i64, now: i64) -> Vec<Point> {
    let newest = now.div_euclid(seconds);
    let empty = |number| Point { at: number * seconds, seconds, counts: Stretch::default() };
    let mut points: Vec<Point> = (newest + 1 - count..=newest).map(empty).collect();
    for bar in nodes.flatten() {
        if let Some(point) = points.iter_mut().find(|point| point.at == bar.at) {
            point.counts.add(&bar.counts);
        }
    }
    points
}

/// Of the same path at several nodes one row.
fn hops(nodes: &[NodeReport]) -> Vec<Hop> {
    let mut rows: Vec<Hop> = Vec::new();
    for hop in nodes.iter().flat_map(|node| &node.facts.hops) {
        match rows.iter_mut().find(|row| row.hop == hop.hop && row.transport == hop.transport) {
            Some(row) => {
                row.ended += hop.ended;
                row.cut += hop.cut;
                row.frozen += hop.frozen;
                if row.timer.is_none() {
                    (row.timer, row.idle) = (hop.timer, hop.idle);
                }
            }
            None => rows.push(hop.clone()),
        }
    }
    rows.sort_by(|a, b| (b.cut + b.frozen, b.ended).cmp(&(a.cut + a.frozen, a.ended)).then_with(|| a.hop.cmp(&b.hop)));
    rows
}

fn networks(nodes: &[NodeReport]) -> Vec<NetworkSeen> {
    let mut rows: Vec<NetworkSeen> = Vec::new();
    for seen in nodes.iter().flat_map(|node| &node.facts.networks) {
        match rows.iter_mut().find(|row| row.network == seen.network) {
            Some(row) => {
                for (sum, more) in [(&mut row.hour, seen.hour), (&mut row.day, seen.day)] {
                    sum.logins += more.logins;
                    sum.frozen += more.frozen;
                    sum.streams += more.streams;
                    sum.silent.below += more.silent.below;
                    sum.silent.between += more.silent.between;
                    sum.silent.above += more.silent.above;
                }
            }
            None => rows.push(seen.clone()),
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse((row.day.frozen + row.day.silent.between, row.day.logins)));
    rows
}

fn refusals(nodes: &[NodeReport]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (code, times) in nodes.iter().flat_map(|node| &node.refusals) {
        *all.entry(code.clone()).or_default() += times;
    }
    all
}

impl Summary {
    /// For how many seconds of the last day there is something to tell: since the node that has run for longest began.
    pub fn known_for(&self) -> i64 {
        let oldest = self.nodes.iter().map(|node| node.facts.since).min().unwrap_or(self.at);
        (self.at - oldest).clamp(0, super::report::DAY)
    }

    /// The newest failures of all nodes, each with its node.
    pub fn failures(&self) -> Vec<(&str, &super::report::FailedLogin)> {
        let of = |node: &'_ NodeReport| node.facts.failures.len();
        let mut all = Vec::with_capacity(self.nodes.iter().map(of).sum());
        for node in &self.nodes {
            all.extend(node.facts.failures.iter().map(|failed| (node.facts.node.as_str(), failed)));
        }
        all.sort_by_key(|(_, failed)| std::cmp::Reverse(failed.at));
        all.truncate(50);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{NOW, report};
    use super::*;

    /// Of one node that is changed.
    fn judged(success: u64, failed: (&str, u64), change: impl Fn(&mut NodeReport)) -> (State, Vec<Reason>) {
        let mut report = report("one", success, failed);
        change(&mut report);
        let summary = summary(report, Vec::new(), Vec::new());
        (summary.state, summary.reasons)
    }

    #[test]
    fn whether_people_can_sign_in() {
        let fine = |_: &mut NodeReport| {};
        for (success, reason, failed, state, why) in [
            (40, "max-trouble", 0, State::Up, None),
            (0, "max-trouble", 0, State::Idle, None),
            (40, "max-trouble", 4, State::Up, None),
            (40, "max-trouble", 5, State::Degraded, Some(Reason::SignInsFail)),
            (1, "internal", 2, State::Up, None),
            (0, "internal", 3, State::Down, Some(Reason::SignInsFail)),
            (1, "visitor-left", 40, State::Up, None),
            (1, "two-factor-needed", 40, State::Up, None),
            (9, "qr-login-disabled", 1, State::Degraded, Some(Reason::AppVersionRefused)),
            (0, "qr-login-disabled", 1, State::Down, Some(Reason::AppVersionRefused)),
            (900, "max-rate-limited", 1, State::Degraded, Some(Reason::MaxLimits)),
        ] {
            let judged = judged(success, (reason, failed), fine);
            assert_eq!(judged, (state, why.into_iter().collect()), "{success} and {failed} {reason}");
        }
        let off = |node: &mut NodeReport, count: usize| {
            node.endpoints.iter_mut().take(count).for_each(|endpoint| endpoint.up = false);
        };
        let some = ("max-trouble", 0);
        assert_eq!(judged(9, some, |node| off(node, 1)), (State::Degraded, vec![Reason::MaxAddressFails]));
        assert_eq!(judged(9, some, |node| off(node, 2)), (State::Down, vec![Reason::MaxUnreachable]));
        assert_eq!(judged(9, some, |node| node.store_up = false), (State::Down, vec![Reason::StoreUnreachable]));
        assert_eq!(judged(9, some, |node| node.facts.stopping = true), (State::Down, vec![Reason::Stopping]));
    }

    #[test]
    fn nodes_are_added_and_one_that_is_broken_is_not_all_of_them() {
        let mut broken = report("two", 3, ("internal", 1));
        broken.store_up = false;
        broken.endpoints[0].up = false;
        let mut strange = report("old", 5, ("internal", 1));
        strange.hour = vec![(99, 1)];
        let all = summary(report("one", 40, ("max-trouble", 2)), vec![broken, strange], vec!["new".into()]);
        assert_eq!(
            (all.state, all.reasons),
            (State::Degraded, vec![Reason::StoreUnreachable, Reason::MaxAddressFails])
        );
        assert_eq!((all.day.success(), all.day.failed(), all.day.decided(), all.day.gave_up()), (43, 3, 46, 0));
        assert_eq!((all.nodes.len(), all.silent), (2, vec!["new".to_owned(), "old".to_owned()]));
        let bar = all.minutes.iter().find(|point| point.counts.success() > 0).unwrap();
        assert_eq!((bar.at, bar.counts.success(), bar.counts.of("internal")), (NOW - 60, 43, 1));
        assert_eq!((all.minutes.len(), all.half_hours.len(), all.minutes[59].at), (60, 48, NOW));
        assert_eq!(all.refusals["other"], 4);
    }
}
