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
async fn a_login_costs_nine_commands_and_few_bytes() {
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
        for (after, bytes) in [(1, 700), (2, 150), (3, 150)] {
            assert_eq!(store.append(log, append(after, bytes, None)).await.unwrap(), Appended::Stored);
        }
        store.read(log, Some(4), Reader::Owner { fence: 1 }).await.unwrap();
        store.put(grant, record(600), LONG, When::Always).await.unwrap();
        assert_eq!(store.append(log, append(4, 300, Some(LONG))).await.unwrap(), Appended::Stored);
        assert!(store.take(grant).await.unwrap().is_some());
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
        .filter(|(name, _)| ["evalsha", "eval", "set", "getdel"].contains(&name.as_str()))
        .map(|(_, calls)| calls)
        .sum();
    let received = figure(&info, "total_net_input_bytes") / u64::from(times);
    let sent = figure(&info, "total_net_output_bytes") / u64::from(times);
    let kept = (figure(&info, "used_memory") - figure(&before, "used_memory")) / u64::from(times);
    eprintln!("MEASURE {wire} {received} {sent} {kept} {time:?} {:?}", commands(&info));
    let told = format!("{wire} calls, {received} in, {sent} out, {kept} kept, {time:?}: {:?}", commands(&info));
    assert_eq!(wire, u64::from(times) * 8, "{told}");
    assert!(received < 4_500 && sent < 1_200 && kept < 4_500, "{told}");
}

#[tokio::test]
async fn measure_latency() {
    let server = Server::start("").await;
    let store = connected(&server.address()).await;
    let node = NodeName::new("node-1", &Rng::system());
    let record = |bytes: usize| Bytes::from(vec![b'x'; bytes]);
    let key = |space, n: u32| Key::of(space, &[&n.to_be_bytes()]);
    const N: u32 = 1000;
    macro_rules! timed {
        ($name:literal, $n:ident => $work:expr) => {
            let mut times = Vec::new();
            for $n in 0..N {
                let since = Instant::now();
                $work.await.unwrap();
                times.push(since.elapsed());
            }
            times.sort();
            eprintln!("LATENCY {} p50 {:?} p99 {:?}", $name, times[500], times[990]);
        };
    }
    timed!("begin", n => store.begin(key(Space::Login, n), node.clone(), record(400), vec![record(150)], LONG));
    timed!("append", n => store.append(key(Space::Login, n), Append { fence: 1, after: 1, records: vec![record(700)], seal: None }));
    timed!("read owner", n => store.read(key(Space::Login, n), Some(2), Reader::Owner { fence: 1 }));
    timed!("read node", n => store.read(key(Space::Login, n), None, Reader::Node(NodeName::parse("b~1").unwrap(), LONG)));
    timed!("send", n => store.send(key(Space::Login, n), record(100)));
    timed!("claim", n => store.claim(key(Space::Login, n), None, 1));
    timed!("put", n => store.put(key(Space::Grant, n), record(600), LONG, When::Always));
    timed!("get", n => store.get(key(Space::Grant, n)));
    timed!("take", n => store.take(key(Space::Grant, n)));
    timed!("admit", n => store.admit(key(Space::Rate, n), Duration::from_secs(6), 10));
    for n in 0..30 {
        store.beat(NodeName::new(&format!("n{n}"), &Rng::system()), LONG, 5, record(64)).await.unwrap();
    }
    timed!("beat (30 nodes)", n => store.beat(node.clone(), LONG, n, record(64)));
    timed!("reserve (30 nodes)", _n => store.reserve(node.clone(), 1_000_000));
}
