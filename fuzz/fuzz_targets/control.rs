//! Lets libFuzzer drive `roomcast_fuzz::control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::control::run(data));
