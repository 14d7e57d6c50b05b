//! Lets libFuzzer drive `roomcast_fuzz::command`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::command::run(data));
