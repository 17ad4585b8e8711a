//! Scripts of faults, and what a bot sends, for the fuzzer.

pub use super::bot::fuzzing::bot_request;
use super::fault::Faults;

pub fn fault_script(data: &[u8]) {
    match Faults::parse(data) {
        Ok(faults) => assert!(faults.left() <= 64),
        Err(why) => assert!(!why.is_empty()),
    }
}
