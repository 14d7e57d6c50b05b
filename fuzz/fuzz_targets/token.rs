//! Lets libFuzzer drive `roomcast_fuzz::token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::token::run(data));
