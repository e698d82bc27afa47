//! Any bytes as a server's answer to a check.
#![no_main]

#[path = "../../haproxy-lite/tests/invariants/check_response.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariants::hold(bytes));
