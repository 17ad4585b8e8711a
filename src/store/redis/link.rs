//! The connection that commands share: opened again when it is lost, bounded in time and number.

use super::connector::{Connection, Connector, OPENING, refused};
use super::scripts::Call;
use crate::base::backoff::Backoff;
use crate::base::repeat::OncePerMinute;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::store::Unavailable;
use redis::{Cmd, ErrorKind, PushKind, RedisError, RedisResult, ServerErrorKind, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

/// Commands of a node at once; past it nobody waits. Thirty nodes' are half a second of a Redis that is behind: so its answers
/// still come within the deadline, and a site that has too much to do does some of it rather than all of it too late.
pub const AT_ONCE: usize = 512;

/// Between two tries to connect.
pub const FIRST_PAUSE: Duration = Duration::from_millis(50);
pub const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub struct Link {
    state: watch::Receiver<State>,
    found: watch::Sender<u64>,
    trouble: mpsc::Sender<Trouble>,
    places: Semaphore,
    deadline: Duration,
}

#[derive(Clone)]
enum State {
    /// It is worth waiting.
    Opening,
    Up(Connection, u64),
    /// Nothing is there to wait for; why.
    Down(String),
}

/// What happened to which life of the connection.
struct Trouble {
    life: u64,
    lost: bool,
}

impl Link {
    /// Ends when the last use of it is gone. Fails only where the server refuses the password, and only within the time
    /// to open a connection: one that is away may come.
    pub async fn open(
        connector: Arc<Connector>,
        deadline: Duration,
        tasks: &Tasks,
        rng: Rng,
    ) -> Result<Self, RedisError> {
        let (sender, state) = watch::channel(State::Opening);
        let (trouble, troubles) = mpsc::channel(64);
        let found = watch::Sender::new(0);
        let (trouble_of, found_of) = (trouble.downgrade(), found.clone());
        let mut keeper =
            Keeper { connector, deadline, state: sender, found: found_of, troubles, trouble: trouble_of, life: 0 };
        let link = Self { state, found, trouble, places: Semaphore::new(AT_ONCE), deadline };
        let first = keeper.connect().await;
        if let Err(Some(error)) = &first
            && refused(error)
        {
            return Err(error.clone());
        }
        tasks.spawn("store", async move { keeper.run(first, rng).await });
        Ok(link)
    }

    pub async fn ask(&self, command: &Cmd) -> Result<Value, Unavailable> {
        self.run(Work::Command(command)).await
    }

    pub async fn call(&self, call: &Call) -> Result<Value, Unavailable> {
        self.run(Work::Script(call)).await
    }

    /// Whatever else waits: a node that cannot say that it lives loses all its logins, and makes it worse.
    pub async fn call_at_once(&self, call: &Call) -> Result<Value, Unavailable> {
        self.go(Work::Script(call)).await
    }

    async fn run(&self, work: Work<'_>) -> Result<Value, Unavailable> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(Unavailable::OutOfReach(format!("{AT_ONCE} commands wait already")));
        };
        self.go(work).await
    }

    async fn go(&self, work: Work<'_>) -> Result<Value, Unavailable> {
        let mut life = None;
        let answered = timeout(self.deadline, async {
            let (mut connection, of) = self.connection().await?;
            life = Some(of);
            work.on(&mut connection).await.map_err(|error| {
                if is_lost(&error) {
                    self.report(of, true);
                }
                unavailable(&error)
            })
        })
        .await;
        answered.unwrap_or_else(|_| {
            if let Some(life) = life {
                self.report(life, false);
            }
            Err(Unavailable::OutOfReach(format!("no answer within {:?}", self.deadline)))
        })
    }

    async fn connection(&self) -> Result<(Connection, u64), Unavailable> {
        let mut state = self.state.clone();
        let known = state.wait_for(|state| !matches!(state, State::Opening)).await;
        match known.as_deref() {
            Ok(State::Up(connection, life)) => Ok((connection.clone(), *life)),
            Ok(State::Down(why)) => Err(Unavailable::OutOfReach(why.clone())),
            Ok(State::Opening) | Err(_) => Err(Unavailable::OutOfReach("max-auth stops".to_owned())),
        }
    }

    pub fn found_again(&self) -> watch::Receiver<u64> {
        self.found.subscribe()
    }

    /// Hints come again that did not.
    pub fn hints_found_again(&self) {
        self.found.send_modify(|times| *times += 1);
    }

    fn report(&self, life: u64, lost: bool) {
        // Full: it is known.
        let _ = self.trouble.try_send(Trouble { life, lost });
    }
}

enum Work<'a> {
    Command(&'a Cmd),
    Script(&'a Call),
}

impl Work<'_> {
    async fn on(&self, connection: &mut Connection) -> RedisResult<Value> {
        let call = match self {
            Self::Command(command) => return connection.ask(command).await,
            Self::Script(call) => call,
        };
        match connection.ask(&call.short()).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                connection.ask(&call.full()).await
            }
            answer => answer,
        }
    }
}

/// The one that opens it.
struct Keeper {
    connector: Arc<Connector>,
    deadline: Duration,
    state: watch::Sender<State>,
    found: watch::Sender<u64>,
    troubles: mpsc::Receiver<Trouble>,
    trouble: mpsc::WeakSender<Trouble>,
    life: u64,
}

impl Keeper {
    /// `None`: it took too long.
    async fn connect(&mut self) -> Result<Connection, Option<RedisError>> {
        self.life += 1;
        let (life, trouble) = (self.life, self.trouble.clone());
        let ear = move |push: redis::PushInfo| {
            if push.kind == PushKind::Disconnection
                && let Some(trouble) = trouble.upgrade()
            {
                let _ = trouble.try_send(Trouble { life, lost: true });
            }
        };
        match timeout(OPENING, self.connector.commands(ear)).await {
            Ok(opened) => opened.map_err(Some),
            Err(_) => Err(None),
        }
    }

    async fn run(mut self, mut opened: Result<Connection, Option<RedisError>>, rng: Rng) {
        let fresh = || Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let (mut backoff, told, mut silent) = (fresh(), OncePerMinute::default(), true);
        loop {
            match opened {
                Ok(connection) => {
                    if !silent {
                        tracing::info!("Redis answers again");
                    }
                    silent = true;
                    let cluster = connection.is_cluster();
                    let since = Instant::now();
                    self.state.send_replace(State::Up(connection.clone(), self.life));
                    self.found.send_modify(|times| *times += u64::from(self.life > 1));
                    if !self.lost(connection).await {
                        return;
                    }
                    if since.elapsed() > LONGEST_PAUSE {
                        backoff = fresh();
                    } else if self.pause(backoff.wait(&rng)).await.is_none() {
                        return;
                    }
                    // A cluster may have other servers that answer.
                    if !cluster {
                        self.state.send_replace(State::Opening);
                    }
                }
                Err(error) => {
                    let why =
                        error.map_or_else(|| format!("no connection within {OPENING:?}"), |error| error.to_string());
                    if let Some(times) = told.due() {
                        tracing::error!(times, "Redis is out of reach: {why}");
                        silent = false;
                    }
                    self.state.send_replace(State::Down(why));
                    if self.pause(backoff.wait(&rng)).await.is_none() {
                        return;
                    }
                }
            }
            let state = self.state.clone();
            opened = tokio::select! {
                opened = self.connect() => opened,
                () = state.closed() => return,
            };
        }
    }

    /// `None` when nobody uses it any more.
    async fn pause(&self, time: Duration) -> Option<()> {
        tokio::select! {
            () = sleep(time) => Some(()),
            () = self.state.closed() => None,
        }
    }

    /// Returns when this life of the connection is over; false when nobody uses it any more.
    async fn lost(&mut self, mut connection: Connection) -> bool {
        loop {
            let trouble = tokio::select! {
                () = self.state.closed() => return false,
                trouble = self.troubles.recv() => trouble,
            };
            let Some(trouble) = trouble else { return false };
            if trouble.life != self.life {
                continue;
            }
            if trouble.lost || connection.is_cluster() {
                return true;
            }
            // One command was slow; or nothing comes any more.
            let ping = redis::cmd("PING");
            if !matches!(timeout(self.deadline, connection.ask(&ping)).await, Ok(Ok(_))) {
                return true;
            }
        }
    }
}

/// As Redis said it: its code, and the rest. Errors of scripts carry them inside, in ways that differ from version to
/// version.
pub fn said(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}

/// Whether another connection may do better. A server that only reads was the master once: who is it now?
fn is_lost(error: &RedisError) -> bool {
    let said = said(error);
    error.is_unrecoverable_error()
        || (error.is_io_error() && !error.is_timeout())
        || ["READONLY", "MASTERDOWN", "NOAUTH"].iter().any(|code| said.contains(code))
}

fn unavailable(error: &RedisError) -> Unavailable {
    let said = said(error);
    if said.contains("OOM command not allowed") {
        return Unavailable::Full("Redis has no memory left; raise maxmemory".to_owned());
    }
    Unavailable::OutOfReach(said)
}
