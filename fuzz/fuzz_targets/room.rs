//! Lets libFuzzer drive `roomcast_fuzz::room`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::room::run(data));
