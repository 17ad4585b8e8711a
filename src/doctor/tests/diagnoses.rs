//! What is concluded from what was seen, without a network: each case changes one clean look, and all that is found is
//! kept as text.

use crate::base::clock::Clock;
use crate::base::tasks::Tasks;
use crate::doctor::Trust;
use crate::doctor::diagnose::{Diagnosis, diagnose};
use crate::doctor::http::Client;
use crate::doctor::http_observation::{HttpObservation, Pages};
use crate::doctor::probe_round::{Alone, LimitHit, ProbeRound};
use crate::doctor::reachability::Reached;
use crate::doctor::stream_observation::StreamObservation;
use crate::doctor::websocket_probe::WebSocketObservation;
use crate::probe::{RequestEcho, StreamTimer, TransportTimer};
use crate::snapshot::assert_snapshot;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use std::fmt::Write as _;

const ORIGIN: &str = "https://example.ru";

/// A clean look at one path.
struct Look {
    reached: Reached,
    round: ProbeRound,
}

fn ours(count: u64) -> HttpObservation {
    HttpObservation {
        status: 200,
        ours: Some(json!({ "nonce": "n", "unixMs": 0, "count": count })),
        since_connect_ms: 7,
        ..HttpObservation::default()
    }
}

fn foreign(status: u16) -> HttpObservation {
    HttpObservation { status, took_ms: 5, ..HttpObservation::default() }
}

/// `L`ive, la`T`e, `B`urst, `D`elayed, `C`ut, `F`ailed, `K`: the kernel's 200 ms.
fn stream(letter: char) -> StreamObservation {
    let mut seen = match letter {
        'L' => StreamObservation::with_delays([0, 1, 2]),
        'T' => StreamObservation::with_delays([300, 301, 300]),
        'B' => StreamObservation::with_delays([900, 600, 300]),
        'D' => StreamObservation::with_delays([1500, 1502, 1510]),
        'K' => StreamObservation::with_delays([201, 202, 203]),
        'C' => StreamObservation::ended_early(2000),
        _ => StreamObservation::default(),
    };
    seen.first_event_ms = Some(9);
    seen.headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    seen
}

impl Look {
    fn new() -> Self {
        let echo = RequestEcho {
            http_version: "HTTP/1.1".to_owned(),
            host: Some("example.ru".to_owned()),
            origin: Some(ORIGIN.to_owned()),
            origin_allowed: Some(true),
            connection: Some("Upgrade".to_owned()),
            upgrade: Some("websocket".to_owned()),
            sec_web_socket_key: true,
            direct: Some(true),
            ..RequestEcho::default()
        };
        let socket = WebSocketObservation::Live { echo: Box::new(echo.clone()), first_ms: 4, sent: 100, arrived: 110 };
        let round = ProbeRound {
            columns: "LLLLLLL".chars().map(stream).collect(),
            real: "LL".chars().map(stream).collect(),
            post_stream: Some(stream('L')),
            pages: Pages { first: Some(ours(1)), second: Some(ours(2)) },
            bare_pages: Pages { first: Some(ours(3)), second: Some(ours(4)) },
            post: Some(ours(5)),
            socket,
            ..ProbeRound::default()
        };
        Self { reached: Reached { answer: ours(0), echo, offset: 0 }, round }
    }

    fn streams(mut self, letters: &str) -> Self {
        self.round.columns = letters.chars().map(stream).collect();
        self
    }

    fn echo(mut self, change: impl FnOnce(&mut RequestEcho)) -> Self {
        change(&mut self.reached.echo);
        self
    }

    fn round(mut self, change: impl FnOnce(&mut ProbeRound)) -> Self {
        change(&mut self.round);
        self
    }

    fn heads(&mut self) -> impl Iterator<Item = &mut HeaderMap> {
        let streams = self.round.columns.iter_mut().chain(&mut self.round.real).chain(&mut self.round.post_stream);
        streams.map(|seen| &mut seen.headers).chain([&mut self.reached.answer.headers])
    }

    fn server(mut self, name: &'static str) -> Self {
        for headers in self.heads() {
            headers.insert("server", HeaderValue::from_static(name));
        }
        self
    }

    /// An nginx is on the path.
    fn nginx(mut self) -> Self {
        for headers in self.heads() {
            headers.remove("x-accel-buffering");
        }
        self
    }

    fn encoded(mut self) -> Self {
        self.round.columns[1].headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        self.round.real[0].headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        self
    }

    /// The head came with the first event that got out.
    fn late_head(mut self) -> Self {
        self.round.columns[0].head_ms = 900;
        self
    }

    fn diagnose(&self) -> Diagnosis {
        let url = "https://example.ru/api/auth/max".parse().unwrap();
        let client = Client::new(url, Trust::Anybody, Tasks::new(), Clock::system());
        diagnose(&client, &self.reached, &self.round)
    }
}

fn told(cases: Vec<(&str, Look)>) -> String {
    let mut text = String::new();
    for (name, look) in cases {
        let diagnosis = look.diagnose();
        let first = diagnosis.first_event_ms.map(|ms| format!(", first event {ms} ms")).unwrap_or_default();
        let _ = writeln!(text, "=== {name}\nby {}{first}", diagnosis.transport.name());
        for finding in &diagnosis.findings {
            let (severity, code, layer) = (finding.severity.name(), finding.code.name(), finding.layer.name());
            let seconds = finding.seconds.map(|seconds| format!(", {seconds} s")).unwrap_or_default();
            let _ = writeln!(text, "{severity} {code}: {layer}, {}{seconds}", finding.position.name());
            let _ = writeln!(text, "    {}", finding.evidence);
        }
    }
    text
}

#[test]
fn streams() {
    let on = |letters: &str| Look::new().streams(letters);
    let cases = vec![
        ("clean", Look::new()),
        ("clean through nginx", Look::new().nginx().server("nginx")),
        ("one nginx buffers", on("BBLBLLL").nginx().server("nginx").late_head()),
        ("one Angie buffers", on("BBLBLLL").nginx().server("Angie/1.13.0").late_head()),
        ("somebody else obeys X-Accel-Buffering", on("BBLBLLL").server("Caddy")),
        ("one nginx compresses", on("LBLBLLL").nginx().server("nginx").encoded()),
        ("one nginx, nothing is compressed after all", on("LBLBLLL").nginx().server("nginx")),
        ("nginx before a compressing application", on("BBBBLLL").nginx().server("nginx").encoded()),
        ("two nginx tiers", on("BBBBBBL").nginx().server("nginx")),
        ("two nginx tiers, the outer compresses", on("LBBBBLL").nginx().server("nginx").encoded()),
        ("two nginx tiers, both", on("BBBBBLL").nginx().server("nginx").encoded().late_head()),
        ("Varnish behind nginx, and nothing is compressed", {
            on("LBBBBLL").nginx().server("nginx").echo(|echo| echo.via = Some("1.1 v (Varnish/7.1)".to_owned()))
        }),
        ("h2o behind nginx, and nothing is compressed", {
            on("LTTTTLL").nginx().server("nginx").round(|round| {
                round.post_stream.as_mut().unwrap().headers.insert("server", HeaderValue::from_static("h2o"));
            })
        }),
        ("a compressing application", on("LBBLLLL").encoded()),
        ("a compressing application behind Caddy", on("LBBLLLL").encoded().server("Caddy")),
        ("a compressing application in gunicorn", on("LBBLLLL").encoded().server("gunicorn")),
        ("HAProxy compresses", on("LTTLLLL").encoded()),
        ("HAProxy compresses and lets no WebSocket through", {
            on("LTTLLLL").encoded().round(|round| round.socket = WebSocketObservation::Broken("reset".to_owned()))
        }),
        ("the same behind nginx", {
            let look = on("LTTLLLL").encoded().nginx().server("nginx");
            look.round(|round| round.socket = WebSocketObservation::Broken("reset".to_owned()))
        }),
        ("as HAProxy, and calls itself otherwise", on("LTTLLLL").encoded().server("TwistedWeb/22.4")),
        ("h2o compresses", on("LTTTTLL").encoded().server("h2o")),
        ("Traffic Server compresses", on("LBBBBLL").encoded().server("ATS/9.2")),
        ("Varnish behind nginx compresses", {
            on("LBBBBLL")
                .encoded()
                .nginx()
                .server("nginx")
                .echo(|echo| echo.via = Some("1.1 v (Varnish/7.1)".to_owned()))
        }),
        ("Varnish behind nginx holds whole answers", {
            on("BBBBBBB").nginx().server("nginx").echo(|echo| echo.marks = vec!["x-varnish".to_owned()])
        }),
        ("h2o behind nginx holds the last bytes", {
            on("LTTTTLL").encoded().nginx().server("nginx").round(|round| {
                round.post_stream.as_mut().unwrap().headers.insert("server", HeaderValue::from_static("h2o"));
            })
        }),
        ("whole answers", on("BBBBBBB").server("lighttpd").late_head()),
        ("whole answers, nginx", on("BBBBBBB").nginx().server("nginx").late_head()),
        ("whole answers, large events pass", on("BBBBBBB").round(|round| round.bulk = Some(stream('L')))),
        ("whole answers, large events pass by one", on("BBBBBBB").round(|round| round.bulk = Some(stream('T')))),
        ("whole answers, large events do not", on("BBBBBBB").round(|round| round.bulk = Some(stream('B')))),
        ("a filter in nginx", on("BBBBBBB").nginx().server("nginx").round(|round| round.bulk = Some(stream('B')))),
        ("the same elsewhere", on("BBBBBBB").server("Caddy").round(|round| round.bulk = Some(stream('B')))),
        ("the same where nginx does not obey", {
            on("BBBBBBB").server("nginx").round(|round| round.bulk = Some(stream('B')))
        }),
        ("nginx, and only large events are held", {
            on("LBLBLLL").nginx().server("nginx").round(|round| round.bulk = Some(stream('B')))
        }),
        ("a filter in nginx that lets large events pass", {
            on("BBBBBBB").nginx().server("nginx").round(|round| round.bulk = Some(stream('L')))
        }),
        ("all late", on("DDDDDDD")),
        ("most late", on("DDDDLLL")),
        ("half late", on("DDDLLLL")),
        ("late as silence is", on("LTTLLLL").encoded().round(|round| round.quiet = Some(stream('T')))),
        ("small writes are held", on("KKKKKKK")),
        ("small writes are held by who is named", on("KKKKKKK").server("Caddy")),
        (
            "a code is held that a small event is not",
            Look::new().round(|round| {
                round.real = "BL".chars().map(stream).collect();
            }),
        ),
        ("the same, with all headers too", Look::new().round(|round| round.real = "TB".chars().map(stream).collect())),
        ("the same in nginx", Look::new().round(|round| round.real = "BL".chars().map(stream).collect()).nginx()),
        ("the same in nginx, Varnish behind it", {
            let look = Look::new().round(|round| round.real = "BL".chars().map(stream).collect()).nginx();
            look.server("nginx").echo(|echo| echo.marks = vec!["x-varnish".to_owned()])
        }),
        ("the same in Varnish", {
            let look = Look::new().round(|round| round.real = "BL".chars().map(stream).collect());
            look.server("Caddy").echo(|echo| echo.marks = vec!["x-varnish".to_owned()])
        }),
        (
            "the same compressed",
            Look::new()
                .round(|round| {
                    round.real = "TL".chars().map(stream).collect();
                })
                .encoded()
                .server("Caddy"),
        ),
        ("cut", on("CCCCCCC")),
        ("not one", on("FFFFFFF")),
        (
            "no answer to streams",
            on("FFFFFFF").round(|round| {
                for seen in &mut round.columns {
                    (seen.broken, seen.took_ms) = (Some("no answer".to_owned()), 3200);
                }
            }),
        ),
        (
            "streams are refused",
            on("FFFFFFF").round(|round| {
                round.columns.iter_mut().for_each(|seen| seen.status = Some(404));
            }),
        ),
        ("by POST together", Look::new().round(|round| round.post_stream = Some(stream('B')))),
    ];
    assert_snapshot("doctor/snapshots/streams.txt", &told(cases));
}

/// Each threshold of the streams' tables, at it and one millisecond beside it.
#[test]
fn streams_at_the_edges() {
    let head = |ms: i64| {
        let mut look = Look::new().streams("BBBBBLL").nginx().server("nginx").encoded();
        look.round.columns[0].head_ms = ms;
        look
    };
    let late = |ms: i64| {
        Look::new().round(|round| round.columns = vec![StreamObservation::with_delays([ms + 1, ms, ms + 2]); 7])
    };
    let alone = |ms: i64| {
        let quiet = StreamObservation::with_delays([ms, ms, ms]);
        Look::new().streams("LTTLLLL").encoded().round(|round| round.quiet = Some(quiet))
    };
    let unseen = |ms: i64| {
        let mut ours = StreamObservation::with_events(&[]);
        (ours.took_ms, ours.broken) = (ms, Some("did not end".to_owned()));
        Look::new().round(|round| round.columns = vec![ours; 7])
    };
    let real = |letters: &str| Look::new().round(|round| round.real = letters.chars().map(stream).collect());
    let cases = vec![
        ("a head just at once", head(249)),
        ("a head just not at once", head(250)),
        ("live enough", late(149)),
        ("just what the kernel holds", late(150)),
        ("silence is late by the same", alone(151)),
        ("silence is less late", alone(150)),
        ("most of what the kernel holds", late(258)),
        ("not waited for long enough", unseen(1_999)),
        ("waited for just long enough", unseen(2_000)),
        ("small ones live, those of real size together", real("BB")),
    ];
    assert_snapshot("doctor/snapshots/streams_at_the_edges.txt", &told(cases));
}

#[test]
fn everything_else() {
    let socket = |socket: WebSocketObservation| Look::new().round(|round| round.socket = socket);
    let answered = |status: u16, server: &'static str| {
        let headers = HeaderMap::from_iter([(http::header::SERVER, HeaderValue::from_static(server))]);
        WebSocketObservation::Answered(Box::new(HttpObservation { headers, ..foreign(status) }))
    };
    let stripped = || {
        let echo = json!({ "httpVersion": "HTTP/1.0", "secWebSocketKey": true, "proxyUnlisted": false });
        let ours = Some(json!({ "nonce": "n", "echo": echo }));
        WebSocketObservation::Answered(Box::new(HttpObservation { ours, ..foreign(426) }))
    };
    let timed = |idle: bool, seconds: f64| {
        Look::new().echo(|echo| {
            let timer = StreamTimer { seconds, count: 37, idle };
            let few = StreamTimer { seconds: 1.0, count: 1, idle: !idle };
            echo.timers = vec![
                TransportTimer { transport: "websocket".to_owned(), cut: 1, timer: few },
                TransportTimer { transport: "sse".to_owned(), cut: 41, timer },
            ];
        })
    };
    let proxied = |hops: Option<&str>, inner: bool, asker: Option<bool>| {
        Look::new().server("Caddy").echo(|echo| {
            (echo.direct, echo.client_is_inner, echo.client_is_asker) = (Some(false), inner, asker);
            echo.x_forwarded_for = hops.map(str::to_owned);
        })
    };
    let limited = |by_rate: bool, name: &'static str| {
        let headers = HeaderMap::from_iter([(HeaderName::from_static("server"), HeaderValue::from_static(name))]);
        Look::new().server("nginx").round(|round| {
            round.columns.clear();
            round.limited = Some(LimitHit { status: 503, headers, refused: 3, asked: 8, by_rate });
        })
    };
    let cached = || Pages { first: Some(ours(1)), second: Some(ours(1)) };
    let skewed = |ms: i64| {
        let mut look = Look::new();
        look.reached.offset = ms;
        look
    };
    let cases = vec![
        ("a WebSocket hangs", socket(WebSocketObservation::Hung)),
        ("a WebSocket hangs at Caddy", socket(WebSocketObservation::Hung).server("Caddy")),
        ("a WebSocket is silent", socket(WebSocketObservation::Silent { headers: HeaderMap::new() }).server("Caddy")),
        ("a WebSocket breaks", socket(WebSocketObservation::Broken("reset".to_owned()))),
        ("a WebSocket is not tried", socket(WebSocketObservation::NotTried)),
        ("a WebSocket is forbidden", socket(answered(403, "envoy"))),
        ("a WebSocket needs a password", socket(answered(401, "nginx"))),
        ("a WebSocket is led elsewhere", socket(answered(302, "nginx"))),
        ("a WebSocket is one too many", socket(answered(429, "nginx"))),
        ("a WebSocket is refused somehow", socket(answered(400, "nobody"))),
        ("a WebSocket arrives without its upgrade", socket(stripped())),
        ("without its upgrade, nginx", socket(stripped()).nginx().server("nginx")),
        ("without its upgrade, two tiers", socket(stripped()).streams("BBBBBBL").nginx().server("nginx")),
        ("without its upgrade, Angie", socket(stripped()).nginx().server("Angie")),
        ("a WebSocket is late", {
            let echo = Box::new(Look::new().reached.echo);
            socket(WebSocketObservation::Live { echo, first_ms: 4, sent: 100, arrived: 700 })
        }),
        ("a WebSocket is a little late", {
            let echo = Box::new(Look::new().reached.echo);
            socket(WebSocketObservation::Live { echo, first_ms: 4, sent: 100, arrived: 699 })
        }),
        ("a WebSocket lost two headers", {
            let mut echo = Look::new().reached.echo;
            (echo.connection, echo.sec_web_socket_key) = (Some("close".to_owned()), false);
            socket(WebSocketObservation::Live { echo: Box::new(echo), first_ms: 4, sent: 0, arrived: 0 })
                .server("envoy")
        }),
        ("over HTTP/2 only refused", Look::new().round(|round| round.socket_over_http2 = answered(403, "envoy"))),
        ("one worker", Look::new().round(|round| round.alone = Some(Alone { waited_ms: 840, stream_ms: 900 }))),
        ("one worker of gunicorn", {
            Look::new().server("gunicorn").round(|round| round.alone = Some(Alone { waited_ms: 840, stream_ms: 900 }))
        }),
        ("an idle timer", timed(true, 5.0)),
        ("a slow idle timer", timed(true, 60.0)),
        ("a total timer", timed(false, 3.0)),
        ("a timer as long as heartbeats are apart", timed(true, 10.0)),
        ("a timer just longer", timed(false, 10.1)),
        ("a held stream is cut after a heartbeat's time", {
            Look::new().round(|round| round.life = Some(StreamObservation::ended_early(10_049)))
        }),
        ("a held stream is cut just later", {
            Look::new().round(|round| round.quiet = Some(StreamObservation::ended_early(10_050)))
        }),
        ("a silent stream is cut just late enough to tell", {
            Look::new().round(|round| round.quiet = Some(StreamObservation::ended_early(900)))
        }),
        ("a held stream is cut", Look::new().round(|round| round.life = Some(StreamObservation::ended_early(2940)))),
        ("a silent stream is cut", Look::new().round(|round| round.quiet = Some(StreamObservation::ended_early(2950)))),
        ("cut too soon to tell", Look::new().round(|round| round.quiet = Some(StreamObservation::ended_early(899)))),
        ("a held page is cut", {
            Look::new().round(|round| round.held_page = Some(HttpObservation { took_ms: 900, ..foreign(504) }))
        }),
        ("a held page is cut too soon to tell", {
            Look::new().round(|round| round.held_page = Some(HttpObservation { took_ms: 899, ..foreign(504) }))
        }),
        ("a held page is answered", {
            Look::new().round(|round| round.held_page = Some(HttpObservation { took_ms: 3500, ..ours(6) }))
        }),
        ("cached", Look::new().round(|round| round.pages = cached())),
        ("cached where nothing forbids it", Look::new().round(|round| round.bare_pages = cached())),
        ("one visitor's answer for another", Look::new().round(|round| (round.leaked, round.pages) = (true, cached()))),
        ("POST is refused", Look::new().round(|round| round.post = Some(foreign(405)))),
        ("POST is limited", Look::new().round(|round| round.post = Some(foreign(429)))),
        ("a limit by rate", limited(true, "nginx")),
        ("a limit of connections", limited(false, "nobody")),
        ("busy itself", limited(true, "nginx").round(|round| round.busy = true)),
        ("only a stream by POST", {
            Look::new().round(|round| (round.columns, round.socket) = (Vec::new(), WebSocketObservation::Hung))
        }),
        ("only pages", socket(WebSocketObservation::Hung).streams("BBBBBBB")),
        ("padded streams only", socket(WebSocketObservation::Hung).streams("BBBBBBL").nginx()),
        ("nothing at all", {
            socket(WebSocketObservation::Hung).streams("BBBBBBB").round(|round| round.pages = Pages::default())
        }),
        ("another host", Look::new().echo(|echo| echo.host = Some("127.0.0.1:3001".to_owned()))),
        (
            "another host, the name beside it",
            Look::new().echo(|echo| {
                (echo.host, echo.x_forwarded_host) = (Some("app".to_owned()), Some("EXAMPLE.ru:443".to_owned()));
            }),
        ),
        ("an origin that is not allowed", Look::new().echo(|echo| echo.origin_allowed = Some(false))),
        (
            "another origin",
            Look::new().nginx().echo(|echo| {
                (echo.origin, echo.origin_allowed) = (Some("http://app".to_owned()), Some(false));
            }),
        ),
        ("no origin", Look::new().echo(|echo| (echo.origin, echo.origin_allowed) = (None, None))),
        ("an unlisted proxy", Look::new().echo(|echo| echo.proxy_unlisted = true)),
        ("no address", proxied(None, false, Some(false))),
        ("no address, two tiers", proxied(None, false, Some(false)).streams("BBBBBBL").nginx().server("nginx")),
        ("an address of the inside", proxied(Some("1 hops"), true, Some(false))),
        ("two addresses of the inside", proxied(Some("2 hops"), true, Some(false))),
        ("the address of who asked", proxied(Some("1 hops"), true, Some(true))),
        ("an address of the outside", proxied(Some("1 hops"), false, Some(false))),
        ("behind translation", Look::new().echo(|echo| echo.direct = Some(false))),
        ("behind translation, a stranger", Look::new().server("Odd/1").echo(|echo| echo.direct = Some(false))),
        (
            "a clock a little behind",
            skewed(9_999).round(|round| {
                (round.pages, round.bare_pages, round.post) = Default::default();
            }),
        ),
        ("a clock behind", skewed(10_000)),
        ("a clock not yet far behind", skewed(59_999)),
        ("a clock far ahead", skewed(-60_000)),
    ];
    assert_snapshot("doctor/snapshots/everything_else.txt", &told(cases));
}
