//! Answers that wait on a connection of HTTP/1, as the other end sees them.

use super::connection_uses::{Connection, STOP_ANSWERS};
use super::http1::{Asked, serve};
use super::line::Line;
use super::middleware::wrap;
use super::origin::AllowedOrigins;
use super::parked::{self, Persistence};
use super::waiting::{MayWait, waiting};
use crate::base::limits::{BROWSER_WRITE, FIRST_REQUEST_TIME};
use crate::base::places::Places;
use crate::base::tasks::Tasks;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use futures_util::{FutureExt as _, stream};
use http::StatusCode;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};

const WAIT: Duration = Duration::from_secs(5);
const LINE: usize = 16 * 1024;

/// A browser's end, and the server behind it.
struct World {
    browser: DuplexStream,
    tasks: Tasks,
    places: Arc<Places>,
    /// Who reads: each answer that waits has one.
    readers: Arc<()>,
}

impl World {
    fn new() -> Self {
        Self::over(LINE)
    }

    /// Over a line that holds so many bytes that nobody has read.
    fn over(line: usize) -> Self {
        let (tasks, places, readers) = (Tasks::new(), Arc::new(Places::for_anybody(1)), Arc::new(()));
        let (browser, ours) = duplex(line);
        let (stopped, held) = (tasks.clone(), Arc::clone(&readers));
        let later = move |request: Request| {
            let (stopped, held) = (stopped.clone(), Arc::clone(&held));
            async move {
                let answer = async move {
                    let _held = held;
                    let _ = timeout(WAIT, stopped.stopping()).await;
                    "LATER".into_response()
                };
                match request.extensions().get::<MayWait>() {
                    Some(MayWait) => waiting(answer.boxed()),
                    None => answer.await,
                }
            }
        };
        let held = Arc::clone(&readers);
        let streamed = move |body: Bytes| async move { pieces(held, vec![Bytes::from_static(b"ONE"), body]) };
        let held = Arc::clone(&readers);
        let large = move || async move { pieces(held, vec![Bytes::from_static(&[b'x'; 9 * LINE]); 3]) };
        async fn crash() -> Response {
            waiting(async { panic!("a defect") }.boxed())
        }
        let routes = [
            ("/later", any(later)),
            ("/stream", any(streamed)),
            ("/large", any(large)),
            ("/crash", any(crash)),
            ("/now", any(|| async { "NOW" })),
        ];
        let routes = routes.into_iter().fold(Router::new(), |all, (path, route)| Router::route(all, path, route));
        let peer = ([192, 0, 2, 1], 1).into();
        let place = places.take([192, 0, 2, 1].into()).ok().unwrap();
        let connection = Connection::new(place, false, Instant::now() + FIRST_REQUEST_TIME);
        let routes = wrap(routes, AllowedOrigins::new(Vec::new()));
        let asked = Asked { peer, connection, routes, tasks: tasks.clone() };
        tasks.spawn("connection", serve(ours, Arc::new(asked)));
        Self { browser, tasks, places, readers }
    }

    async fn say(&mut self, text: &str) {
        self.browser.write_all(text.as_bytes()).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }

    /// What comes within a time, or until the end of the connection.
    async fn hear(&mut self, within: Duration) -> String {
        let mut heard = Vec::new();
        let _ = timeout(within, self.browser.read_to_end(&mut heard)).await;
        String::from_utf8(heard).unwrap()
    }

    async fn is_over(&mut self) -> bool {
        sleep(Duration::from_millis(1)).await;
        Arc::strong_count(&self.readers) <= 3 && self.places.take([192, 0, 2, 1].into()).is_ok()
    }

    fn waits(&self) -> bool {
        // The routes hold three.
        Arc::strong_count(&self.readers) > 4
    }
}

/// Each piece after a wait, the first at once; empty ones are none.
fn pieces(held: Arc<()>, pieces: Vec<Bytes>) -> Response {
    let frames = stream::unfold((held, pieces.into_iter(), false), |(held, mut pieces, began)| async move {
        if began {
            sleep(WAIT).await;
        }
        let piece = pieces.next()?;
        Some((Ok::<_, Infallible>(piece), (held, pieces, true)))
    });
    Body::from_stream(frames).into_response()
}

const MOMENT: Duration = Duration::from_secs(1);

fn heads(text: &str) -> Vec<&str> {
    text.match_indices("HTTP/1.").map(|(at, _)| text[at..].split("\r\n\r\n").next().unwrap()).collect()
}

/// Bodies and statuses, in order.
fn order(text: &str) -> Vec<&str> {
    let parts = ["LATER", "NOW", "ONE", "TWO", "500 Internal"];
    let mut found: Vec<_> = parts.iter().flat_map(|part| text.match_indices(part)).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, part)| part).collect()
}

#[tokio::test(start_paused = true)]
async fn a_head_that_has_not_gone_out_yet_is_not_lost_when_the_answer_waits() {
    let mut world = World::over(64);
    world.say("POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nTWO").await;
    sleep(MOMENT).await;
    let heard = world.hear(3 * WAIT).await;
    assert!(heard.starts_with("HTTP/1.1 200 OK\r\n") && heard.contains("\r\n\r\n3\r\nONE\r\n"), "{heard}");
    assert!(heard.ends_with("3\r\nTWO\r\n0\r\n\r\n"), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_that_waited_the_connection_goes_on_for_hours() {
    let mut world = World::new();
    for _ in 0..3 {
        world.say("GET /later HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(world.waits());
        assert_eq!(world.hear(WAIT - MOMENT).await, "");
        let heard = world.hear(2 * MOMENT).await;
        assert!(heard.starts_with("HTTP/1.1 200 OK\r\n") && heard.ends_with("\r\n\r\nLATER"), "{heard}");
        world.say("GET /now HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(order(&world.hear(MOMENT).await), ["NOW"]);
        world.say("POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nTWO").await;
        let heard = world.hear(3 * WAIT).await;
        assert!(heard.ends_with("\r\n\r\n3\r\nONE\r\n3\r\nTWO\r\n0\r\n\r\n"), "{heard}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_ahead_is_answered_in_its_order_and_nothing_is_lost() {
    let now = "GET /now HTTP/1.1\r\nHost: a\r\n\r\n";
    let padded = format!("GET /now HTTP/1.1\r\nHost: a\r\nX-Padding: {}\r\n\r\n", "p".repeat(3000));
    for first in ["GET /later HTTP/1.1\r\nHost: a\r\n\r\n", "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"] {
        for (ahead, count) in [(now.repeat(2), 2), (padded.repeat(4), 4), (format!("{first}{now}"), 1)] {
            let expected: Vec<&str> = match (first.contains("later"), ahead.starts_with(first)) {
                (true, false) => std::iter::once("LATER").chain(vec!["NOW"; count]).collect(),
                (false, false) => std::iter::once("ONE").chain(vec!["NOW"; count]).collect(),
                (true, true) => vec!["LATER", "LATER", "NOW"],
                (false, true) => vec!["ONE", "ONE", "NOW"],
            };
            // Within the same packet, and while it waits, in pieces.
            for split in [0, 1, first.len() - 3, first.len(), first.len() + 7, first.len() + ahead.len() - 2] {
                let mut world = World::new();
                let whole = format!("{first}{ahead}");
                world.say(&whole[..split]).await;
                sleep(MOMENT).await;
                world.say(&whole[split..]).await;
                assert_eq!(order(&world.hear(10 * WAIT).await), expected, "{first} {split}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_what_is_sent_while_an_answer_waits_little_is_taken() {
    for path in ["/later", "/stream"] {
        let mut world = World::new();
        world.say(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let _ = timeout(MOMENT, world.browser.read_exact(&mut [0; 100])).await;
        let mut sent = 0;
        while let Ok(written) = timeout(MOMENT / 10, world.browser.write(&[b'x'; 100])).await {
            sent += written.unwrap();
        }
        assert!((LINE..=LINE + 1024).contains(&sent), "{sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_read_is_no_request() {
    for (request, following) in [
        ("GET /later HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n", "GET /now HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            "GET /later HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "1e\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n",
        ),
    ] {
        for together in [true, false] {
            let mut world = World::new();
            if together {
                world.say(&format!("{request}{following}")).await;
            } else {
                world.say(request).await;
                sleep(MOMENT).await;
                world.say(following).await;
            }
            let heard = world.hear(3 * WAIT).await;
            assert!(!heard.contains("\r\n\r\nNOW"), "{heard}");
        }
    }
    // Read whole, it ends where its request says.
    let mut world = World::new();
    world.say("POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    world.say("3\r\nTWO\r\n0\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(order(&world.hear(4 * WAIT).await), ["ONE", "TWO", "NOW"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_is_missed_at_once() {
    for path in ["/later", "/stream"] {
        let mut world = World::new();
        world.say(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert!(world.waits() && !world.is_over().await);
        drop(std::mem::replace(&mut world.browser, duplex(1).0));
        assert!(world.is_over().await, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_what_ends_by_itself_and_for_nothing_else() {
    for (path, ends) in [("/later", "LATER"), ("/stream", "ONE\r\n")] {
        let mut world = World::new();
        world.say(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let (tasks, began) = (world.tasks.clone(), Instant::now());
        let (fine, heard) = tokio::join!(tasks.stopped(sleep(10 * WAIT)), world.hear(10 * WAIT));
        assert!(fine && began.elapsed() <= STOP_ANSWERS, "{path} took {:?}", began.elapsed());
        assert!(heard.ends_with(ends), "{heard}");
        assert_eq!(heard.contains("connection: close"), path == "/later", "{heard}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_persists_as_both_sides_said() {
    for (version, connection, persists) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: foo, Close\r\n", false),
        ("1.1", "Connection: close\r\nConnection: keep-alive\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
    ] {
        let head = format!("HTTP/{version}\r\nHost: a\r\n{connection}\r\n");
        let mut heard = Vec::new();
        for path in ["/later", "/now"] {
            let mut world = World::new();
            world.say(&format!("GET {path} {head}")).await;
            let answer = world.hear(2 * WAIT).await;
            world.browser.write_all(b"GET /now HTTP/1.1\r\nHost: a\r\n\r\n").await.ok();
            let more = world.hear(MOMENT).await;
            assert_eq!(more.contains("\r\n\r\nNOW"), persists, "{path} {head} {more}");
            // Otherwise as any other answer, in whatever order.
            let mut lines: Vec<_> = heads(&answer)[0].split("\r\n").filter(|line| !line.starts_with("date:")).collect();
            lines.sort_unstable();
            heard.push(lines.join("\n").replace("content-length: 5", "content-length: 3"));
        }
        assert_eq!(heard[0], heard[1]);
        let mut world = World::new();
        world.say(&format!("GET /stream {head}")).await;
        let answer = world.hear(3 * WAIT).await;
        world.browser.write_all(b"GET /now HTTP/1.1\r\nHost: a\r\n\r\n").await.ok();
        let more = world.hear(MOMENT).await;
        assert_eq!(more.contains("\r\n\r\nNOW"), persists && version == "1.1", "{head} {more}");
        let chunked =
            answer.contains("transfer-encoding: chunked\r\n") && answer.ends_with("\r\n\r\n3\r\nONE\r\n0\r\n\r\n");
        let plain = answer.ends_with("\r\n\r\nONE") && !answer.contains("transfer-encoding");
        assert_eq!((chunked, plain), (version == "1.1", version == "1.0"), "{answer}");
        assert!(answer.contains("\r\ndate: ") && answer.contains("x-frame-options: DENY"), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn head_is_a_head() {
    for path in ["/later", "/stream"] {
        let mut world = World::new();
        world.say(&format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let heard = world.hear(3 * WAIT).await;
        assert!(!heard.contains("\r\n\r\nLATER") && !heard.contains("ONE"), "{heard}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_is_given_up_and_who_is_slow_is_not() {
    let mut world = World::new();
    world.say("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut read = 0;
    let mut buffer = vec![0; 1000];
    // The first piece and the second, slowly.
    while read < 10 * LINE {
        sleep(BROWSER_WRITE / 40).await;
        read += world.browser.read(&mut buffer).await.unwrap();
    }
    assert!(!world.is_over().await);
    sleep(BROWSER_WRITE - MOMENT).await;
    assert!(!world.is_over().await);
    sleep(2 * MOMENT).await;
    assert!(world.is_over().await);
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_an_answer_waits_is_an_answer() {
    let mut world = World::new();
    world.say("GET /crash HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let heard = world.hear(MOMENT).await;
    assert_eq!(order(&heard), ["500 Internal", "NOW"], "{heard}");
    assert!(heads(&heard)[0].contains("x-frame-options: DENY") && world.tasks.crashed() == 0);
    assert_eq!(heads(&heard)[0].split(' ').nth(1), Some(StatusCode::INTERNAL_SERVER_ERROR.as_str()));
}

/// Bytes that a connection has for an answer that waits; half of what they were is buffers that nobody sees.
#[tokio::test]
async fn what_waits_is_small() {
    let tasks = Tasks::new();
    let stream = || async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()
    };
    let how = Persistence::of(&Request::new(()));
    let body = parked::body(Line::new(stream().await), Body::empty(), how, &tasks);
    let later = async { StatusCode::OK.into_response() }.boxed();
    let answer = parked::answer(Line::new(stream().await), later, how, &tasks);
    let place = Places::for_anybody(1);
    let place = Arc::new(place).take([192, 0, 2, 1].into()).ok().unwrap();
    let peer = ([192, 0, 2, 1], 1).into();
    let connection = Connection::new(place, false, Instant::now());
    let asked = Arc::new(Asked { peer, connection, routes: Router::new(), tasks: tasks.clone() });
    let serving = serve(stream().await, asked);
    let sizes = [size_of_val(&serving), size_of_val(&body), size_of_val(&answer)];
    assert!(sizes.iter().zip([200, 400, 400]).all(|(size, most)| *size <= most), "{sizes:?}");
}
