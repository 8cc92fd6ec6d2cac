//! What a proxy says of its client.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_gateway::fuzzing::proxy_header(data));
