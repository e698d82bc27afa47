//! Any bytes as an object of the Kubernetes API.
#![no_main]

#[path = "../../dataplane/tests/invariants/object.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariants::hold(bytes));
