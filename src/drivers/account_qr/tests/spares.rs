//! Connections made ahead: what they save, that there are none where nobody comes, and that one that is dead costs nothing.

use super::{Asked, CommandSlot, DriverEvent, EventSink, Mutex, Ordering, ROUND_TRIP, Site, json};
use crate::base::limits::UPSTREAM_SPARES;
use crate::base::rng::Rng;
use crate::observe::Counted;
use crate::signin::{Driver as _, Outcome};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// TCP, TLS, upgrade, INIT, GET_QR.
const COLD: Duration = ROUND_TRIP.saturating_mul(5);

/// INIT, GET_QR.
const WITH_A_SPARE: Duration = ROUND_TRIP.saturating_mul(2);

/// Notes when each code comes, and leaves at the first.
struct Visitor {
    began: Instant,
    codes: Mutex<Vec<Duration>>,
    commands: CommandSlot,
}

impl EventSink for Visitor {
    fn emit(&self, event: DriverEvent) {
        if let DriverEvent::Code { .. } = event {
            self.codes.lock().unwrap().push(self.began.elapsed());
            self.commands.stop();
        }
    }
}

impl Site {
    fn with_spares() -> Self {
        let site = Self::new(0);
        Self { driver: site.driver.with_spares(), ..site }
    }

    /// How long a visitor waits for a code, who then leaves.
    async fn visit(&self) -> Duration {
        let visitor = Visitor { began: Instant::now(), codes: Mutex::default(), commands: CommandSlot::default() };
        let outcome = self.driver.run(Asked::by_nobody(&Rng::seeded(1)), &visitor, &visitor.commands).await;
        assert!(matches!(outcome, Outcome::Stopped));
        let codes = visitor.codes.into_inner().unwrap();
        assert_eq!(codes.len(), 1);
        codes[0]
    }

    fn dialled(&self) -> usize {
        self.max.dialled.load(Ordering::SeqCst)
    }

    /// One visitor, and the spare connection that is made for the next.
    async fn with_one_ready() -> Self {
        let site = Self::with_spares();
        assert_eq!(site.visit().await, COLD);
        sleep(Duration::from_secs(1)).await;
        assert_eq!((site.dialled(), site.max.stat("silent").await), (2, 1));
        site
    }

    fn is_preferred(&self) -> bool {
        let connector = &self.driver.0;
        connector.endpoints.preferred(connector.clock.monotonic()) == Some(0)
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_next_waits_for_two_round_trips_instead_of_five() {
    let (site, counted) = (Site::with_one_ready().await, Counted::listen());
    assert_eq!(site.visit().await, WITH_A_SPARE);
    assert_eq!(counted.of("max_auth_upstream_spares_total{result=\"used\"}"), 1);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(counted.of("max_auth_upstream_connects_total{result=\"ok\",kind=\"ahead\"}"), 1);
    assert_eq!((site.visit().await, counted.of("max_auth_upstream_spares")), (WITH_A_SPARE, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_visitors_finds_a_connection_nearly_always() {
    let site = Site::with_spares();
    let visits = (0..400_u32).map(|number| {
        let site = &site;
        async move {
            // Ten a second, unevenly: now and then three at once.
            sleep(Duration::from_millis(u64::from(number / 3) * 300)).await;
            site.visit().await
        }
    });
    let mut waited = join_all(visits).await;
    // The first six seconds teach how many come.
    let mut waited = waited.split_off(60);
    waited.sort();
    assert_eq!((waited[waited.len() / 2], waited[waited.len() * 95 / 100]), (WITH_A_SPARE, WITH_A_SPARE));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_nobody_visits_makes_none_and_those_of_a_burst_go() {
    let site = Site::with_spares();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(site.dialled(), 0);

    for _ in 0..20 {
        assert!(join_all((0..50).map(|_| site.visit())).await.iter().all(|waited| *waited <= COLD));
    }
    sleep(Duration::from_secs(1)).await;
    let (silent, dialled) = (site.max.stat("silent").await, site.dialled());
    assert!((1..=UPSTREAM_SPARES as u64).contains(&silent), "{silent}");
    sleep(Duration::from_secs(20)).await;
    assert_eq!(site.max.stat("connections").await, 0);
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(site.dialled(), dialled, "and nobody makes others");
}

#[tokio::test(start_paused = true)]
async fn one_that_max_has_closed_is_noticed_before_anything_is_said() {
    let (site, counted) = (Site::with_one_ready().await, Counted::listen());
    site.max.cut();
    sleep(Duration::from_millis(1)).await;
    assert_eq!((site.visit().await, site.is_preferred()), (COLD, true));
    assert_eq!(counted.of("max_auth_upstream_spares_total{result=\"dead\"}"), 1);
    assert_eq!(counted.of("max_auth_upstream_lost_total"), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_breaks_at_its_first_word_is_nobodys_failure() {
    for (fault, costs) in [("cut", ROUND_TRIP), ("half-open", Duration::from_secs(2)), ("garbage", ROUND_TRIP)] {
        let (site, counted) = (Site::with_one_ready().await, Counted::listen());
        site.max.fault(json!({"on": 6, "do": fault})).await;
        assert_eq!((site.visit().await, site.is_preferred()), (costs + COLD, true), "{fault}");
        assert_eq!(counted.of("max_auth_upstream_spares_total{result=\"dead\"}"), 1, "{fault}");
        assert_eq!(counted.of("max_auth_upstream_lost_total"), 0, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn none_is_made_to_an_address_that_rests() {
    let site = Site::with_one_ready().await;
    let now = site.driver.0.clock.monotonic();
    site.driver.0.endpoints.failed(0, now);
    assert_eq!(site.visit().await, COLD, "and the one that waited is not used");
    sleep(Duration::from_secs(1)).await;
    assert_eq!((site.dialled(), site.max.stat("connections").await), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_made_is_not_tried_again_at_once() {
    let site = Site::with_spares();
    let visit = async {
        sleep(ROUND_TRIP / 2).await;
        site.max.refuses.store(true, Ordering::SeqCst);
        sleep(ROUND_TRIP).await;
        site.max.refuses.store(false, Ordering::SeqCst);
    };
    // The spare is begun together with the visitor's own, and both are refused.
    let (waited, ()) = tokio::join!(site.visit(), visit);
    assert!(waited > COLD);
    let before = site.dialled();
    site.driver.0.endpoints.works(0, site.driver.0.clock.monotonic());
    site.visit().await;
    assert_eq!(site.dialled(), before + 1, "the visitor's own and no other");
    sleep(Duration::from_secs(5)).await;
    site.visit().await;
    assert_eq!(site.dialled(), before + 3);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_closes_them() {
    let site = Site::with_one_ready().await;
    let began = Instant::now();
    assert!(site.tasks.stopped(std::future::pending()).await);
    assert_eq!(began.elapsed(), Duration::ZERO);
    sleep(ROUND_TRIP).await;
    assert_eq!(site.max.stat("connections").await, 0);
    assert!(site.driver.0.spare().is_none());
    assert_eq!(site.dialled(), 2, "and no other is made");
}
