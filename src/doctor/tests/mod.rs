//! The doctor against a server in this process, and against a middle that spoils the line.

mod diagnoses;
mod reports;

use super::{Options, Report, Trust, examine};
use crate::app::{self, Surroundings};
use crate::base::clock::Clock;
use crate::base::places::Places;
use crate::base::tasks::Tasks;
use crate::config::{Config, Flags};
use crate::proxies::{FindingCode, Lang};
use crate::server;
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A server on a port of its own whose public address is `public` (its own if none).
async fn serve(tasks: &Tasks, public: Option<SocketAddr>) -> SocketAddr {
    let mut config = Config::load(&Flags::default()).unwrap().config;
    let bound = server::bind("127.0.0.1:0".parse().unwrap(), "server.listen").await.unwrap();
    let address = bound.address().unwrap();
    let url: url::Url = format!("http://{}/", public.unwrap_or(address)).parse().unwrap();
    config.server.allowed_origins = vec![crate::base::origin::Origin::of(&url)];
    config.server.public_url = url;
    let surroundings = Surroundings::in_memory(tasks);
    let routes = app::build(&config, surroundings).routes;
    tasks.spawn("server", bound.serve(routes, Arc::new(Places::for_anybody(1000)), tasks.clone()));
    address
}

async fn doctor(tasks: &Tasks, address: SocketAddr) -> Report {
    let options = Options {
        url: Some(format!("http://{address}").parse().unwrap()),
        hops: Vec::new(),
        nginx: Vec::new(),
        slow: false,
        trust: Trust::Anybody,
        upstream: None,
        steps: None,
    };
    examine(&options, Clock::system(), tasks.clone()).await.unwrap()
}

fn codes(report: &Report) -> Vec<String> {
    let json = report.json();
    let findings = json["findings"].as_array().unwrap();
    findings.iter().map(|finding| format!("{}:{}", finding["severity"], finding["code"]).replace('"', "")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_line_is_clean() {
    let tasks = Tasks::new();
    let address = serve(&tasks, None).await;
    let report = doctor(&tasks, address).await;
    assert_eq!(codes(&report), [""; 0], "{}", report.text(false, Lang::En));
    assert_eq!(report.exit_code(), 0);
    let json = report.json();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["url"], format!("http://{address}/api/auth/max"));
    assert_eq!(json["delivered"], true);
    assert_eq!(json["transport"], "websocket");
    assert!(json["firstEventMs"].as_i64().unwrap() < 1000, "{json}");
    assert!(json["durationMs"].as_i64().unwrap() < 5000, "{json}");
    assert!(
        report.text(false, Lang::En).trim_end().rsplit('\n').next().unwrap().starts_with("delivered by: websocket")
    );
    assert!(!report.text(false, Lang::En).contains('\u{1b}') && report.text(true, Lang::En).contains('\u{1b}'));
}

/// Takes a request, strips its upgrade, fetches the whole answer and hands it on in one piece.
async fn holds_whole_answers(listener: TcpListener, server: SocketAddr, tasks: Tasks) {
    while let Ok((mut visitor, _)) = listener.accept().await {
        tasks.spawn("middle", async move {
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                if visitor.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let request = String::from_utf8(request).unwrap();
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            let dropped = |line: &&str| {
                let line = line.to_ascii_lowercase();
                !line.starts_with("upgrade:") && !line.starts_with("connection:")
            };
            let head: Vec<&str> = head.lines().filter(dropped).collect();
            let request = format!("{}\r\nConnection: close\r\n\r\n{body}", head.join("\r\n"));
            let mut upstream = TcpStream::connect(server).await.unwrap();
            upstream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let _ = upstream.read_to_end(&mut answer).await;
            let _ = visitor.write_all(&answer).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_middle_that_holds_whole_answers_is_named() {
    let tasks = Tasks::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let middle = listener.local_addr().unwrap();
    let server = serve(&tasks, Some(middle)).await;
    tasks.spawn("middle", holds_whole_answers(listener, server, tasks.clone()));
    let report = doctor(&tasks, middle).await;
    let expected = ["fault:whole-response-buffered", "fault:ws-upgrade-not-passed", "fault:client-address-lost"];
    assert_eq!(codes(&report), expected, "{}", report.text(false, Lang::En));
    assert_eq!(report.exit_code(), 1);
    let json = report.json();
    assert_eq!(json["transport"], "long-poll");
    for finding in json["findings"].as_array().unwrap() {
        let keys: Vec<&str> = finding.as_object().unwrap().keys().map(String::as_str).collect();
        for key in ["advice", "code", "evidence", "fix", "layer", "page", "seconds", "severity", "tier", "where", "who"]
        {
            assert!(keys.contains(&key), "{finding} lacks {key}");
        }
        // What proxies here is not known: no line of any product may be told, only what is true of all.
        assert!(finding["fix"].as_array().unwrap().is_empty(), "{finding}");
        assert!(!finding["advice"].as_array().unwrap().is_empty(), "{finding}");
    }
}

/// Hands everything on, and gives the first answer about a visitor to every other who asks at its address.
async fn remembers_visitors(listener: TcpListener, server: SocketAddr, tasks: Tasks) {
    let known: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
    while let Ok((mut visitor, _)) = listener.accept().await {
        let known = Arc::clone(&known);
        tasks.spawn("middle", async move {
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                if visitor.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let mut upstream = TcpStream::connect(server).await.unwrap();
            let head = String::from_utf8_lossy(&request).into_owned();
            let first = head.lines().next().unwrap().to_owned();
            if !first.contains("/probe/visitor") {
                upstream.write_all(&request).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut visitor, &mut upstream).await;
                return;
            }
            let kept = known.lock().unwrap().get(&first).cloned();
            let answer = match kept {
                Some(answer) => answer,
                None => {
                    let request = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                    upstream.write_all(request.as_bytes()).await.unwrap();
                    let mut answer = Vec::new();
                    let _ = upstream.read_to_end(&mut answer).await;
                    known.lock().unwrap().insert(first, answer.clone());
                    answer
                }
            };
            let _ = visitor.write_all(&answer).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_middle_that_takes_one_visitor_for_another_is_the_worst_there_is() {
    let tasks = Tasks::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let middle = listener.local_addr().unwrap();
    let server = serve(&tasks, Some(middle)).await;
    tasks.spawn("middle", remembers_visitors(listener, server, tasks.clone()));
    let report = doctor(&tasks, middle).await;
    let finding = report.json()["findings"].as_array().unwrap().iter().find(|found| found["code"] == "cached").cloned();
    let evidence = finding.unwrap_or_else(|| panic!("{}", report.text(false, Lang::En)))["evidence"].to_string();
    assert!(evidence.contains("was given to the next one"), "{evidence}");
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let tasks = Tasks::new();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let report = doctor(&tasks, free).await;
    assert_eq!(codes(&report), ["fault:backend-down"]);
    assert_eq!(report.exit_code(), 2);
    assert_eq!(report.json()["firstEventMs"], Value::Null);
}

/// One request as bytes, and the whole answer; the connection is kept with it, so that what is held stays held.
async fn ask(server: SocketAddr, path: &str, forwarded: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let head = format!("GET /api/auth/max{path} HTTP/1.1\r\nHost: {server}\r\nX-Forwarded-For: {forwarded}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
    }
    (stream, String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_does_not_take_the_places_of_all() {
    let tasks = Tasks::new();
    let server = serve(&tasks, None).await;
    let mut held = Vec::new();
    for _ in 0..24 {
        let (stream, answer) = ask(server, "/probe/stream?nonce=n&hold=9000", "203.0.113.1").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        held.push(stream);
    }
    let (_, refused) = ask(server, "/probe/stream?nonce=n&hold=9000", "203.0.113.1").await;
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    let (_, other) = ask(server, "/probe/stream?nonce=n&hold=9000", "203.0.113.2").await;
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_have_a_limit_for_each_address() {
    let tasks = Tasks::new();
    let server = serve(&tasks, None).await;
    let mut stream = TcpStream::connect(server).await.unwrap();
    let one = format!("GET /api/auth/max/probe?nonce=n HTTP/1.1\r\nHost: {server}\r\nX-Forwarded-For: 203.0.113.1\r\n");
    let many = format!("{one}\r\n").repeat(1500) + &one + "Connection: close\r\n\r\n";
    let (mut read, mut write) = stream.split();
    let mut answers = Vec::new();
    let (_, sent) = tokio::join!(read.read_to_end(&mut answers), write.write_all(many.as_bytes()));
    sent.unwrap();
    let answers = String::from_utf8_lossy(&answers);
    let (fine, refused) = (answers.matches("HTTP/1.1 200").count(), answers.matches("HTTP/1.1 429").count());
    assert!(fine >= 1200 && refused > 50, "{fine} answered, {refused} refused");
    let (_, other) = ask(server, "/probe?nonce=n", "203.0.113.2").await;
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_the_inside_stay_inside() {
    let tasks = Tasks::new();
    let server = serve(&tasks, None).await;
    for (forwarded, told) in [("203.0.113.9", true), ("10.1.2.3", false), ("fd00::7", false), ("100.64.0.9", false)] {
        let (_, answer) = ask(server, "/probe?nonce=n", forwarded).await;
        assert_eq!(answer.contains(forwarded), told, "{answer}");
        assert_eq!(answer.contains("\"clientIsInner\":true"), !told, "{answer}");
    }
}

/// One thing at a time: whoever asks beside a stream waits for its end.
async fn serves_one_at_a_time(listener: TcpListener, server: SocketAddr, tasks: Tasks) {
    while let Ok((mut visitor, _)) = listener.accept().await {
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            if visitor.read_buf(&mut request).await.unwrap_or(0) == 0 {
                break;
            }
        }
        let request = String::from_utf8_lossy(&request).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let request = request.replace("Connection: Upgrade\r\n", "").replace("Upgrade: websocket\r\n", "");
        let mut upstream = TcpStream::connect(server).await.unwrap();
        upstream.write_all(request.as_bytes()).await.unwrap();
        let _ = tokio::io::copy(&mut upstream, &mut visitor).await;
        drop(tasks.clone());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_is_told_as_such_and_soon() {
    let tasks = Tasks::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let middle = listener.local_addr().unwrap();
    let server = serve(&tasks, Some(middle)).await;
    tasks.spawn("middle", serves_one_at_a_time(listener, server, tasks.clone()));
    let report = doctor(&tasks, middle).await;
    assert!(codes(&report).contains(&"fault:one-worker".to_owned()), "{}", report.text(false, Lang::En));
    assert!(report.duration_ms < 5000, "{}", report.duration_ms);
}

/// Passes everything on as it comes, but ends what is held after a second, whether something is sent or not.
async fn ends_what_is_held(listener: TcpListener, server: SocketAddr, tasks: Tasks) {
    while let Ok((mut visitor, _)) = listener.accept().await {
        tasks.spawn("middle", async move {
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                if visitor.read_buf(&mut head).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let life = if String::from_utf8_lossy(&head).contains("hold=") { 1 } else { 60 };
            let mut upstream = TcpStream::connect(server).await.unwrap();
            upstream.write_all(&head).await.unwrap();
            let passed_on = tokio::io::copy_bidirectional(&mut visitor, &mut upstream);
            let _ = timeout(Duration::from_secs(life), passed_on).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_ends_even_what_is_not_silent_is_named() {
    let tasks = Tasks::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let middle = listener.local_addr().unwrap();
    let server = serve(&tasks, Some(middle)).await;
    tasks.spawn("middle", ends_what_is_held(listener, server, tasks.clone()));
    let report = doctor(&tasks, middle).await;
    assert!(codes(&report).contains(&"fault:total-timeout".to_owned()), "{}", report.text(false, Lang::En));
}

/// Each code has its heading, and each heading its code.
#[test]
fn the_troubleshooting_page_has_a_heading_per_code() {
    let text = include_str!("../../../docs/troubleshooting.md");
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let codes: Vec<&str> = FindingCode::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(headings, codes);
}

/// A listener whose queue is full: whoever comes next is not answered.
async fn silent() -> (TcpListener, Vec<TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        queue.push(connected.unwrap());
        assert!(queue.len() < 20);
    }
    (listener, queue)
}

#[tokio::test]
async fn several_silent_addresses_cost_no_more_than_one() {
    let silent = [silent().await, silent().await, silent().await];
    let mut addresses: Vec<SocketAddr> = silent.iter().map(|(listener, _)| listener.local_addr().unwrap()).collect();
    let began = tokio::time::Instant::now();
    let error = super::connect::race(&addresses, Duration::from_secs(1)).await.unwrap_err().to_string();
    assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
    assert!(addresses.iter().all(|address| error.contains(&address.to_string())), "{error}");
    let answers = TcpListener::bind("127.0.0.1:0").await.unwrap();
    addresses.push(answers.local_addr().unwrap());
    let reached = super::connect::race(&addresses, Duration::from_secs(5)).await.unwrap();
    assert_eq!(reached.peer_addr().unwrap(), addresses[3]);
}
