//! Lets libFuzzer drive `roomcast_fuzz::envelope`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::envelope::run(data));
