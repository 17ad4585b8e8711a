//! The MAX protocol as far as a sign-in by QR code needs it.
//!
//! Pure by decision: no socket, no runtime, no clock, no chance. Bytes come in as arguments, time comes in as an
//! argument, and what should happen next comes out as values. So the whole of it can be tested as transcripts, and
//! `upstream` (our side) and `emulator` (their side) share one reading of the wire.
//!
//! | file | what it knows |
//! |---|---|
//! | `opcode` | the numbers of the operations |
//! | `frame` | one frame, the two dialects, and why a frame cannot be read |
//! | `json`, `binary`, `msgpack` | how a frame is written in each dialect |
//! | `message`, `profile` | what the payloads mean |
//! | `refusal` | what MAX's error codes mean for us |
//! | `token` | the login token: held, used once, wiped |
//! | `session` | the order of things: INIT to LOGOUT |

pub mod binary;
mod dialect;
pub mod frame;
mod json;
pub mod message;
mod msgpack;
pub mod opcode;
pub mod profile;
pub mod refusal;
pub mod session;
pub mod token;

#[cfg(test)]
pub(crate) mod tests;
