//! One login, from its start to its end: begun, waited with, resumed when its stream ends, approved, finished.

use super::app::{App, Asked, Browser, Step};
use super::connect::Connector;
use super::phone::{Approval, Phones, track};
use super::plan::{Target, Transport};
use super::stream::{Comer, Ended, Event, Opener, Place, Stream};
use super::tally::{End, Told};
use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// Between two tries to come back: as a browser does it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What logins that have a code are to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Wait.
    Hold,
    /// Be approved, and succeed.
    Finish,
    /// Go home.
    Over,
}

/// What all visits share.
pub struct Visits {
    pub targets: Vec<Target>,
    pub next_target: AtomicUsize,
    pub transport: Transport,
    pub connector: Arc<Connector>,
    pub phones: Option<Arc<Phones>>,
    /// Which everybody wants to sign in to.
    pub app: Option<App>,
    pub rng: Rng,
    pub timeout: Duration,
    pub any_address: bool,
    pub told: mpsc::Sender<Told>,
    pub phase: watch::Receiver<Phase>,
}

impl Visits {
    fn opener(&self) -> Opener<'_> {
        Opener { transport: self.transport, connector: &self.connector, rng: &self.rng }
    }

    /// One login. Its times count from `intended`; `place` is given back once it has a code. True when it succeeded.
    pub async fn visit(self: Arc<Self>, intended: Instant, place: Option<OwnedSemaphorePermit>) -> bool {
        let target = self.next_target.fetch_add(1, Ordering::Relaxed) % self.targets.len();
        let mut visit = Visit {
            phase: self.phase.clone(),
            all: Arc::clone(&self),
            target,
            intended,
            place,
            deadline: Some(Instant::now() + self.timeout),
            cookie: String::new(),
            sent_by: None,
            login: None,
            position: None,
            code: None,
            approving: None,
            asked: false,
            approved: None,
        };
        let end = visit.run().await;
        let succeeded = matches!(end, End::Succeeded { .. });
        drop(visit);
        let _ = self.told.send(Told::Ended(end)).await;
        succeeded
    }
}

struct Visit {
    all: Arc<Visits>,
    phase: watch::Receiver<Phase>,
    target: usize,
    intended: Instant,
    place: Option<OwnedSemaphorePermit>,
    /// For the code, for coming back, for the success; none while it only waits.
    deadline: Option<Instant>,
    cookie: String,
    /// The app's part, where one sent it here.
    sent_by: Option<(Browser, Asked)>,
    login: Option<String>,
    position: Option<String>,
    /// The name of the code that is shown.
    code: Option<String>,
    approving: Option<BoxFuture<'static, Approval>>,
    /// Somebody was asked to approve the code that is shown.
    asked: bool,
    approved: Option<Instant>,
}

/// What happens next to a login.
enum Happened {
    Event(Event),
    Ended(Ended),
    Approval(Approval),
    Phase,
    TooSlow,
}

impl Visit {
    async fn run(&mut self) -> End {
        let deadline = self.deadline();
        let mut stream = match timeout_at(deadline, self.begin()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(end)) => return end,
            Err(_) => return self.failed("too slow to begin".to_owned()),
        };
        loop {
            if let Some(end) = self.look_at_phase() {
                return end;
            }
            match self.next(&mut stream).await {
                Happened::Event(event) => {
                    if let Some(end) = self.event(event).await {
                        return end;
                    }
                }
                Happened::Ended(ended) => {
                    // One that nobody may read any more is dropped before another is opened.
                    drop(stream);
                    match self.come_back(ended).await {
                        Ok(again) => stream = again,
                        Err(end) => return end,
                    }
                }
                Happened::Approval(approval) => self.approval(approval).await,
                Happened::Phase => {}
                Happened::TooSlow if self.code.is_none() => return self.failed("too slow: no code".to_owned()),
                Happened::TooSlow => return End::Lost("too slow: no success".to_owned()),
            }
        }
    }

    /// Its first stream; or its end, when there is none or none is needed.
    async fn begin(&mut self) -> Result<Stream, End> {
        let all = Arc::clone(&self.all);
        let target = &all.targets[self.target];
        let mut request = None;
        if let Some(app) = &all.app {
            let mut browser = match Browser::open(&all.connector, target).await {
                Ok(browser) => browser,
                Err(why) => return Err(self.failed(why)),
            };
            match app.authorize(&mut browser, &all.rng).await {
                Ok((asked, Step::SignIn(id))) => {
                    (request, self.cookie) = (Some(id), browser.cookie());
                    self.sent_by = Some((browser, asked));
                }
                Ok((asked, Step::Code(code))) => return Err(self.redeem(app, &code, &asked).await),
                Err(why) => return Err(self.failed(why)),
            }
        }
        let comer = Comer { cookie: &self.cookie, request: request.as_deref() };
        match all.opener().begin(target, &comer).await {
            Ok((stream, set)) => {
                match &mut self.sent_by {
                    Some((browser, _)) => {
                        set.split("; ").for_each(|cookie| browser.keep(cookie));
                        self.cookie = browser.cookie();
                    }
                    None => self.cookie = set,
                }
                Ok(stream)
            }
            Err(ended) => Err(self.failed(ended.why())),
        }
    }

    /// From the success of a login to what the app learns.
    async fn finish(&mut self, redirect: Option<&str>) -> End {
        let all = Arc::clone(&self.all);
        let (Some(app), Some((mut browser, asked))) = (&all.app, self.sent_by.take()) else { return self.succeeded() };
        let Some(redirect) = redirect else { return End::Lost("success without a redirect".to_owned()) };
        match app.signed_in(&mut browser, redirect, &asked).await {
            Ok(code) => self.redeem(app, &code, &asked).await,
            Err(why) => End::Lost(why),
        }
    }

    async fn redeem(&mut self, app: &App, code: &str, asked: &Asked) -> End {
        match app.redeem(self.target, code, asked).await {
            Ok(()) => self.succeeded(),
            Err(why) => End::Lost(why),
        }
    }

    fn succeeded(&self) -> End {
        let since_approval = self.approved.map(|at| at.elapsed());
        End::Succeeded { since_start: self.intended.elapsed(), since_approval }
    }

    fn deadline(&self) -> Instant {
        self.deadline.unwrap_or_else(|| Instant::now() + self.all.timeout)
    }

    fn failed(&self, code: String) -> End {
        End::Failed { code, had_code: self.code.is_some() }
    }

    async fn next(&mut self, stream: &mut Stream) -> Happened {
        let deadline = self.deadline;
        let too_slow = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let approving = async {
            match &mut self.approving {
                Some(approving) => approving.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            approval = approving => Happened::Approval(approval),
            next = stream.next() => match next {
                Ok(event) => Happened::Event(event),
                Err(ended) => Happened::Ended(ended),
            },
            // A sender that is gone has nothing more to say: the deadline ends it.
            Ok(()) = self.phase.changed() => Happened::Phase,
            () = too_slow => Happened::TooSlow,
        }
    }

    /// Begins an approval where one is due; the end when it is over.
    fn look_at_phase(&mut self) -> Option<End> {
        let phase = *self.phase.borrow_and_update();
        if phase == Phase::Over {
            return Some(End::Released);
        }
        if phase == Phase::Finish && self.code.is_some() && !self.asked {
            self.asked = true;
            self.deadline = Some(Instant::now() + self.all.timeout);
            if let (Some(phones), Some(code)) = (self.all.phones.clone(), self.code.clone()) {
                let server = self.target;
                self.approving = Some(Box::pin(async move { phones.approve(&code, server).await }));
            }
        }
        None
    }

    async fn approval(&mut self, approval: Approval) {
        self.approving = None;
        match approval {
            Approval::Given(at) => {
                self.approved = Some(at);
                self.deadline = Some(at + self.all.timeout);
                self.tell(Told::Approved).await;
            }
            // A fresh code is on its way; or nothing is, and the deadline says so.
            Approval::Unknown | Approval::Failed(_) => self.tell(Told::ApprovalRefused).await,
        }
    }

    async fn tell(&mut self, told: Told) {
        let _ = self.all.told.send(told).await;
    }

    async fn event(&mut self, event: Event) -> Option<End> {
        if let Some(id) = event.id {
            let in_order = self.position.as_deref().is_none_or(|last| follows(last, &id));
            self.position = Some(id);
            if !in_order {
                self.tell(Told::OutOfOrder).await;
            }
        }
        self.login = self.login.take().or(event.data.login);
        match event.event.as_str() {
            "qr" => self.shown(event.data.qr_link.as_deref().and_then(track)).await,
            "success" => {
                let deadline = self.deadline();
                // A phone's answer may be later than what it brought about.
                if let Some(approving) = self.approving.take()
                    && let Ok(approval) = timeout_at(deadline, approving).await
                {
                    self.approval(approval).await;
                }
                let finished = timeout_at(deadline, self.finish(event.data.redirect.as_deref())).await;
                return Some(finished.unwrap_or_else(|_| End::Lost("too slow: no tokens".to_owned())));
            }
            "error" => return Some(self.failed(event.data.code.unwrap_or_else(|| "error without code".to_owned()))),
            _ => {}
        }
        None
    }

    async fn shown(&mut self, track: Option<&str>) {
        let first = self.code.is_none();
        self.code = Some(track.unwrap_or_default().to_owned());
        (self.asked, self.approving, self.approved) = (false, None, None);
        if first {
            self.deadline = None;
            self.place = None;
        }
        self.tell(if first { Told::FirstCode(self.intended.elapsed()) } else { Told::FreshCode }).await;
    }

    /// Back to the login, at its position.
    async fn come_back(&mut self, ended: Ended) -> Result<Stream, End> {
        let Some(login) = self.login.clone() else { return Err(self.failed(ended.why())) };
        // What was being asked may have been done or not; a fresh code is asked for again.
        if self.approving.take().is_some() {
            self.asked = false;
        }
        let deadline = Instant::now() + self.all.timeout;
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut last = ended;
        loop {
            if let Ended::Gone(why) = last {
                return Err(self.lost(why));
            }
            if *self.phase.borrow() == Phase::Over {
                return Err(End::Released);
            }
            sleep(backoff.wait(&self.all.rng)).await;
            if Instant::now() >= deadline {
                return Err(self.lost(format!("did not come back: {}", last.why())));
            }
            if self.all.any_address {
                self.target = (self.target + 1) % self.all.targets.len();
            }
            let place = Place { login: &login, after: self.position.as_deref(), cookie: &self.cookie };
            let opener = self.all.opener();
            let resumed = opener.resume(&self.all.targets[self.target], &place);
            match timeout_at(deadline, resumed).await {
                Ok(Ok(stream)) => {
                    self.tell(Told::Resumed).await;
                    // Waiting has no end of its own; what was approved has.
                    self.deadline = self.deadline.map(|_| Instant::now() + self.all.timeout);
                    return Ok(stream);
                }
                Ok(Err(ended)) => last = ended,
                Err(_) => last = Ended::Broke("too slow".to_owned()),
            }
        }
    }

    fn lost(&self, why: String) -> End {
        if self.code.is_some() { End::Lost(why) } else { self.failed(why) }
    }
}

/// Whether an event is the next one behind a position: `EPOCH-OFFSET`, offsets without gaps.
fn follows(last: &str, next: &str) -> bool {
    let parts = |text: &str| {
        let (epoch, offset) = text.split_once('-')?;
        Some((epoch.to_owned(), offset.parse::<u32>().ok()?))
    };
    match (parts(last), parts(next)) {
        (Some((before, last)), Some((after, next))) => before == after && last.checked_add(1) == Some(next),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_follows_when_nothing_is_left_out_and_nothing_comes_twice() {
        assert!(follows("0a1b2c3d-4", "0a1b2c3d-5"));
        for (last, next) in
            [("0a-4", "0a-4"), ("0a-4", "0a-6"), ("0a-4", "0b-5"), ("0a-4294967295", "0a-0"), ("x", "y")]
        {
            assert!(!follows(last, next), "{last} {next}");
        }
    }
}
