//! Lets libFuzzer drive `roomcast_fuzz::grants`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::grants::run(data));
