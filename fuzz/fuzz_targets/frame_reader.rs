//! Lets libFuzzer drive `roomcast_fuzz::frame_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::frame_reader::run(data));
