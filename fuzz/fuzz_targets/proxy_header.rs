//! Lets libFuzzer drive `roomcast_fuzz::proxy_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::proxy_header::run(data));
