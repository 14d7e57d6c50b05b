//! Lets libFuzzer drive `roomcast_fuzz::deflate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::deflate::run(data));
