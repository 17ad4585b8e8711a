//! Every limit that is not a setting, with its unit and reason.

use std::time::Duration;

/// A browser's message (bytes): `userAgent`, `returnTo` and room to spare; `contract`: frames 4 KiB.
pub const BROWSER_MESSAGE: usize = 4 * 1024;

/// A request body (bytes): the same object as the first message, by POST.
pub const REQUEST_BODY: usize = 8 * 1024;

/// A form of OAuth (bytes): a `state` of 4 KiB, each of its bytes escaped, and the rest.
pub const OAUTH_FORM: usize = 24 * 1024;

/// Request head (bytes): cookies of other parts of the site travel with ours; browsers and proxies stop at 16 to 32 KiB.
pub const REQUEST_HEAD: usize = 32 * 1024;

/// How long a connection may wait for, or send, a request head. Longer than a proxy keeps an idle connection (nginx: 60
/// s), so that it is the proxy that closes and no request meets a connection just closed by us.
pub const REQUEST_HEAD_TIME: Duration = Duration::from_secs(65);

/// How long a client may take to send a body: it fits in two packets.
pub const REQUEST_BODY_TIME: Duration = Duration::from_secs(10);

/// Open connections on the public listener: logins in flight (20 000) with two transports each, and pages.
pub const CONNECTIONS: usize = 50_000;

/// Open connections of one visitor's address (an IPv6 /64; 4 and 16 times that for its /56 and /48): forty browsers behind
/// one address, each with a stream and five more. Proxies of `server.trusted_proxies` are not counted.
pub const CONNECTIONS_PER_ADDRESS: usize = 256;

/// Open connections on the operator's listener: a scraper, health checks, a person.
pub const OPS_CONNECTIONS: usize = 32;

/// MAX sessions that are being ended after their visitors were told, each with a connection to MAX, and none of them a login in
/// flight any more. With MAX 40 ms away that is 800 a second; past it a visitor waits for the answer to LOGOUT.
pub const ENDINGS: usize = 32;

/// Connections to MAX that are made before a visitor comes: with MAX 40 ms away (one takes 160 ms), a hundred visitors a second.
pub const UPSTREAM_SPARES: usize = 32;

/// File descriptors that no connection of a browser or of a login may take: the operator's connections, the listeners, the
/// state folder, the runtime, MAX sessions that are being ended, and connections that wait for a visitor.
pub const RESERVED_FILES: usize = OPS_CONNECTIONS + 32 + ENDINGS + UPSTREAM_SPARES;

/// From accept to a whole first request. Browsers open connections ahead, and open them again when they are gone.
pub const FIRST_REQUEST_TIME: Duration = Duration::from_secs(15);

/// An HTTP/2 connection on which nothing is asked; as long as HTTP/1.1 waits for the next request.
pub const HTTP2_IDLE: Duration = REQUEST_HEAD_TIME;

/// An HTTP/2 connection whose answers nobody takes: every stream of ours has something to say within a heartbeat.
pub const HTTP2_STALLED: Duration = Duration::from_secs(HEARTBEAT.as_secs() + BROWSER_WRITE.as_secs());

/// HTTP/2: what a client may send ahead on a stream and on a connection (bytes): a body and some messages; 65 535 is the
/// least that the protocol knows for the latter.
pub const HTTP2_STREAM_WINDOW: u32 = 16 * 1024;
pub const HTTP2_CONNECTION_WINDOW: u32 = 65_535;

/// HTTP/2: requests at once on one connection; proxies that need more open another.
pub const HTTP2_STREAMS: u32 = 64;

/// HTTP/2: bytes of answers that wait for a stream's window: one event.
pub const HTTP2_SEND_BUFFER: usize = 16 * 1024;

/// Addresses the rate limiter remembers (an IPv6 address is three): 100 000 entries are about 6 MiB.
pub const RATE_KEYS: usize = 100_000;

/// Messages a browser may send on one WebSocket per minute: `wake` at most one a second.
pub const BROWSER_MESSAGES_PER_MINUTE: u32 = 90;

/// Bytes that a browser may send on one WebSocket per minute, in messages of the greatest length: ten times what those
/// that mean something need.
pub const MESSAGES_WORTH_PER_MINUTE: usize = 32;

/// Events of one login: about ten, and two for each fresh code (login.ttl / shortest code).
pub const EVENTS: usize = 256;

/// Bytes of events of one login as they are kept, each about 150: three times what [`EVENTS`] of them take.
pub const EVENT_BYTES: usize = 96 * 1024;

/// Readers of one login at once: a browser has one or two, tabs share a login never.
pub const READERS: usize = 8;

/// Heartbeat of every stream: below the shortest idle cut seen (15 s, `streaming.md` 0.8).
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// From, to: what a page may choose instead. Known proxies cut after 30 s of silence and more; each heartbeat costs three
/// packets, where some networks let 25 through.
pub const RARE_HEARTBEAT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(25));

/// Longest hold of a long poll: below the shortest gateway timeout seen with room for the round trip.
pub const LONG_POLL_WAIT: Duration = Duration::from_secs(10);

/// One write to a browser: a peer that takes nothing for so long is gone.
pub const BROWSER_WRITE: Duration = Duration::from_secs(20);

/// A success token's life (contract).
pub const GRANT_LIFE: Duration = Duration::from_secs(60);

/// How long a finished login stays readable, for a visitor who is away when it ends: the grant's life.
pub const SEALED_LIFE: Duration = GRANT_LIFE;

/// `returnTo`, in bytes.
pub const RETURN_TO: usize = 1024;

/// How long a login waits for a visitor who has the password form of a page without JavaScript open: such a page says
/// nothing until it is sent.
pub const FORM_OPEN: Duration = Duration::from_secs(300);

/// Longest cloud password passed on, in bytes (MAX says at most 64 characters).
pub const PASSWORD: usize = 256;

/// A message from MAX (bytes, decoded): the answers of a sign-in are below 4 KiB; LOGIN's, read only to be dropped, may be large.
pub const UPSTREAM_MESSAGE: usize = 4 * 1024 * 1024;

/// Read buffer of a WebSocket (bytes), to begin with: most frames of a sign-in are smaller, and every waiting login has
/// two of them.
pub const WEBSOCKET_READ_BUFFER: usize = 256;

/// Hops whose stream ends are remembered: a site has one or two, an attacker can write as many as they like.
pub const HOPS_KEPT: usize = 64;

/// Stream ends remembered for each hop and transport: enough to see a timer; 64 hops × 2 × 128 × 48 bytes are 768 KiB.
pub const ENDS_KEPT: usize = 128;

/// Marks that a stream sends one after the other when it opens, and the pause between them: enough for a browser to see
/// that it is in time before it stops polling, and over before anything but the stream is waited for.
pub const OPENING_MARKS: u32 = 3;
pub const MARK_GAP: Duration = Duration::from_millis(100);

/// Longest trial of a stream: a proxy with one worker has nobody else to serve meanwhile. A browser asks for some 350 ms
/// and its round trip.
pub const TRIAL: Duration = Duration::from_secs(2);

/// After each event of a stream, a mark: some compressors hold the last bytes until more follow.
pub const FLUSH_COMMENT_DELAY: Duration = Duration::from_millis(150);

/// Log lines, and bytes of them, that wait for somebody who reads standard error: what a burst of a second writes.
pub const LOG_LINES: usize = 8 * 1024;
pub const LOG_BYTES: usize = 1024 * 1024;
