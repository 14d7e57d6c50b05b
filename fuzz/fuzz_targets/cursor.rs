//! Lets libFuzzer drive `roomcast_fuzz::cursor`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::cursor::run(data));
