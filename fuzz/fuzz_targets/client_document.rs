#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| max_auth::fuzzing::client_document(data));
