//! VRRP datagrams from any bytes.
#![no_main]

#[path = "../../vrrp/tests/invariants/packet.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariants::hold(bytes));
