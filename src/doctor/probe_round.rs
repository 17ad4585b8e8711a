//! Everything that is asked of one address, side by side, and once more where the answers do not agree: on a busy machine
//! a stream comes late now and then, and a finding needs evidence that repeats itself.

#[cfg(test)]
mod tests;

use super::buffering_signatures;
use super::delivery::{DeliveryMode, DeliveryTimes};
use super::http::{Client, ProbeRequest, millis};
use super::http_observation::{HttpObservation, Pages, echo, leaked, own_path};
use super::progress::Step;
use super::stream_observation::{StreamObservation, StreamProbe, Verdict};
use super::websocket_probe::{WebSocketObservation, socket, socket_over_http2};
use crate::probe::{POLL_PATH, ProbeQuery, ProbeVariant, SIZE_MAX};
use futures_util::future::{MaybeDone, join_all, maybe_done};
use http::{HeaderMap, Method};
use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Probes of one address at once: a browser opens six connections and a WebSocket; a limit that stops more than
/// eight costs no visitor anything.
const AT_ONCE: usize = 8;

/// Held streams show what ends a request by the clock. Proxies that do so within 3 s break every wait; the usual
/// cuts (15 to 60 s) are only waited for with `--slow`.
const HOLD: Duration = Duration::from_millis(3500);
pub const SLOW_HOLD: Duration = Duration::from_secs(70);

/// Comments of the held stream that is not silent, often enough that what ends it cannot have been silence.
const COMMENT_INTERVAL: Duration = Duration::from_millis(500);

/// Between requests once a limit was met: the strictest common one counts by the second.
const GENTLE: Duration = Duration::from_millis(1100);

/// After a stream has begun, so that a small question is asked beside it and not before.
const BESIDE: Duration = Duration::from_millis(60);

/// A small question that is not answered within this (beside a stream that lasts 0.9 s) waits for the stream, or the path
/// is slow.
const ANSWERED_BESIDE: Duration = Duration::from_millis(600);

/// A stream with the way to it takes this long; less time is not enough for one more look.
const LOOK: Duration = Duration::from_millis(1150);

/// The streams of the signature table, in its order.
pub const COLUMNS: [StreamProbe; 7] = [
    StreamProbe::get("uncompressed", ProbeVariant::NoHeaders, true),
    StreamProbe::get("plain", ProbeVariant::NoHeaders, false),
    StreamProbe::get("X-Accel-Buffering", ProbeVariant::Accel, false),
    StreamProbe::get("no-transform", ProbeVariant::NoTransform, false),
    StreamProbe::get("all headers", ProbeVariant::All, false),
    StreamProbe::get("compressed by max-auth", ProbeVariant::Gzip, false),
    StreamProbe::get("compressed with a tail", ProbeVariant::PaddedGzip, false),
];

/// Bytes of a code and its drawing: some compressors begin at 512, and some buffers end at 4096.
const REAL: usize = 3000;

/// The same with events of real size: as it is, and as a login's stream is.
pub const REAL_COLUMNS: [StreamProbe; 2] = [
    StreamProbe { size: REAL, ..StreamProbe::get("plain, 3 KB an event", ProbeVariant::NoHeaders, false) },
    StreamProbe { size: REAL, ..StreamProbe::get("all headers, 3 KB an event", ProbeVariant::All, false) },
];

/// More in an event than buffers hold that pass on what does not fit.
const BULK: StreamProbe =
    StreamProbe { size: SIZE_MAX, ..StreamProbe::get("128 KB an event", ProbeVariant::All, true) };

const POST: StreamProbe = StreamProbe { post: true, ..StreamProbe::get("by POST", ProbeVariant::All, false) };

/// Of the columns: those that the findings speak of. With all headers is what a login's stream has.
pub const PLAIN: usize = 1;
pub const ACCEL: usize = 2;
pub const ALL_HEADERS: usize = 4;
pub const GZIP: usize = 5;
pub const PADDED: usize = 6;

/// All that was asked of one address after it turned out to be max-auth.
#[derive(Clone, Debug, Default)]
pub struct ProbeRound {
    /// Empty when a limit was met: what was refused says nothing of streams.
    pub columns: Vec<StreamObservation>,
    pub real: Vec<StreamObservation>,
    /// Only asked where all streams came in one heap.
    pub bulk: Option<StreamObservation>,
    pub post_stream: Option<StreamObservation>,
    /// Held with comments, and held in silence.
    pub life: Option<StreamObservation>,
    pub quiet: Option<StreamObservation>,
    pub held_page: Option<HttpObservation>,
    pub bare_pages: Pages,
    pub pages: Pages,
    pub post: Option<HttpObservation>,
    pub socket: WebSocketObservation,
    /// Over HTTP/2, where that is announced.
    pub socket_over_http2: WebSocketObservation,
    pub limited: Option<LimitHit>,
    /// A cache gave one visitor's answer to another.
    pub leaked: bool,
    pub alone: Option<Alone>,
    /// max-auth itself had no place for more probes.
    pub busy: bool,
}

/// Nobody is answered while a stream is open.
#[derive(Clone, Copy, Debug)]
pub struct Alone {
    /// How long a small question waited, and how long the stream before it took (milliseconds).
    pub waited_ms: i64,
    pub stream_ms: i64,
}

/// One too many: of connections at once, or of requests in a short time.
#[derive(Clone, Debug)]
pub struct LimitHit {
    pub status: u16,
    pub headers: HeaderMap,
    pub refused: usize,
    pub asked: usize,
    /// Whether requests one after another are refused, too.
    pub by_rate: bool,
}

impl ProbeRound {
    /// `offset`: our clock less the server's, as far as it is known by now.
    pub async fn of(client: &Client, offset: i64, slow: bool) -> Self {
        let mut first: Reading<_> = Box::pin(maybe_done(StreamObservation::of(client, COLUMNS[ALL_HEADERS])));
        if let Some(alone) = beside(client, &mut first).await {
            let first = first.as_mut().take_output().unwrap_or_default();
            return Self::one_by_one(client, first, alone).await;
        }
        let places = Semaphore::new(AT_ONCE);
        let limited = CancellationToken::new();
        let hold = if slow { SLOW_HOLD } else { HOLD };
        let held = |comments: Option<Duration>| StreamProbe {
            hold: Some((hold.as_millis() as u64, comments.map(|comments| comments.as_millis() as u64))),
            ..StreamProbe::get("held", ProbeVariant::All, false)
        };
        let stream = async |kind: StreamProbe| {
            let _place = places.acquire().await;
            let seen = StreamObservation::of(client, kind).await;
            if matches!(seen.status, Some(429 | 503)) && seen.took_ms < 900 {
                limited.cancel();
            }
            seen
        };
        let unless_limited = async |kind: StreamProbe| {
            tokio::select! {
                seen = stream(kind) => Some(seen),
                () = limited.cancelled() => None,
            }
        };
        let held_page = async {
            let hold = Some(HOLD.as_millis() as u64);
            let (path, nonce) = own_path(POLL_PATH, ProbeQuery { hold, ..ProbeQuery::default() });
            let mut ask = ProbeRequest::get(path);
            ask.patience = HOLD + Duration::from_secs(1);
            let _place = places.acquire().await;
            tokio::select! {
                page = HttpObservation::of(client, &ask, &nonce) => page.ok(),
                () = limited.cancelled() => None,
            }
        };
        let pages = async |variant: ProbeVariant| {
            let _place = places.acquire().await;
            Pages::of(client, variant).await
        };
        let upgrade = async {
            let _place = places.acquire().await;
            let sockets = (socket(client).await, socket_over_http2(client).await);
            client.tell(Step::WebSocket);
            sockets
        };
        let post = async {
            let _place = places.acquire().await;
            let post = echo(client, Method::POST).await.ok();
            client.tell(Step::Pages);
            post
        };
        let leak = async {
            let _place = places.acquire().await;
            leaked(client).await == Some(true)
        };
        let looked = async {
            let looked = looks(client, offset, first, &stream, &limited).await;
            client.tell(Step::Streams);
            looked
        };
        let post_stream = async {
            let seen = stream(POST).await;
            // Only one that is worse than its siblings is of interest, and that needs to repeat itself.
            match seen.verdict(offset) {
                Verdict::Delayed | Verdict::Late | Verdict::Burst if client.at_most(LOOK) == LOOK => {
                    seen.with(stream(POST).await, offset)
                }
                _ => seen,
            }
        };
        let (life, quiet, held_page, (socket, socket_over_http2), post, bare_pages, pages, leaked, looked, post_stream) = tokio::join!(
            unless_limited(held(Some(COMMENT_INTERVAL))),
            unless_limited(held(None)),
            held_page,
            upgrade,
            post,
            pages(ProbeVariant::NoHeaders),
            pages(ProbeVariant::All),
            leak,
            looked,
            post_stream,
        );
        let mut round = Self {
            columns: looked.columns,
            real: looked.real,
            bulk: looked.bulk,
            post_stream: Some(post_stream),
            life,
            quiet,
            held_page,
            bare_pages,
            pages,
            post,
            socket,
            socket_over_http2,
            leaked,
            ..Self::default()
        };
        client.tell(Step::Limits);
        if round.any_limited() {
            round.gently(client).await;
        }
        round
    }

    /// One thing after the other, and little of it: whoever serves one at a time has kept us waiting already.
    async fn one_by_one(client: &Client, first: StreamObservation, alone: Alone) -> Self {
        let post = echo(client, Method::POST).await.ok();
        let socket = socket(client).await;
        let pages = Pages { first: None, second: post.clone() };
        Self { post_stream: Some(first), post, socket, pages, alone: Some(alone), ..Self::default() }
    }

    /// When the first event came over each transport, where it did.
    pub fn delivery_times(&self, offset: i64) -> DeliveryTimes {
        let socket = match &self.socket {
            WebSocketObservation::Live { first_ms, .. } => Some(*first_ms),
            _ => None,
        };
        let streams = self.columns.get(ALL_HEADERS).into_iter().chain(&self.post_stream);
        let live = |seen: &&StreamObservation| {
            matches!(seen.verdict(offset), Verdict::Live | Verdict::Late | Verdict::Delayed)
        };
        let stream = streams.filter(live).find_map(|seen| seen.first_event_ms);
        let post = self.post.as_ref().filter(|post| post.ours.is_some() && self.pages.is_delivered());
        let poll = post.map(|post| post.since_connect_ms);
        vec![(DeliveryMode::WebSocket, socket), (DeliveryMode::Sse, stream), (DeliveryMode::LongPoll, poll)]
    }

    fn any_limited(&self) -> bool {
        let socket = matches!(&self.socket, WebSocketObservation::Answered(plain) if plain.is_limited());
        let pages = [&self.pages.first, &self.pages.second, &self.bare_pages.first, &self.bare_pages.second];
        let pages = pages.into_iter().chain([&self.post]).flatten().any(HttpObservation::is_limited);
        let streams = self.columns.iter().chain(&self.post_stream);
        socket || pages || streams.filter(|seen| seen.took_ms < 900).any(|seen| matches!(seen.status, Some(429 | 503)))
    }

    /// Asks again, one thing after the other: what was refused says nothing about streams.
    async fn gently(&mut self, client: &Client) {
        let refused: Vec<(u16, HeaderMap)> = self
            .columns
            .iter()
            .chain(&self.post_stream)
            .filter(|seen| matches!(seen.status, Some(429 | 503)))
            .map(|seen| (seen.status.unwrap_or_default(), seen.headers.clone()))
            .collect();
        let asked = self.columns.len() + 1;
        self.busy =
            [&self.pages.first, &self.pages.second, &self.post].into_iter().flatten().any(HttpObservation::is_busy);
        let mut by_rate = false;
        for _ in 0..4 {
            by_rate |= echo(client, Method::GET).await.is_ok_and(|plain| plain.is_limited());
        }
        let pause = if by_rate { GENTLE } else { Duration::from_millis(50) };
        sleep(pause).await;
        self.socket = socket(client).await;
        sleep(pause).await;
        self.post = echo(client, Method::POST).await.ok();
        self.pages = Pages { first: None, second: self.post.clone() };
        sleep(pause).await;
        self.post_stream = Some(StreamObservation::of(client, POST).await);
        self.columns.clear();
        (self.life, self.quiet, self.held_page) = (None, None, None);
        let (status, headers) = refused.first().cloned().unwrap_or((503, HeaderMap::new()));
        self.limited = Some(LimitHit { status, headers, refused: refused.len(), asked, by_rate });
    }
}

/// A stream that is being read, or was.
type Reading<F> = Pin<Box<MaybeDone<F>>>;

/// Asks a small question beside the stream: is it answered before the stream ends?
async fn beside<F: Future<Output = StreamObservation>>(client: &Client, stream: &mut Reading<F>) -> Option<Alone> {
    let began = Instant::now();
    let question = async {
        sleep(BESIDE).await;
        let (path, nonce) = own_path(POLL_PATH, ProbeQuery::default());
        let mut ask = ProbeRequest::get(path);
        ask.patience = Duration::from_millis(2500);
        let answered = HttpObservation::of(client, &ask, &nonce).await.is_ok_and(|plain| plain.ours.is_some());
        (answered, millis(began.elapsed()))
    };
    tokio::pin!(question);
    let early = tokio::select! {
        early = timeout(BESIDE + ANSWERED_BESIDE, &mut question) => early.is_ok(),
        () = async { stream.as_mut().await; pending().await } => false,
    };
    if early {
        return None;
    }
    let ended = async {
        stream.as_mut().await;
        millis(began.elapsed())
    };
    let (ended, (answered, at)) = tokio::join!(ended, question);
    // Answered when the stream was over, and at once then.
    let waited = answered && ended >= 850 && (ended - 50..ended + 250).contains(&at);
    waited.then_some(Alone { waited_ms: at - millis(BESIDE), stream_ms: ended })
}

struct StreamLooks {
    columns: Vec<StreamObservation>,
    real: Vec<StreamObservation>,
    bulk: Option<StreamObservation>,
}

/// The streams, and those again that did not come live, until what was seen agrees with itself or time is up. What came
/// live once can come live: buffers do not forget, machines stumble.
async fn looks<F: Future<Output = StreamObservation>>(
    client: &Client,
    offset: i64,
    mut first: Reading<F>,
    stream: &impl AsyncFn(StreamProbe) -> StreamObservation,
    limited: &CancellationToken,
) -> StreamLooks {
    let kinds: Vec<StreamProbe> = COLUMNS.into_iter().chain(REAL_COLUMNS).collect();
    let others = join_all((0..kinds.len()).filter(|index| *index != ALL_HEADERS).map(|index| stream(kinds[index])));
    let ((), mut seen) = tokio::join!(first.as_mut(), others);
    seen.insert(ALL_HEADERS, first.as_mut().take_output().unwrap_or_default());
    for look in 0..2 {
        let verdicts: Vec<Verdict> = seen.iter().map(|seen| seen.verdict(offset)).collect();
        let suspects = suspects(&verdicts, look);
        if suspects.is_empty() || limited.is_cancelled() || client.at_most(LOOK) < LOOK {
            break;
        }
        let again = join_all(suspects.iter().map(|index| stream(kinds[*index]))).await;
        for (index, again) in suspects.into_iter().zip(again) {
            seen[index] = std::mem::take(&mut seen[index]).with(again, offset);
        }
    }
    let bulk = match seen[..COLUMNS.len()].iter().all(|seen| seen.verdict(offset) == Verdict::Burst) {
        true if client.at_most(LOOK) == LOOK && !limited.is_cancelled() => Some(stream(BULK).await),
        _ => None,
    };
    let real = seen.split_off(COLUMNS.len());
    StreamLooks { columns: seen, real, bulk }
}

/// What is worth another look.
fn suspects(verdicts: &[Verdict], look: usize) -> Vec<usize> {
    let (small, real) = verdicts.split_at(COLUMNS.len());
    let Ok(streams) = <[Verdict; 7]>::try_from(small) else { return Vec::new() };
    // Seven times the same is a second look already.
    let unanimous = streams.iter().all(|verdict| *verdict == streams[0]);
    if !unanimous && (look == 0 || !buffering_signatures::is_measured(&streams)) {
        return (0..COLUMNS.len()).filter(|index| streams[*index] != Verdict::Live).collect();
    }
    // Their size matters only where small ones are well.
    let well = streams.iter().all(|verdict| *verdict == Verdict::Live);
    let late = (COLUMNS.len()..).zip(real).filter(|(_, verdict)| **verdict != Verdict::Live);
    late.map(|(index, _)| index).filter(|_| well).collect()
}
