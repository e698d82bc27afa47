//! Linux: sockets with receive metadata, addresses with a lifetime, links, realtime threads.
//!
//! Nothing here decides anything. Sockets are non-blocking; [`poller`] waits for many of them and a deadline.

pub mod address;
pub mod capability;
pub mod clock;
pub mod connections;
mod expression;
pub mod filter;
pub mod guard;
pub mod handover;
mod layout;
pub mod link;
pub mod neighbour;
pub mod netlink;
pub mod nftables;
mod own_table;
pub mod packet;
pub mod poller;
pub mod process;
pub mod question;
pub mod raw_ip;
pub mod realtime;
mod set_keys;
pub mod source_ranges;
mod sys;
