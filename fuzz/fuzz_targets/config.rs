//! Any text as a cluster file or a node file.
#![no_main]

#[path = "../../cluster-config/tests/invariants/config.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|text: &str| invariants::hold(text));
