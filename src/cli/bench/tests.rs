//! Each load over each transport, against a server and an emulator of this process, over real sockets.

use super::*;
use crate::app::{self, Surroundings};
use crate::base::clock::Clock;
use crate::base::places::Places;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::config::{Config, Dialect, Endpoint};
use crate::emulator::{self, Emulator, Options};
use crate::server;
use clap::Parser;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

/// Apps without a secret: one that asks nobody, one that this person may not use.
const CLIENTS: &str = r#"
    [[oidc.clients]]
    id = "app"
    auth = "none"
    redirect_uris = ["https://app.example.ru/cb"]
    id_token_alg = "ES256"
    [[oidc.clients]]
    id = "closed"
    auth = "none"
    redirect_uris = ["https://closed.example.ru/cb"]
    id_token_alg = "ES256"
    allow = ["max:1"]
"#;

struct Site {
    base: String,
    phone: String,
}

/// `approve_after`: of each code, by itself.
async fn site(tasks: &Tasks, approve_after: u32) -> Site {
    let options = Options { poll: Duration::from_millis(30), approve_after, ..Options::default() };
    let max = Emulator::new(options, Clock::system(), Rng::system(), tasks.clone());
    let listener = emulator::listen("127.0.0.1:0".parse().unwrap(), false).await.unwrap();
    let phone = listener.local_addr().unwrap();
    tasks.spawn("emulator", async move { max.serve(listener).await });
    let mut config = Config::of(CLIENTS);
    let url = format!("ws://{phone}/websocket").parse().unwrap();
    config.upstream.endpoints = vec![Endpoint { url, dialect: Dialect::Binary }];
    config.login.starts_per_minute = 0;
    let bound = server::bind("127.0.0.1:0".parse().unwrap(), "server.listen").await.unwrap();
    let address = bound.address().unwrap();
    config.server.public_url = format!("http://{address}/").parse().unwrap();
    config.server.allowed_origins = vec![crate::base::origin::Origin::of(&config.server.public_url)];
    let routes = app::build(&config, Surroundings::in_memory(tasks)).routes;
    tasks.spawn("server", bound.serve(routes, Arc::new(Places::for_anybody(1000)), tasks.clone()));
    Site { base: format!("http://{address}/api/auth/max"), phone: format!("http://{phone}") }
}

/// What a run comes to, and what it told on the way.
async fn run_of(line: &str) -> (Value, Vec<String>) {
    let (outcome, told) = outcome_of(line).await;
    assert!(outcome.tally.is_clean(), "{}", outcome.complaint());
    (outcome.json(), told)
}

async fn outcome_of(line: &str) -> (report::Outcome, Vec<String>) {
    let words = std::iter::once("bench").chain(line.split(' '));
    let plan = Plan::of(&Line::try_parse_from(words).unwrap().arguments).unwrap();
    plan.raise_files().unwrap();
    let told = Mutex::new(Vec::new());
    let result = run::run(plan, &|progress| told.lock().unwrap().push(progress.to_owned())).await.unwrap();
    (result, told.into_inner().unwrap())
}

fn count(result: &Value, name: &str) -> u64 {
    result["logins"][name].as_u64().unwrap_or_else(|| panic!("{name}: {result}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_sign_in_one_after_the_other_over_each_transport() {
    let tasks = Tasks::new();
    let site = site(&tasks, 2).await;
    for transport in ["websocket", "sse", "poll"] {
        let pid = std::process::id();
        let (result, _) =
            run_of(&format!("{} --visitors 4 --for 1 --transport {transport} --pid {pid}", site.base)).await;
        assert_eq!((result["load"].as_str(), result["transport"].as_str()), (Some("closed"), Some(transport)));
        let (started, succeeded) = (count(&result, "started"), count(&result, "succeeded"));
        assert!(succeeded >= 4 && started == succeeded, "{result}");
        assert_eq!((count(&result, "failed"), count(&result, "lost")), (0, 0), "{result}");
        let (codes, ends) = (&result["first_code_ms"], &result["success_ms"]);
        assert_eq!((codes["count"].as_u64(), ends["count"].as_u64()), (Some(started), Some(succeeded)));
        assert!(codes["p50"].as_f64().unwrap() > 0.0 && codes["p50"].as_f64() <= ends["p50"].as_f64(), "{result}");
        assert!(result["per_finished_login"]["cpu_ms"].as_f64().unwrap() > 0.0, "{result}");
        assert_eq!(result["streams"]["out_of_order"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_begin_at_their_rate_whatever_the_server_does() {
    let tasks = Tasks::new();
    let site = site(&tasks, 1).await;
    let (result, _) = run_of(&format!("{} --rate 30 --for 1 --seed 7", site.base)).await;
    assert!((10..60).contains(&count(&result, "started")), "{result}");
    assert_eq!((count(&result, "not_started"), result["load"].as_str()), (0, Some("open")));
    let (crowded, _) = outcome_of(&format!("{} --rate 200 --for 1 --open-at-most 2", site.base)).await;
    assert!(count(&crowded.json(), "not_started") > 10 && !crowded.tally.is_clean());
    assert!(crowded.complaint().contains("were not started"), "{}", crowded.complaint());
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_logins_are_held_and_then_approved_or_let_go() {
    let tasks = Tasks::new();
    let site = site(&tasks, 0).await;
    for transport in ["websocket", "sse", "poll"] {
        let line = format!("{} --logins 12 --hold 1 --transport {transport}", site.base);
        let (held, told) = run_of(&line).await;
        assert_eq!(
            (count(&held, "waited"), count(&held, "released"), count(&held, "succeeded")),
            (12, 12, 0),
            "{held}"
        );
        assert!(told.iter().any(|told| told.contains("12 logins wait; held for 1 s")), "{told:?}");
        let (finished, _) = run_of(&format!("{line} --finish --emulator {} --at-once 3", site.phone)).await;
        assert_eq!((count(&finished, "waited"), count(&finished, "succeeded")), (12, 12), "{finished}");
        assert_eq!(
            (finished["approvals"]["given"].as_u64(), count(&finished, "released")),
            (Some(12), 0),
            "{finished}"
        );
        assert!(finished["approval_to_success_ms"]["count"] == 12, "{finished}");
    }
    let (ramped, _) = run_of(&format!("{} --logins 10 --ramp 20 --hold 1", site.base)).await;
    assert!(ramped["length_ms"].as_f64().unwrap() > 1400.0, "ten at twenty a second, and a second: {ramped}");
}

/// The same phone, whose answers are late by this.
async fn late(phone: &str, by: Duration, tasks: &Tasks) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (phone, each) = (phone.trim_start_matches("http://").to_owned(), tasks.clone());
    tasks.spawn("late phone", async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = tokio::net::TcpStream::connect(&phone).await.unwrap();
            each.spawn("late phone's connection", async move {
                let ((mut asks, mut hears), (mut answers, mut asked)) = (near.into_split(), far.into_split());
                let ask = tokio::io::copy(&mut asks, &mut asked);
                let answer = async {
                    let mut bytes = [0; 4096];
                    while let Ok(read @ 1..) = answers.read(&mut bytes).await {
                        tokio::time::sleep(by).await;
                        hears.write_all(&bytes[..read]).await?;
                    }
                    Ok::<_, std::io::Error>(())
                };
                let _ = tokio::join!(ask, answer);
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_counts_though_its_answer_comes_after_the_success() {
    let tasks = Tasks::new();
    let site = site(&tasks, 0).await;
    let phone = late(&site.phone, Duration::from_millis(400), &tasks).await;
    let (finished, _) = run_of(&format!("{} --logins 2 --hold 0.2 --finish --emulator {phone}", site.base)).await;
    assert_eq!((count(&finished, "succeeded"), finished["approvals"]["given"].as_u64()), (2, Some(2)), "{finished}");
    assert!(finished["approval_to_success_ms"]["p50"].as_f64().is_some_and(|time| time < 100.0), "{finished}");
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_of_an_app_come_back_with_a_code_that_it_redeems() {
    let tasks = Tasks::new();
    let site = site(&tasks, 1).await;
    for transport in ["websocket", "sse", "poll"] {
        let client = "--client app --redirect-uri https://app.example.ru/cb";
        let line = format!("{} --visitors 3 --for 1 --transport {transport} {client}", site.base);
        let (result, _) = run_of(&line).await;
        assert_eq!(result["client"], "app");
        let (started, succeeded) = (count(&result, "started"), count(&result, "succeeded"));
        assert!(succeeded >= 3 && started == succeeded, "{result}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_turns_its_visitors_away_has_no_logins() {
    let tasks = Tasks::new();
    let site = site(&tasks, 1).await;
    let line = format!("{} --rate 20 --for 0.2", site.base);
    let refused = [
        ("--client closed --redirect-uri https://closed.example.ru/cb", "/oauth2/continue: status 403"),
        ("--client app --redirect-uri https://app.example.ru/other", "/oauth2/authorize: status 400"),
    ];
    for (client, why) in refused {
        let (outcome, _) = outcome_of(&format!("{line} {client}")).await;
        let result = outcome.json();
        assert_eq!(count(&result, "succeeded"), 0, "{result}");
        assert_eq!(result["reasons"][why], count(&result, "started"), "{result}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_behind_its_place_over_the_same_transport() {
    let (tasks, rng) = (Tasks::new(), Rng::system());
    let site = site(&tasks, 0).await;
    let connector = connect::Connector::new(1, tasks.clone());
    for (transport, flag) in
        [(plan::Transport::Websocket, "websocket"), (plan::Transport::Sse, "sse"), (plan::Transport::Poll, "poll")]
    {
        let words = ["bench", &site.base, "--transport", flag];
        let plan = Plan::of(&Line::try_parse_from(words).unwrap().arguments).unwrap();
        let (target, opener) = (&plan.targets[0], stream::Opener { transport, connector: &connector, rng: &rng });
        let (mut begun, cookie) = opener.begin(target, &stream::Comer::default()).await.ok().unwrap();
        let mut ids = Vec::new();
        let mut login = None;
        while ids.len() < 3 {
            let event = begun.next().await.unwrap();
            login = login.or(event.data.login);
            ids.extend(event.id);
        }
        let login = login.expect("named in its first event");
        let place = stream::Place { login: &login, after: Some(&ids[0]), cookie: &cookie };
        let mut resumed = opener.resume(target, &place).await.ok().unwrap();
        let kind = match &resumed {
            stream::Stream::Websocket(_) => "websocket",
            stream::Stream::Sse { .. } => "sse",
            stream::Stream::Pages(_) => "poll",
        };
        assert_eq!((kind, resumed.next().await.unwrap().id.as_ref()), (flag, Some(&ids[1])));
    }
}
