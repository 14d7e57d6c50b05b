//! Lets libFuzzer drive `roomcast_fuzz::deflate_offer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::deflate_offer::run(data));
