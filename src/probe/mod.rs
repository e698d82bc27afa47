//! `lbnode probe`: looks at the segment. `vip` and `vrrp` take part in nothing; `segment`, `claim` and `reach` are what
//! `lbctl` runs on several machines together before it changes anything.
//!
//! What decides takes the time and what was heard: [`meeting`] and [`reach::Reaching`]; [`hello`] is what stations say to
//! each other. Nothing here adds an address or a route, and everything ends by itself.

mod claim;
pub(crate) mod cli;
mod front;
mod hello;
mod listen;
mod meeting;
mod reach;
mod segment;
mod vip;
