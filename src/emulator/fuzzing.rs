//! A script of faults, for the fuzzer.

use super::fault::Faults;

pub fn fault_script(data: &[u8]) {
    match Faults::parse(data) {
        Ok(faults) => assert!(faults.left() <= 64),
        Err(why) => assert!(!why.is_empty()),
    }
}
