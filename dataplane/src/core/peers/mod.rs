//! The other speakers: who is alive, what they can reach, and which addresses they have.
//!
//! ```text
//!   datagram ──► key ring (authentic?) ──► replay window (fresh?) ──► membership
//!                                                                       │
//!   every interval, and when something changes: one datagram per peer ◄─┘
//! ```
//!
//! Speakers send each other authenticated heartbeats over UDP. A heartbeat also says which version of the sender's
//! [`state`] exists and which version of the receiver's it has; what is missing rides along in parts until it is
//! acknowledged. A quiet network therefore carries nothing but small datagrams, and a change is everywhere after one.
//!
//! Liveness never depends on the API server.

pub mod datagram;
pub mod keys;
pub mod membership;
pub mod replay;
pub mod state;

mod bytes;
