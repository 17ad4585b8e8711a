//! The page, without a script: what a template shows of a summary.

use super::codes;
use super::summary::{ACCOUNT, FAULTS, GAVE_UP, Point, State, Stretch, Summary, TURNED_AWAY, Took};
use super::words::Words;
use super::{report, time};
use crate::observe::plot::{Bar, Plot};
use crate::texts::Locale;
use askama::Template;
use serde_json::Value;

/// A bar that was clicked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chosen {
    /// Unix seconds.
    pub at: i64,
    pub seconds: i64,
}

/// Of a bar, the lowest first.
const PARTS: [&str; 3] = ["good", "bad", "gone"];

#[derive(Template)]
#[template(path = "status.html")]
struct View<'a> {
    words: &'a Words,
    lang: &'static str,
    other: &'static str,
    state: &'static str,
    sentence: String,
    reasons: Vec<&'static str>,
    now: String,
    summary: &'a Summary,
    active: u64,
    steps: Vec<Step>,
    plots: Vec<Drawn<'a>>,
    chosen: Option<ChosenView<'a>>,
    ends: Vec<End<'a>>,
    transports: Vec<Share<'a>>,
    nodes: Vec<NodeRow>,
    left_open: u64,
    hops: Vec<HopRow<'a>>,
    networks_seen: u64,
    keys: Vec<(String, String, &'static str)>,
    warnings: Vec<String>,
    failures: Vec<FailureRow>,
}

/// Of the way from the page to the session.
struct Step {
    name: &'static str,
    count: Option<u64>,
    note: String,
    /// Percent of the widest.
    width: u64,
}

struct Drawn<'a> {
    id: &'static str,
    title: &'a str,
    drawing: String,
    /// Those in which something happened.
    rows: Vec<PointRow>,
}

struct PointRow {
    link: String,
    time: String,
    counts: [u64; 3],
}

struct ChosenView<'a> {
    time: String,
    ends: Vec<(&'a str, u64)>,
    failures: Vec<FailureRow>,
}

struct End<'a> {
    class: &'static str,
    name: &'a str,
    hour: u64,
    day: u64,
}

struct Share<'a> {
    name: &'a str,
    count: u64,
    percent: u64,
}

struct NodeRow {
    name: String,
    version: String,
    age: String,
    active: String,
    store: String,
    store_up: bool,
    max: Vec<(String, bool)>,
    app_version: String,
    crashed: u64,
}

struct HopRow<'a> {
    hop: &'a str,
    transport: &'a str,
    ended: u64,
    cut: u64,
    frozen: u64,
    timer: String,
}

struct FailureRow {
    time: String,
    login: String,
    reason: String,
    max_code: String,
    network: String,
    node: String,
}

/// `keys`: as `/keys` lists them.
pub fn page(summary: &Summary, keys: Option<&Value>, locale: Locale, chosen: Option<Chosen>) -> String {
    let words = Words::of(locale);
    let view = View {
        words,
        lang: locale.tag(),
        other: if locale == Locale::Ru { "en" } else { "ru" },
        state: match summary.state {
            State::Up => "up",
            State::Idle => "idle",
            State::Degraded => "degraded",
            State::Down => "down",
        },
        sentence: words.sentence(summary),
        reasons: summary.reasons.iter().map(|reason| reason.text(locale)).collect(),
        now: time::moment(summary.at),
        summary,
        active: summary.nodes.iter().map(|node| node.facts.active).sum(),
        steps: steps(words, &summary.day, &summary.day_times),
        plots: vec![
            drawn("hour", words.hour_plot, &summary.minutes, 10, (locale, chosen)),
            drawn("day", words.day_plot, &summary.half_hours, 8, (locale, chosen)),
        ],
        chosen: chosen.map(|chosen| chosen_view(summary, chosen, locale)),
        ends: ends(summary, locale),
        transports: transports(&summary.day, locale),
        nodes: summary.nodes.iter().map(|node| node_row(words, summary.at, node)).collect(),
        left_open: summary.nodes.iter().map(|node| node.left_open).sum(),
        hops: hops(summary, locale),
        networks_seen: summary.nodes.iter().map(|node| node.facts.networks_seen).max().unwrap_or_default(),
        keys: key_rows(keys, locale),
        warnings: warnings(summary, locale),
        failures: failures(summary, locale, None),
    };
    view.render().unwrap_or_default()
}

fn steps(words: &Words, day: &Stretch, times: &super::summary::Times) -> Vec<Step> {
    let took = |took: &Took| match (took.p50, took.p90) {
        (Some(p50), Some(p90)) => {
            format!("{} {}, {} {}", words.median, words.moment(p50), words.nine_of_ten, words.moment(p90))
        }
        _ => String::new(),
    };
    let [code, approved, success, handed] = [0, 1, 2, 3].map(|at| took(&times[at]));
    let rows = [
        (words.step_page, Some(day.of("pages")), String::new()),
        (words.step_begun, Some(day.of("started")), String::new()),
        (words.step_code, Some(day.of("codes")), code),
        (words.step_scanned, None, words.step_scanned_note.to_owned()),
        (words.step_approved, Some(day.of("approved")), approved),
        (words.step_success, Some(day.success()), success),
        (words.step_handed, Some(day.of("handed-over")), handed),
    ];
    let widest = rows.iter().filter_map(|row| row.1).max().unwrap_or_default().max(1);
    // A site with the button alone has no such page.
    let rows = rows.into_iter().enumerate().filter(|(at, row)| *at > 0 || row.1 != Some(0));
    let step = |(_, (name, count, note)): (usize, (&'static str, Option<u64>, String))| Step {
        name,
        count,
        note,
        width: count.unwrap_or_default() * 100 / widest,
    };
    rows.map(step).collect()
}

fn parts(counts: &Stretch) -> [u64; 3] {
    [counts.success(), counts.failed(), counts.gave_up()]
}

fn span(at: i64, seconds: i64) -> String {
    format!("{}–{}", time::clock(at), time::clock(at + seconds))
}

fn drawn<'a>(
    id: &'static str,
    title: &'a str,
    points: &[Point],
    marks: usize,
    (locale, chosen): (Locale, Option<Chosen>),
) -> Drawn<'a> {
    let words = Words::of(locale);
    let link = |point: &Point| format!("?lang={}&at={}&for={}#chosen", locale.tag(), point.at, point.seconds);
    let bar = |point: &Point| {
        let [success, failed, left] = parts(&point.counts);
        let label = format!(
            "{}: {} {success}, {} {failed}, {} {left}",
            span(point.at, point.seconds),
            words.success.to_lowercase(),
            words.failed.to_lowercase(),
            words.left.to_lowercase()
        );
        let is_chosen = chosen == Some(Chosen { at: point.at, seconds: point.seconds });
        Bar { parts: vec![success, failed, left], label, link: link(point), chosen: is_chosen }
    };
    let every = points.len().div_ceil(marks).max(1);
    let marks = points.iter().enumerate().filter(|(at, _)| at % every == 0);
    let plot = Plot {
        id,
        title,
        description: words.plot_note,
        bars: points.iter().map(bar).collect(),
        classes: &PARTS,
        marks: marks.map(|(at, point)| (at, time::clock(point.at))).collect(),
    };
    let row = |point: &Point| PointRow {
        link: link(point),
        time: span(point.at, point.seconds),
        counts: parts(&point.counts),
    };
    let rows = points.iter().rev().filter(|point| parts(&point.counts) != [0; 3]).map(row).collect();
    Drawn { id, title, drawing: plot.html(), rows }
}

fn chosen_view(summary: &Summary, chosen: Chosen, locale: Locale) -> ChosenView<'static> {
    let points = if chosen.seconds == report::MINUTE { &summary.minutes } else { &summary.half_hours };
    let point = points.iter().find(|point| point.at == chosen.at && point.seconds == chosen.seconds);
    let counts = point.map(|point| point.counts).unwrap_or_default();
    let groups = [&["success"][..], &FAULTS, &ACCOUNT, &GAVE_UP, &["server-stopped"], &TURNED_AWAY].concat();
    let ends = groups.into_iter().map(|name| (codes::end(name, locale), counts.of(name)));
    ChosenView {
        time: span(chosen.at, chosen.seconds),
        ends: ends.filter(|(_, count)| *count > 0).collect(),
        failures: failures(summary, locale, Some(chosen)).into_iter().take(10).collect(),
    }
}

fn ends(summary: &Summary, locale: Locale) -> Vec<End<'static>> {
    let groups: [(&'static str, &[&'static str]); 6] = [
        ("good", &["success"]),
        ("bad", &FAULTS),
        ("bad", &ACCOUNT),
        ("gone", &GAVE_UP),
        ("gone", &["server-stopped"]),
        ("away", &TURNED_AWAY),
    ];
    let all = groups.into_iter().flat_map(|(class, names)| names.iter().map(move |name| (class, *name)));
    let end = |(class, name)| End {
        class,
        name: codes::end(name, locale),
        hour: summary.hour.of(name),
        day: summary.day.of(name),
    };
    all.map(end).filter(|end| end.hour + end.day > 0).collect()
}

fn transports(day: &Stretch, locale: Locale) -> Vec<Share<'static>> {
    let names = ["websocket", "sse", "page"];
    let all: u64 = names.iter().map(|name| day.of(name)).sum();
    let share = |name: &&'static str| {
        let count = day.of(name);
        Share {
            name: codes::transport(name, locale),
            count,
            percent: (count * 100).checked_div(all).unwrap_or_default(),
        }
    };
    names.iter().map(share).filter(|_| all > 0).collect()
}

fn node_row(words: &Words, now: i64, node: &report::NodeReport) -> NodeRow {
    let facts = &node.facts;
    NodeRow {
        name: facts.node.clone(),
        version: facts.version.clone(),
        age: words.duration((now - facts.since).max(1)),
        active: format!("{} / {}", facts.active, facts.max_active),
        store: facts.store_kind.clone(),
        store_up: node.store_up,
        max: node.endpoints.iter().map(|endpoint| (endpoint.address.clone(), endpoint.up)).collect(),
        app_version: facts.app_version.clone(),
        crashed: node.crashed,
    }
}

fn hops(summary: &Summary, locale: Locale) -> Vec<HopRow<'_>> {
    let words = Words::of(locale);
    let timer = |hop: &report::Hop| {
        let timer = hop.timer.map(|seconds| {
            let idle = if hop.idle { format!(" {}", words.since_last_byte) } else { String::new() };
            format!("{}{idle}", words.moment(seconds))
        });
        timer.unwrap_or_default()
    };
    summary
        .hops
        .iter()
        .take(12)
        .map(|hop| HopRow {
            hop: &hop.hop,
            transport: codes::transport(&hop.transport, locale),
            ended: hop.ended,
            cut: hop.cut,
            frozen: hop.frozen,
            timer: timer(hop),
        })
        .collect()
}

fn key_rows(keys: Option<&Value>, locale: Locale) -> Vec<(String, String, &'static str)> {
    let listed = keys.and_then(|keys| keys["keys"].as_array()).map(Vec::as_slice).unwrap_or_default();
    let text = |key: &Value, name: &str| key[name].as_str().unwrap_or_default().to_owned();
    let state = |key: &Value| match key["state"].as_str() {
        Some("signing") => codes::key_use("signing", locale),
        Some("next") => codes::key_use("next", locale),
        _ => codes::key_use("retired", locale),
    };
    listed.iter().map(|key| (text(key, "kid"), text(key, "alg"), state(key))).collect()
}

fn warnings(summary: &Summary, locale: Locale) -> Vec<String> {
    let many = summary.nodes.len() > 1;
    let of = |node: &report::NodeReport| {
        let name = if many { format!("{}: ", node.facts.node) } else { String::new() };
        let said = node.facts.warnings.iter().map(|code| format!("{name}{}", codes::warning(code, locale)));
        said.collect::<Vec<_>>()
    };
    summary.nodes.iter().flat_map(of).collect()
}

fn failures(summary: &Summary, locale: Locale, within: Option<Chosen>) -> Vec<FailureRow> {
    let is_within =
        |at: i64| within.is_none_or(|chosen| (chosen.at..chosen.at + chosen.seconds).contains(&at.div_euclid(1000)));
    let row = |(node, failed): (&str, &report::FailedLogin)| FailureRow {
        time: time::moment(failed.at.div_euclid(1000)),
        login: failed.login.clone(),
        reason: codes::end(&failed.reason, locale).to_owned(),
        max_code: failed.max_code.clone().unwrap_or_default(),
        network: failed.network.clone().unwrap_or_default(),
        node: node.to_owned(),
    };
    summary.failures().into_iter().filter(|(_, failed)| is_within(failed.at)).map(row).collect()
}

#[derive(Template)]
#[template(path = "health.html")]
struct Health<'a> {
    words: &'a Words,
    lang: &'static str,
    works: bool,
}

/// What anybody may know.
pub fn health_page(works: bool, locale: Locale) -> String {
    Health { words: Words::of(locale), lang: locale.tag(), works }.render().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{NOW, report};
    use super::super::summary::summary;
    use super::*;
    use serde_json::json;

    fn two_nodes() -> Summary {
        let mut one = report("one", 40, ("max-trouble", 5));
        one.facts.failures.push(report::FailedLogin {
            at: (NOW - 50) * 1000,
            login: "abcd1234".into(),
            reason: "max-trouble".into(),
            max_code: Some("service.timeout".into()),
            network: Some("198.51.0.0/16".into()),
        });
        one.facts.warnings = vec!["public-url-not-set".into()];
        one.facts.hops.push(report::Hop {
            hop: "HTTP/1.0 <connection>".into(),
            transport: "sse".into(),
            ended: 41,
            cut: 39,
            frozen: 0,
            timer: Some(60.0),
            idle: true,
        });
        summary(one, vec![report("two", 3, ("password-wrong", 1))], vec!["three".into()])
    }

    #[test]
    fn the_page_says_what_the_figures_are_in_both_languages() {
        let keys = json!({ "keys": [{ "state": "signing", "alg": "ES256", "kid": "k1" }] });
        let chosen = Some(Chosen { at: NOW - 60, seconds: 60 });
        for (locale, says) in [
            (Locale::Ru, ["Вход работает с перебоями: 43 из 49 за сутки", "Неполадки MAX", "подписывает"]),
            (Locale::En, ["Signing in works with trouble: 43 of 49 in the last day", "MAX has trouble", "signs"]),
        ] {
            let page = page(&two_nodes(), Some(&keys), locale, chosen);
            for said in says.into_iter().chain(["abcd1234", "198.51.0.0/16", "service.timeout", "k1", "two", "three"]) {
                assert!(page.contains(said), "{said} is not in\n{page}");
            }
            assert!(page.contains("HTTP/1.0 &#60;connection&#62;") && !page.contains("<script"), "escaped");
            assert!(page.contains(&format!("lang=\"{}\"", locale.tag())));
            assert_eq!(page.matches("aria-current=\"true\"").count(), 1, "the chosen bar");
            assert_eq!(page.matches("<svg").count(), 2);
        }
        let page = page(&summary(report("one", 0, ("internal", 0)), Vec::new(), Vec::new()), None, Locale::Ru, None);
        assert!(page.contains("Ещё никто не входил; поломок не видно") && !page.contains("id=\"chosen\""));
    }

    #[test]
    fn programs_read_the_same() {
        let told = super::super::json(&two_nodes(), None, Locale::En);
        assert_eq!((&told["state"], &told["reasons"]), (&json!("degraded"), &json!(["sign-ins-fail"])));
        assert_eq!((&told["day"]["success"], &told["day"]["failed"]), (&json!(43), &json!(6)));
        assert_eq!(told["day"]["counts"], json!({"started": 49, "success": 43, "max-trouble": 5, "password-wrong": 1}));
        assert_eq!(told["failures"][0]["maxCode"], "service.timeout");
        assert_eq!((&told["nodes"][1]["node"], &told["silentNodes"]), (&json!("two"), &json!(["three"])));
        assert_eq!(told["points"]["hour"].as_array().unwrap().len(), 60);
    }

    #[test]
    fn the_public_page_says_only_whether_it_works() {
        assert!(health_page(true, Locale::Ru).contains("Вход работает."));
        assert!(health_page(false, Locale::En).contains("works with trouble"));
    }
}
