//! A run: begins logins as planned, hears what becomes of them, reads what the servers use meanwhile.

use super::app::App;
use super::connect::Connector;
use super::cost::{Readings, Usage};
use super::phone::Phones;
use super::plan::{Arrivals, Begin, Load, MOST_LOGINS, Plan};
use super::report::Outcome;
use super::tally::{End, Tally, Told};
use super::visit::{Phase, Visits};
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// Before waiting is watched, allocations settle for so long, and for a fifth of the hold at most.
const SETTLE: Duration = Duration::from_secs(3);

/// A visitor of the closed loop who was refused comes again after so long.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What logins have told and nobody has heard yet.
const INBOX: usize = 1024;

/// Runs the plan. `progress` is told what happens meanwhile.
pub async fn run(plan: Plan, progress: &(dyn Fn(&str) + Sync)) -> Result<Outcome, String> {
    let mut processes = Vec::new();
    for &pid in &plan.pids {
        let before = Usage::of(pid).ok_or_else(|| format!("--pid {pid}: there is no such process here"))?;
        processes.push(Readings { pid, before: Some(before), ..Readings::default() });
    }
    let tasks = Tasks::new();
    let (told, inbox) = mpsc::channel(INBOX);
    let first = match plan.load {
        Load::Waiting { .. } => Phase::Hold,
        // Each is approved as soon as its code is there.
        Load::Closed { .. } | Load::Open { .. } => Phase::Finish,
    };
    let (phase, heard_phase) = watch::channel(first);
    let connector = Arc::new(Connector::new(plan.sources, tasks.clone()));
    let phones = (!plan.emulators.is_empty())
        .then(|| Arc::new(Phones::new(&plan.emulators, plan.targets.len(), Arc::clone(&connector))));
    let app = match plan.client.clone() {
        Some(client) => Some(App::discover(client, &plan.targets, Arc::clone(&connector)).await?),
        None => None,
    };
    let visits = Arc::new(Visits {
        targets: plan.targets.clone(),
        next_target: AtomicUsize::new(0),
        transport: plan.transport,
        connector,
        phones,
        app,
        rng: Rng::system(),
        timeout: plan.timeout,
        any_address: plan.any_address,
        told,
        phase: heard_phase,
    });
    let mut run = Run { inbox, tally: Tally::default(), processes, phase, began: Instant::now() };
    begin(plan.load, visits, &tasks);
    let (mut waited, mut held) = (0, Duration::ZERO);
    if let Load::Waiting { logins, hold, finish, .. } = plan.load {
        run.hear_until(None, |tally| tally.begun() >= logins).await;
        progress(&format!("{} logins wait; held for {} s", run.tally.waiting(), hold.as_secs_f64()));
        held = run.hold(hold, logins).await;
        waited = run.tally.waiting();
        progress(&format!("{waited} logins waited to the end"));
        let _ = run.phase.send(if finish { Phase::Finish } else { Phase::Over });
    }
    run.hear_until(None, |_| false).await;
    let length = run.began.elapsed();
    if !matches!(plan.load, Load::Waiting { .. }) {
        run.read(|readings, usage| readings.after = usage);
    }
    let Run { tally, processes, .. } = run;
    Ok(Outcome { plan, tally, processes, length, waited, held })
}

struct Run {
    inbox: mpsc::Receiver<Told>,
    tally: Tally,
    processes: Vec<Readings>,
    phase: watch::Sender<Phase>,
    began: Instant,
}

impl Run {
    /// Hears what logins tell until `enough`, until a moment, or until all have ended.
    async fn hear_until(&mut self, moment: Option<Instant>, enough: impl Fn(&Tally) -> bool) {
        while !enough(&self.tally) {
            let heard = match moment {
                Some(moment) => timeout_at(moment, self.inbox.recv()).await,
                None => Ok(self.inbox.recv().await),
            };
            match heard {
                Ok(Some(told)) => self.tally.hear(told),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Holds what waits, and gives how long it was watched. Over at once when nobody waits any more.
    async fn hold(&mut self, hold: Duration, logins: u64) -> Duration {
        let began = Instant::now();
        let none_left = |tally: &Tally| tally.ended() >= logins;
        self.hear_until(Some(began + SETTLE.min(hold / 5)), none_left).await;
        let settled = Instant::now();
        self.read(|readings, usage| readings.settled = usage);
        self.hear_until(Some(began + hold), none_left).await;
        self.read(|readings, usage| readings.after = usage);
        settled.elapsed()
    }

    fn read(&mut self, put: impl Fn(&mut Readings, Option<Usage>)) {
        for readings in &mut self.processes {
            put(readings, Usage::of(readings.pid));
        }
    }
}

/// Starts what begins logins. When all of them have ended nobody holds a sender of what they tell.
fn begin(load: Load, visits: Arc<Visits>, tasks: &Tasks) {
    let all = tasks.clone();
    match load {
        Load::Waiting { logins, begin: Begin::Ramp(rate), .. } => tasks.spawn("bench ramp", async move {
            let began = Instant::now();
            for at in Arrivals::even(rate, logins) {
                sleep_until(began + at).await;
                spawn(&all, &visits, began + at, None);
            }
        }),
        Load::Waiting { logins, begin: Begin::AtOnce(at_once), .. } => tasks.spawn("bench ramp", async move {
            let places = Arc::new(Semaphore::new(at_once));
            for _ in 0..logins {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                spawn(&all, &visits, Instant::now(), Some(place));
            }
        }),
        Load::Open { rate, length, at_most, seed } => tasks.spawn("bench arrivals", async move {
            let (began, places) = (Instant::now(), Arc::new(Semaphore::new(at_most)));
            for at in Arrivals::exponential(rate, length, seed) {
                sleep_until(began + at).await;
                match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => spawn_until_end(&all, &visits, began + at, place),
                    Err(_) => drop(visits.told.send(Told::Ended(End::NotStarted)).await),
                }
            }
        }),
        Load::Closed { visitors, length } => {
            let (end, started) = (Instant::now() + length, Arc::new(AtomicU64::new(0)));
            for _ in 0..visitors {
                let (visits, started) = (Arc::clone(&visits), Arc::clone(&started));
                tasks.spawn("bench visitor", async move {
                    while Instant::now() < end && started.fetch_add(1, Ordering::Relaxed) < MOST_LOGINS {
                        if !Arc::clone(&visits).visit(Instant::now(), None).await {
                            sleep(PAUSE_AFTER_FAILURE).await;
                        }
                    }
                });
            }
        }
    }
}

fn spawn(tasks: &Tasks, visits: &Arc<Visits>, at: Instant, place: Option<tokio::sync::OwnedSemaphorePermit>) {
    let visits = Arc::clone(visits);
    tasks.spawn("bench login", async move {
        visits.visit(at, place).await;
    });
}

/// The place is held for as long as the login is open.
fn spawn_until_end(tasks: &Tasks, visits: &Arc<Visits>, at: Instant, place: tokio::sync::OwnedSemaphorePermit) {
    let visits = Arc::clone(visits);
    tasks.spawn("bench login", async move {
        let _place = place;
        visits.visit(at, None).await;
    });
}
