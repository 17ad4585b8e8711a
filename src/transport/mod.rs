//! What a browser sees of a login: the same events over a WebSocket, server-sent events or JSON pages.

pub mod begin;
mod close;
pub mod long_poll;
mod mark;
pub mod probe_stream;
mod pump;
pub mod sse;
mod stored_gzip;
pub mod stream_stats;
pub mod trial;
pub mod visitor_networks;
pub mod ws;
