//! Lets libFuzzer drive `roomcast_fuzz::presence_event`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::presence_event::run(data));
