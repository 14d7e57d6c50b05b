//! Lets libFuzzer drive `roomcast_fuzz::configuration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::configuration::run(data));
