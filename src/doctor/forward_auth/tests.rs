//! What is concluded of a protected page, row by row; the real proxies are in tests/chains/forward-auth.test.mjs.

use super::*;
use crate::snapshot::assert_snapshot;

const ASKED: &str = "https://example.ru/report?month=5&x=1&y=%20z&to=/other&max-auth-probe=u";
const RAW: &str = "/api/auth/max/enter?to=/report?month=5&x=1&y=%20z&to=/other&max-auth-probe=u";
const ENCODED: &str = "https://example.ru/api/auth/max/enter?to=%2Freport%3Fmonth%3D5%26x%3D1%26y%3D%2520z%26to%3D%2Fother%26max-auth-probe%3Du";

fn answer(status: u16, headers: &[(&'static str, &str)]) -> HttpObservation {
    let pair = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
    HttpObservation { status, headers: headers.iter().map(pair).collect(), ..HttpObservation::default() }
}

fn seen(forged: &[&str]) -> Option<VerifySeen> {
    Some(VerifySeen {
        origin: "https://example.ru".to_owned(),
        path: "/report?month=5".to_owned(),
        listed: true,
        proxy_unlisted: false,
        by_header: true,
        forged: forged.iter().map(|name| (*name).to_owned()).collect(),
    })
}

/// A page that is protected well, by a product that names itself so.
fn well(server: &str) -> Observed {
    let page = answer(303, &[("location", ENCODED), ("server", server)]);
    Observed {
        url: ASKED.parse().unwrap(),
        page: page.clone(),
        forged: Some(page),
        page_seen: seen(&[]),
        forged_seen: seen(&[]),
        echo: Some(RequestEcho::default()),
        beside: answer(200, &[]),
        base: "/api/auth/max".to_owned(),
    }
}

fn with(server: &str, change: impl FnOnce(&mut Observed)) -> Observed {
    let mut observed = well(server);
    change(&mut observed);
    observed
}

fn told(observed: &Observed) -> Vec<String> {
    let findings = findings(observed).into_iter();
    findings.map(|found| format!("{} {}: {}", found.code.name(), found.layer.name(), found.evidence)).collect()
}

#[test]
fn a_page_that_is_protected_well_has_no_finding() {
    for server in ["nginx", "Caddy", "envoy", "none"] {
        for location in [RAW, ENCODED] {
            let observed = with(server, |seen| seen.page = answer(303, &[("location", location), ("server", server)]));
            assert_eq!(told(&observed), [""; 0], "{server} {location}");
        }
    }
    let report = report(well("nginx"));
    assert_eq!((report.exit_code(), report.json()["protected"].clone()), (0, true.into()));
}

#[test]
fn each_fault_is_told_by_what_was_seen() {
    let leads = |to: &str| answer(303, &[("location", to), ("server", "nginx")]);
    let all = ["x-auth-user", "x_auth_user"];
    let rows: Vec<(&str, Observed)> = vec![
        (
            "open, not asked",
            with("nginx", |seen| {
                (seen.page, seen.forged, seen.page_seen) = (answer(200, &[("server", "nginx")]), None, None);
            }),
        ),
        ("open, asked", with("Caddy", |seen| seen.page = answer(200, &[("server", "Caddy")]))),
        ("an error of the application", with("nginx", |seen| (seen.page, seen.page_seen) = (answer(404, &[]), None))),
        ("the application's own sign-in", with("nginx", |seen| (seen.page, seen.page_seen) = (leads("/login"), None))),
        ("refused", with("nginx", |seen| seen.page = answer(401, &[("server", "nginx")]))),
        ("refused by something else", with("nginx", |seen| (seen.page, seen.page_seen) = (answer(403, &[]), None))),
        (
            "the host is not listed",
            with("nginx", |seen| {
                seen.page = answer(401, &[("server", "nginx")]);
                seen.page_seen.as_mut().unwrap().listed = false;
            }),
        ),
        (
            "no answer of /verify",
            with("nginx", |seen| (seen.page, seen.page_seen) = (answer(500, &[("server", "nginx")]), None)),
        ),
        ("a limit", with("nginx", |seen| seen.page = answer(429, &[]))),
        ("no query", with("nginx", |seen| seen.page = leads("/api/auth/max/enter?to=/report"))),
        ("half a query", with("nginx", |seen| seen.page = leads("/api/auth/max/enter?to=/report?month=5"))),
        ("no address", with("nginx", |seen| seen.page = leads("/api/auth/max/enter?to=%2F"))),
        ("http", with("nginx", |seen| seen.page = leads(&ENCODED.replace("https:", "http:")))),
        ("another host", with("nginx", |seen| seen.page = leads(&ENCODED.replace("example.ru", "10.0.0.1:3001")))),
        (
            "not believed",
            with("Caddy", |seen| {
                seen.page =
                    answer(303, &[("location", "http://example.ru/api/auth/max/enter?to=%2F"), ("server", "Caddy")]);
                seen.page_seen.as_mut().unwrap().proxy_unlisted = true;
            }),
        ),
        ("underscores, nginx", with("nginx", |seen| seen.forged_seen = self::seen(&all))),
        ("forged, Caddy", with("Caddy", |seen| seen.forged_seen = self::seen(&["x-auth-user"]))),
        ("out of a cache", with("nginx", |seen| seen.page = answer(303, &[("location", RAW), ("age", "7")]))),
        (
            "to be kept",
            with("nginx", |seen| {
                seen.page =
                    answer(303, &[("location", RAW), ("cache-control", "Public, max-age=60"), ("server", "nginx")]);
            }),
        ),
        ("asked once", with("nginx", |seen| seen.forged_seen = None)),
        ("never asked", with("nginx", |seen| (seen.page_seen, seen.forged_seen) = (None, None))),
        (
            "the sign-in is protected, too",
            with("nginx", |seen| {
                (seen.page_seen, seen.forged_seen, seen.echo) = (None, None, None);
                seen.beside = answer(303, &[("location", "/api/auth/max/enter?to=/api/auth/max/probe")]);
            }),
        ),
    ];
    let mut text = String::new();
    for (title, observed) in rows {
        let told = told(&observed);
        assert!(!told.is_empty(), "{title}");
        let code = report(observed).exit_code();
        let _ = writeln!(text, "=== {title} ({code})\n{}", told.join("\n"));
    }
    assert_snapshot("doctor/snapshots/forward-auth.txt", &text);
}

#[test]
fn what_cannot_be_seen_of_an_application_is_no_finding_and_is_said() {
    let forged = |server: &str, names: &[&str]| with(server, |observed| observed.forged_seen = seen(names));
    for (server, names, said) in [
        (
            "nginx",
            &["x-auth-user"][..],
            "X_Auth_User is dropped; whether X-Auth-User is set anew is not seen from outside",
        ),
        ("none", &["x-auth-user", "x_auth_user"], "whether a visitor's X-Auth-User is set anew is not seen"),
        ("envoy", &[], "whether a visitor's X-Auth-User is set anew is not seen"),
        ("Caddy", &[], "X-Auth-User is taken away"),
    ] {
        let observed = forged(server, names);
        assert_eq!(told(&observed), [""; 0], "{server}");
        assert!(lines(&observed).last().unwrap().contains(said), "{server}: {:?}", lines(&observed));
    }
    // Traefik does not name itself in answers, but in requests.
    let traefik = with("none", |observed| {
        let marks = ["x-forwarded-server", "x-forwarded-port", "x-real-ip"].map(str::to_owned).to_vec();
        observed.echo = Some(RequestEcho { marks, ..RequestEcho::default() });
    });
    assert_eq!(layer(&traefik).name(), "traefik");
}

#[test]
fn only_the_same_page_elsewhere_is_followed() {
    let from: Url = "http://example.ru/a?x=1".parse().unwrap();
    let to = |status, location| moved(&from, &answer(status, &[("location", location)])).map(|url| url.to_string());
    for status in [301, 302, 307, 308] {
        assert_eq!(to(status, "https://example.ru/a?x=1").as_deref(), Some("https://example.ru/a?x=1"), "{status}");
    }
    for (status, location) in [
        (303, "https://example.ru/a?x=1"),
        (301, "https://example.ru/a"),
        (301, "https://example.ru/b?x=1"),
        (301, "/a?x=1"),
        (301, "ftp://example.ru/a?x=1"),
    ] {
        assert_eq!(to(status, location), None, "{status} {location}");
    }
}

#[test]
fn a_redirect_to_enter_is_read_as_the_server_reads_it() {
    let asked: Url = ASKED.parse().unwrap();
    let of = |status, location: &str| {
        let led = led(&asked, &answer(status, &[("location", location)]))?;
        Some(format!("{} {} {}", led.origin, led.base, led.to))
    };
    assert_eq!(of(303, "/max/enter?to=/a?b=%20&c").as_deref(), Some("https://example.ru /max /a?b=%20&c"));
    assert_eq!(of(302, "http://a.ru/max/enter?to=%2Fa%3Fb").as_deref(), Some("http://a.ru /max /a?b"));
    for (status, location) in [(200, RAW), (303, "/login?to=/a"), (303, "/max/enter"), (303, "/max/enter?x=/a")] {
        assert_eq!(of(status, location), None, "{status} {location}");
    }
}

/// The report as people and programs get it.
#[test]
fn a_report_is_kept() {
    let mut text = String::new();
    let page = answer(303, &[("location", "/api/auth/max/enter?to=/report"), ("server", "nginx")]);
    for (title, observed) in [
        ("well", well("nginx")),
        (
            "no query, underscores",
            with("nginx", |seen| {
                (seen.page, seen.forged_seen) = (page, self::seen(&["x_auth_user"]));
            }),
        ),
        (
            "open",
            with("nginx", |seen| {
                (seen.page, seen.forged, seen.page_seen, seen.forged_seen) =
                    (answer(200, &[("server", "nginx")]), None, None, None);
            }),
        ),
    ] {
        let report = report(observed);
        for lang in [Lang::En, Lang::Ru] {
            let _ = writeln!(text, "=== {title}\n{}\n", report.text(false, lang));
        }
        let _ = writeln!(text, "{:#}\n", report.json());
    }
    assert_snapshot("doctor/snapshots/forward-auth-report.txt", &text);
}
