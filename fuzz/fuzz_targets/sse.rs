//! Lets libFuzzer drive `roomcast_fuzz::sse`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::sse::run(data));
