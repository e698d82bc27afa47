//! Any bytes as a PROXY header.
#![no_main]

#[path = "../../haproxy-lite/tests/invariants/proxy_header.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariants::hold(bytes));
