//! Lets libFuzzer drive `roomcast_fuzz::handshake`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::handshake::run(data));
