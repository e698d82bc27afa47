//! Any lines as annotations of a Service.
#![no_main]

#[path = "../../dataplane/tests/invariants/annotations.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariants::hold(bytes));
