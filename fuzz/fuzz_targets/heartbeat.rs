//! Heartbeats with the right key around any bytes.
#![no_main]

#[path = "../../dataplane/tests/invariants/heartbeat.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariants::hold(bytes));
