//! `lbnode probe`: looks at the segment without taking part in anything.

pub(crate) mod cli;
mod listen;
mod vip;
