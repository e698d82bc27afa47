//! Range sets from any text.
#![no_main]

#[path = "../../cluster-config/tests/invariants/ranges.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|text: &str| invariants::hold(text));
