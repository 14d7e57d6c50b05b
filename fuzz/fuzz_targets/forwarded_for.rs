//! Lets libFuzzer drive `roomcast_fuzz::forwarded_for`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::forwarded_for::run(data));
