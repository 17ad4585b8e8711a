#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| max_auth::fuzzing::bot_request(data));
