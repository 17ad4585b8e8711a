//! What a login costs Redis. docs/storage.md has these figures.

use super::server::Server;
use super::*;
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(600);

/// A number of INFO.
fn figure(info: &str, name: &str) -> u64 {
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim_start_matches(':').trim().parse().ok()).unwrap_or(0)
}

/// Commands that came over the wire, and those that scripts ran.
fn commands(info: &str) -> Vec<(String, u64)> {
    let lines = info.lines().filter_map(|line| line.strip_prefix("cmdstat_"));
    lines
        .filter_map(|line| {
            let (name, rest) = line.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        })
        .collect()
}

#[tokio::test]
async fn a_login_costs_ten_commands_and_few_bytes() {
    let server = Server::start("").await;
    let store = connected(&server.address()).await;
    let key = |space| Key::of(space, &[&Rng::system().bytes::<16>()]);
    let node = NodeName::new("node-1", &Rng::system());
    let record = |bytes: usize| Bytes::from(vec![b'x'; bytes]);
    let append = |after, bytes, seal| Append { fence: 1, after, records: vec![record(bytes)], seal };
    // As events are: a drawn code is the largest.
    let login = async || {
        let (log, grant) = (key(Space::Login), key(Space::Grant));
        store.begin(log, node.clone(), record(400), vec![record(150)], LONG).await.unwrap();
        for (after, bytes) in [(1, 700), (2, 150), (3, 150), (4, 150)] {
            assert_eq!(store.append(log, append(after, bytes, None)).await.unwrap(), Appended::Stored);
        }
        store.read(log, Some(5), Reader::Owner { fence: 1 }).await.unwrap();
        store.put(grant, record(600), LONG, When::Always).await.unwrap();
        assert_eq!(store.append(log, append(5, 300, Some(LONG))).await.unwrap(), Appended::Stored);
        assert!(store.get(grant).await.unwrap().is_some());
        assert!(store.put(key(Space::Used), record(120), LONG, When::Absent).await.unwrap());
    };
    login().await;
    let times = 200;
    let before = server.ask("INFO all");
    server.ask("CONFIG RESETSTAT");
    let since = Instant::now();
    for _ in 0..times {
        login().await;
    }
    let time = since.elapsed() / times;
    let info = server.ask("INFO all");
    let wire: u64 = commands(&info)
        .iter()
        .filter(|(name, _)| ["evalsha", "eval", "set", "get"].contains(&name.as_str()))
        .map(|(_, calls)| calls)
        .sum();
    let received = figure(&info, "total_net_input_bytes") / u64::from(times);
    let sent = figure(&info, "total_net_output_bytes") / u64::from(times);
    let kept = (figure(&info, "used_memory") - figure(&before, "used_memory")) / u64::from(times);
    let told = format!("{wire} calls, {received} in, {sent} out, {kept} kept, {time:?}: {:?}", commands(&info));
    assert_eq!(wire, u64::from(times) * 10, "{told}");
    assert!(received < 4_700 && sent < 900 && kept < 4_500, "{told}");
}

/// Processor time that Redis has used, in microseconds.
fn processor(server: &Server) -> f64 {
    let info = server.ask("INFO cpu");
    let seconds = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_start_matches(':').trim().parse::<f64>().unwrap_or_default()
    };
    (seconds("used_cpu_user") + seconds("used_cpu_sys")) * 1e6
}

/// The figures of `store::costly`: `cargo test --release --lib what_each_verb -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "measures"]
#[expect(clippy::print_stdout, reason = "that is what it is for")]
async fn what_each_verb_costs_redis() {
    const TIMES: u32 = 20_000;
    const AT_ONCE: u32 = 50;
    let server = Server::start("").await;
    let store = Arc::new(connected(&server.address()).await);
    let node = NodeName::new("node-1", &Rng::system());
    let log = |number: u32| Key::of(Space::Login, &[&number.to_be_bytes()]);
    let grant = |number: u32| Key::of(Space::Grant, &[&number.to_be_bytes()]);
    let record = |bytes: usize| Bytes::from(vec![b'x'; bytes]);
    let verbs = ["begin", "append", "read", "read elsewhere", "claim", "send", "put", "get", "take", "admit", "beat"];
    for verb in verbs {
        let (before, since) = (processor(&server), Instant::now());
        for first in (0..TIMES).step_by(AT_ONCE as usize) {
            let calls = (first..first + AT_ONCE).map(|number| {
                let (store, node) = (Arc::clone(&store), node.clone());
                async move {
                    let (log, grant) = (log(number), grant(number));
                    let append = Append { fence: 1, after: 1, records: vec![record(700)], seal: None };
                    match verb {
                        "begin" => store.begin(log, node, record(400), vec![record(150)], LONG).await.unwrap(),
                        "append" => drop(store.append(log, append).await.unwrap()),
                        "read" => drop(store.read(log, Some(2), Reader::Owner { fence: 1 }).await.unwrap()),
                        "read elsewhere" => drop(store.read(log, Some(1), Reader::Node(node, LONG)).await.unwrap()),
                        "claim" => drop(store.claim(log, Some(node), 1).await.unwrap()),
                        "send" => drop(store.send(log, record(60)).await.unwrap()),
                        "put" => drop(store.put(grant, record(600), LONG, When::Always).await.unwrap()),
                        "get" => drop(store.get(grant).await.unwrap()),
                        "take" => drop(store.take(grant).await.unwrap()),
                        "admit" => drop(store.admit(grant, Duration::from_secs(6), 10).await.unwrap()),
                        _ => drop(store.beat(node, LONG, 1, Bytes::new()).await.unwrap()),
                    }
                }
            });
            futures_util::future::join_all(calls).await;
        }
        let each = (processor(&server) - before) / f64::from(TIMES);
        println!("{verb}: {each:.1} µs of Redis, {:.0} a second", f64::from(TIMES) / since.elapsed().as_secs_f64());
    }
}
