//! Any text as a configuration of the proxy.
#![no_main]

#[path = "../../haproxy-lite/tests/invariants/proxy_config.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|text: &str| invariants::hold(text));
