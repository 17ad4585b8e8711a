//! What a round makes of answers that refuse, of times, and of streams that contradict each other.

use super::*;
use crate::base::clock::Clock;
use crate::base::tasks::Tasks;
use crate::doctor::Trust;
use http::HeaderValue;
use http::header::SERVER;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn page(status: u16) -> HttpObservation {
    HttpObservation { status, ..HttpObservation::default() }
}

fn stream(status: u16, took_ms: i64) -> StreamObservation {
    let mut seen = StreamObservation::default();
    (seen.status, seen.took_ms) = (Some(status), took_ms);
    seen
}

#[test]
fn one_answer_that_says_too_many_is_a_limit_wherever_it_came() {
    type Put = fn(&mut ProbeRound, u16);
    let places: [(&str, Put); 8] = [
        ("first page", |round, status| round.pages.first = Some(page(status))),
        ("second page", |round, status| round.pages.second = Some(page(status))),
        ("first bare page", |round, status| round.bare_pages.first = Some(page(status))),
        ("second bare page", |round, status| round.bare_pages.second = Some(page(status))),
        ("POST", |round, status| round.post = Some(page(status))),
        ("WebSocket", |round, status| round.socket = WebSocketObservation::Answered(Box::new(page(status)))),
        ("stream", |round, status| round.columns = vec![stream(200, 899), stream(status, 899)]),
        ("stream by POST", |round, status| round.post_stream = Some(stream(status, 899))),
    ];
    for (place, put) in places {
        for (status, limited) in [(200, false), (428, false), (429, true), (500, false), (502, false), (503, true)] {
            let mut round = ProbeRound::default();
            put(&mut round, status);
            assert_eq!(round.any_limited(), limited, "{place}: {status}");
        }
    }
    let slow = ProbeRound { columns: vec![stream(503, 900)], ..ProbeRound::default() };
    assert!(!slow.any_limited(), "whoever has waited for 0.9 s was not refused for being one too many");
    assert!(!ProbeRound::default().any_limited());
}

#[test]
fn times_of_the_first_event_are_those_of_what_came() {
    let ours = || HttpObservation { ours: Some(json!({ "count": 1 })), since_connect_ms: 7, ..page(200) };
    let seen = |delays| {
        let mut seen = StreamObservation::with_delays(delays);
        seen.first_event_ms = Some(9);
        seen
    };
    let (live, together) = ([0, 1, 2], [900, 600, 300]);
    let times = |round: &ProbeRound| round.delivery_times(0).into_iter().map(|(_, ms)| ms).collect::<Vec<_>>();
    let mut round = ProbeRound {
        columns: vec![seen(live); 7],
        post: Some(ours()),
        pages: Pages { first: None, second: Some(ours()) },
        socket: WebSocketObservation::Live { echo: Box::default(), first_ms: 4, sent: 0, arrived: 0 },
        ..ProbeRound::default()
    };
    assert_eq!(times(&round), [Some(4), Some(9), Some(7)]);
    round.columns[ALL_HEADERS] = seen(together);
    assert_eq!(times(&round), [Some(4), None, Some(7)], "at its end is no event that came");
    for delays in [live, [300, 301, 300], [1500, 1502, 1510]] {
        round.post_stream = Some(seen(delays));
        assert_eq!(times(&round), [Some(4), Some(9), Some(7)], "by POST: {delays:?}");
    }
    (round.socket, round.pages) = (WebSocketObservation::Hung, Pages::default());
    assert_eq!(times(&round), [None, Some(9), None]);
    (round.pages.second, round.post) = (Some(ours()), Some(page(405)));
    assert_eq!(times(&round), [None, Some(9), None], "whoever may not POST has no pages");
}

#[test]
fn a_second_look_is_for_what_contradicts_itself() {
    let verdict = |letter| match letter {
        'L' => Verdict::Live,
        'T' => Verdict::Late,
        'B' => Verdict::Burst,
        _ => Verdict::Cut,
    };
    let again = |text: &str, look| suspects(&text.chars().map(verdict).collect::<Vec<_>>(), look);
    for (streams, first, second) in [
        ("LLLLLLLLL", &[][..], &[][..]),
        ("LLLLLLLLB", &[8], &[8]),
        ("LLLLLLLTC", &[7, 8], &[7, 8]),
        ("BBBBBBBBB", &[], &[]),
        ("LTTLLLLLB", &[1, 2], &[]),
        ("LLBLLTLLL", &[2, 5], &[2, 5]),
        ("CLLLLLL", &[0], &[0]),
    ] {
        assert_eq!(again(streams, 0), first, "{streams}");
        assert_eq!(again(streams, 1), second, "{streams}, once more");
    }
}

/// Says 429 to so many questions, then answers none of them as max-auth would.
async fn refuses(count: usize) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/max", listener.local_addr().unwrap()).parse().unwrap();
    let tasks = Tasks::new();
    tasks.spawn("middle", async move {
        let mut left = count;
        while let Ok((mut visitor, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = visitor.read(&mut request).await;
            let status = if left > 0 { "429 Too Many Requests" } else { "200 OK" };
            left = left.saturating_sub(1);
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = visitor.write_all(answer.as_bytes()).await;
        }
    });
    Client::new(url, Trust::Anybody, tasks, Clock::system())
}

#[tokio::test]
async fn after_a_limit_all_is_asked_again_and_what_was_refused_is_told() {
    let named = |status, name| {
        let mut seen = stream(status, 5);
        seen.headers.insert(SERVER, HeaderValue::from_static(name));
        seen
    };
    let looked = async |refused: usize| {
        let mut round = ProbeRound {
            columns: vec![stream(200, 900), named(503, "one"), named(429, "two"), stream(502, 5)],
            post_stream: Some(named(429, "three")),
            life: Some(stream(200, 5)),
            quiet: Some(stream(200, 5)),
            held_page: Some(page(200)),
            ..ProbeRound::default()
        };
        round.gently(&refuses(refused).await).await;
        round
    };
    // One of four questions is enough.
    let (by_count, by_rate) = tokio::join!(looked(0), looked(1));
    for (round, rate) in [(by_count, false), (by_rate, true)] {
        let limit = round.limited.unwrap();
        assert_eq!((limit.status, limit.refused, limit.asked, limit.by_rate), (503, 3, 5, rate));
        assert_eq!(limit.headers.get(SERVER).unwrap(), "one");
        assert!(round.columns.is_empty() && !round.busy);
        assert!(round.life.is_none() && round.quiet.is_none() && round.held_page.is_none());
        let statuses = (round.post.unwrap().status, round.post_stream.unwrap().status);
        assert_eq!(statuses, (200, Some(200)), "asked again");
        assert!(round.pages.first.is_none() && round.pages.second.is_some());
    }
}

#[tokio::test]
async fn a_limit_of_max_auth_itself_is_told_as_such() {
    let body = crate::base::problem::ProblemCode::ProbesBusy.code().to_owned();
    for busy in 0..3 {
        let mut round = ProbeRound::default();
        let own = Some(HttpObservation { body: body.clone(), ..page(429) });
        *[&mut round.pages.first, &mut round.pages.second, &mut round.post].into_iter().nth(busy).unwrap() = own;
        round.gently(&refuses(0).await).await;
        assert!(round.busy, "{busy}");
        let limit = round.limited.unwrap();
        assert_eq!((limit.status, limit.refused, limit.asked), (503, 0, 1));
    }
}
