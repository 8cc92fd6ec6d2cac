//! One direction of a tunnel.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_tunnel::relay::fuzzing::frames(data));
