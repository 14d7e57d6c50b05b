//! Lets libFuzzer drive `roomcast_fuzz::resp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::resp::run(data));
