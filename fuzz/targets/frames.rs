//! One direction of a tunnel.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_gateway::fuzzing::frames(data));
