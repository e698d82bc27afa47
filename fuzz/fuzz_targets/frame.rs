//! Any bytes as an Ethernet frame (ARP, NDP, echo).
#![no_main]

#[path = "../../dataplane/tests/invariants/frame.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariants::hold(bytes));
