//! Heads of requests and answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_gateway::fuzzing::heads(data));
