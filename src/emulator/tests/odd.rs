//! Whatever MAX sends in whichever moment: as many sessions are ended as were opened. The whole driver over real sockets,
//! because how a WebSocket library gives up is part of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::script;
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::base::tasks::Tasks;
use crate::config::{self, Config, Endpoint, Flags};
use crate::drivers::{AccountQr, OpenLogins};
use crate::emulator::odd::KINDS;
use crate::emulator::{self, Emulator, Options};
use crate::signin::{Asked, CommandSlot, Driver as _, DriverEvent, EventSink, Outcome};
use crate::upstream::Roots;

/// Long enough for a login among many at once on a slow machine; a step that hears nothing waits this long.
const ANSWER: Duration = Duration::from_millis(1500);

/// A case that has not ended by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Cases at once.
const AT_ONCE: usize = 24;

/// Gives the password when asked.
struct Visiting(CommandSlot);

impl EventSink for Visiting {
    fn emit(&self, event: DriverEvent) {
        if let DriverEvent::Password { .. } = event {
            self.0.password(Secret::new("correct horse".to_owned()));
        }
    }
}

struct Ran {
    outcome: &'static str,
    logins: u64,
    logouts: u64,
}

/// One sign-in under a script, until nothing of it is left at MAX.
async fn under(faults: Value, dialect: config::Dialect, password: bool) -> Ran {
    under_with(faults, dialect, password, OpenLogins::default()).await
}

/// `open`: where it is kept that a session may be open.
async fn under_with(faults: Value, dialect: config::Dialect, password: bool, open: OpenLogins) -> Ran {
    let (clock, rng, tasks) = (Clock::system(), Rng::seeded(11), Tasks::new());
    let options = Options {
        approve_after: 1,
        poll: Duration::from_millis(20),
        password: password.then(|| "correct horse".to_owned()),
        ..Options::default()
    };
    let emulator = Emulator::new(options, clock.clone(), rng.clone(), tasks.clone());
    let listener = emulator::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), false).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Arc::clone(&emulator);
    tasks.spawn("emulator", async move { serving.serve(listener).await });
    script(&emulator, faults).await;

    let mut settings = Config::load(&Flags::default()).unwrap().config;
    settings.upstream.endpoints = vec![Endpoint { url: format!("ws://{address}/websocket").parse().unwrap(), dialect }];
    settings.upstream.answer_timeout = ANSWER;
    settings.login.password = config::PasswordPolicy::Ask;
    let driver = AccountQr::new(
        &settings.upstream,
        &settings.login,
        Roots::load(None).unwrap(),
        clock,
        rng,
        tasks.clone(),
        open.clone(),
    );
    let visiting = Visiting(CommandSlot::default());
    let outcome = match driver.run(Asked::by_nobody(&Rng::seeded(1)), &visiting, &visiting.0).await {
        Outcome::SignedIn(_) => "signed in",
        Outcome::Failed { hint: Some(_), .. } => "refused",
        Outcome::Failed { .. } => "unreachable",
        Outcome::Stopped => "stopped",
    };
    // What is ended on a connection of its own.
    while open.count() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let stats = super::phone(&emulator, "GET", "/phone/stats", "").await.1;
    let stat = |name: &str| stats[name].as_u64().unwrap();
    let ran = Ran { outcome, logins: stat("logins"), logouts: stat("logouts") };
    tasks.stopped(std::future::ready(())).await;
    ran
}

/// Every script, in both dialects; what each came to.
async fn all(scripts: Vec<(Value, bool)>) -> Vec<(String, Ran)> {
    let both = [config::Dialect::Json, config::Dialect::Binary];
    let cases =
        scripts.into_iter().flat_map(|(faults, password)| both.map(|dialect| (faults.clone(), password, dialect)));
    let runs = cases.map(|(faults, password, dialect)| async move {
        let name = format!("{faults} in {dialect:?}");
        match tokio::time::timeout(PATIENCE, under(faults, dialect, password)).await {
            Ok(ran) => (name, ran),
            Err(_) => panic!("{name}: a session is still open after {PATIENCE:?}"),
        }
    });
    futures_util::stream::iter(runs).buffer_unordered(AT_ONCE).collect().await
}

/// Large messages are the slow ones; the rest is milliseconds, or one unanswered question.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logouts_are_as_many_as_logins_whatever_max_sends() {
    let mut scripts = Vec::new();
    for (kind, _) in KINDS {
        for on in [6, 288, 289, 291, 20] {
            for when in ["before", "instead", "after"] {
                scripts.push((json!([{"on":on,"do":"odd","kind":kind,"when":when}]), false));
            }
        }
        for when in ["before", "instead", "after"] {
            // With a cloud password, and where MAX wants a LOGIN before the LOGOUT.
            scripts.push((json!([{"on":115,"do":"odd","kind":kind,"when":when}]), true));
            let refused = json!({"on":20,"do":"error","code":"proto.state"});
            scripts.push((json!([refused, {"on":19,"do":"odd","kind":kind,"when":when}]), false));
        }
    }
    let ran = all(scripts).await;
    let wrong: Vec<String> = ran
        .iter()
        .filter(|(_, ran)| ran.logins != ran.logouts || ran.outcome == "unreachable")
        .map(|(name, ran)| format!("{name}: {} logins, {} logouts, {}", ran.logins, ran.logouts, ran.outcome))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
    let signed_in = ran.iter().filter(|(_, ran)| ran.outcome == "signed in").count();
    assert!(signed_in * 10 > ran.len() * 8, "{signed_in} of {} visitors were signed in all the same", ran.len());
}

/// Pushes that cannot be read come all the time, not once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_max_that_is_never_quite_readable_still_signs_people_in() {
    let kinds = ["zstandard", "version", "cmd", "key", "surrogate", "nesting", "truncated", "dialect", "empty"];
    let scripts =
        kinds.map(|kind| (json!([{"on":"any","skip":1,"do":"odd","kind":kind,"when":"before","times":99}]), false));
    for (name, ran) in all(scripts.to_vec()).await {
        assert_eq!((ran.outcome, ran.logins, ran.logouts), ("signed in", 1, 1), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_max_may_have_opened_a_session_that_is_kept_for_the_next_start() {
    let open = OpenLogins::default();
    // The answer to the request that opens the session is late: it is open, and nobody here knows.
    let late = json!([{"on":291,"do":"delay","ms":700}]);
    let run = under_with(late, config::Dialect::Binary, false, open.clone());
    let watch = async {
        let mut most = 0;
        for _ in 0..200 {
            most = most.max(open.count());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        most
    };
    let (ran, most) = tokio::join!(run, watch);
    assert_eq!((ran.outcome, ran.logins, ran.logouts), ("signed in", 1, 1));
    assert_eq!((most, open.count()), (1, 0));
}
