//! Flight records of a virtual router from any text.
#![no_main]

#[path = "../../vrrp/tests/invariants/replay.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|text: &str| invariants::hold(text));
