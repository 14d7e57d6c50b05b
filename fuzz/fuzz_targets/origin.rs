//! Lets libFuzzer drive `roomcast_fuzz::origin`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::origin::run(data));
