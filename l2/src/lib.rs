//! The layer-2 toolbox of the roles that own addresses.
//!
//! - [`wire`] is pure: codecs for Ethernet, ARP, NDP, IPv4 and IPv6 headers. Parsing never panics and
//!   never reads past what was received; emitting fills exactly the bytes of the message.
//! - [`linux`] talks to the kernel: packet and raw sockets with receive metadata, addresses with a
//!   lifetime, links, realtime scheduling. Everything there is synchronous, so that a realtime thread
//!   can use it without a runtime.

pub mod wire;

#[cfg(target_os = "linux")]
pub mod linux;
