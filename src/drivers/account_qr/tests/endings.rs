//! A visitor is told who they are before MAX has answered LOGOUT, and the session is ended all the same.

use super::{Duration, Ordering, Outcome, ROUND_TRIP, Site, json};
use crate::observe::Counted;
use serde_json::Value;
use tokio::time::Instant;

/// The request that ends a session.
const LOGOUT: u16 = 20;

/// A sign-in under a fault of LOGOUT: what it took, then what became of the session.
async fn told_before(fault: Value) -> Site {
    let (site, counted) = (Site::new(1), Counted::listen());
    let began = Instant::now();
    if !fault.is_null() {
        site.max.fault(fault).await;
    }
    assert!(matches!(site.sign_in().await, Outcome::SignedIn(person) if person.id == 401_041_669));
    // TCP, TLS, upgrade, INIT, GET_QR; a question 100 ms later; LOGIN_BY_QR.
    assert_eq!(began.elapsed(), 7 * ROUND_TRIP + Duration::from_millis(100));
    assert_eq!(site.open.count(), 1, "marked until MAX has confirmed");
    assert_eq!(counted.of("max_auth_logouts_total{result=\"confirmed\"}"), 0);
    site.eventually("the mark goes", || site.open.count() == 0).await;
    assert_eq!(site.max.logins_and_logouts().await, (1, 1));
    assert_eq!(counted.of("max_auth_logouts_total{result=\"confirmed\"}"), 1, "once");
    for other in ["failed", "unconfirmed"] {
        assert_eq!(counted.of(&format!("max_auth_logouts_total{{result=\"{other}\"}}")), 0);
    }
    site
}

#[tokio::test(start_paused = true)]
async fn success_does_not_wait_for_the_answer_to_logout() {
    let site = told_before(Value::Null).await;
    assert_eq!(site.max.dialled.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn nor_for_one_that_is_late() {
    let site = told_before(json!({"on": LOGOUT, "do": "delay", "ms": 3000})).await;
    assert_eq!(site.max.dialled.load(Ordering::SeqCst), 1, "heard out where it was asked");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_is_asked_for_again_elsewhere() {
    let site = told_before(json!({"on": LOGOUT, "do": "half-open"})).await;
    assert_eq!(site.max.dialled.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_cut_is_made_again() {
    let site = told_before(json!({"on": LOGOUT, "do": "cut"})).await;
    assert_eq!(site.max.dialled.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_logout_that_is_refused_is_gone_on_with() {
    let site = told_before(json!({"on": LOGOUT, "do": "error", "code": "proto.state"})).await;
    assert_eq!(site.max.dialled.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_max_never_takes_is_told_after_all_tries() {
    let (site, counted) = (Site::new(1), Counted::listen());
    site.max.fault(json!({"on": LOGOUT, "do": "error", "times": 99})).await;
    assert!(matches!(site.sign_in().await, Outcome::SignedIn(_)));
    site.eventually("it is given up", || site.open.count() == 0).await;
    assert_eq!(counted.of("max_auth_logouts_total{result=\"failed\"}"), 1);
    assert_eq!(site.max.dialled.load(Ordering::SeqCst), 5);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_right_then_waits_for_the_answer() {
    let site = Site::new(1);
    site.max.fault(json!({"on": LOGOUT, "do": "delay", "ms": 3000})).await;
    assert!(matches!(site.sign_in().await, Outcome::SignedIn(_)));
    assert!(site.tasks.stopped(std::future::pending()).await);
    assert_eq!((site.open.count(), site.max.logins_and_logouts().await), (0, (1, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_wait_leaves_the_mark() {
    let (site, counted) = (Site::new(1), Counted::listen());
    site.max.fault(json!({"on": LOGOUT, "do": "delay", "ms": 3000})).await;
    assert!(matches!(site.sign_in().await, Outcome::SignedIn(_)));
    assert!(!site.tasks.stopped(tokio::time::sleep(Duration::from_secs(1))).await);
    assert_eq!(site.open.count(), 1, "the next start tells");
    assert_eq!(counted.of("max_auth_logouts_total{result=\"confirmed\"}"), 0);
}

#[tokio::test(start_paused = true)]
async fn past_so_many_a_visitor_waits_and_a_task_that_is_dropped_then_is_heard_out() {
    let (site, counted) = (Site::new(1), Counted::listen());
    let all = site.driver.0.endings.clone().acquire_many_owned(32).await.unwrap();
    site.max.fault(json!({"on": LOGOUT, "do": "delay", "ms": 3000})).await;
    let began = Instant::now();
    assert!(matches!(site.sign_in().await, Outcome::SignedIn(_)));
    assert!(began.elapsed() > Duration::from_secs(3) && site.open.count() == 0);

    site.max.fault(json!({"on": LOGOUT, "do": "delay", "ms": 3000})).await;
    assert!(tokio::time::timeout(Duration::from_secs(1), site.sign_in()).await.is_err(), "dropped in the middle");
    assert_eq!(site.open.count(), 1);
    site.eventually("the mark goes", || site.open.count() == 0).await;
    assert_eq!(site.max.logins_and_logouts().await, (2, 2));
    assert_eq!(counted.of("max_auth_logouts_total{result=\"confirmed\"}"), 2);
    assert_eq!(site.max.dialled.load(Ordering::SeqCst), 2);
    drop(all);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_breaks_while_the_answer_is_awaited_is_not_taken_for_one() {
    let (site, counted) = (Site::new(1), Counted::listen());
    site.max.fault(json!({"on": LOGOUT, "do": "delay", "ms": 3000})).await;
    assert!(matches!(site.sign_in().await, Outcome::SignedIn(_)));
    tokio::time::sleep(ROUND_TRIP).await;
    site.max.cut();
    site.eventually("the mark goes", || site.open.count() == 0).await;
    assert_eq!((site.max.logins_and_logouts().await, site.max.dialled.load(Ordering::SeqCst)), ((1, 1), 2));
    assert_eq!(counted.of("max_auth_logouts_total{result=\"confirmed\"}"), 1);
}
