//! Addresses, ranges and sets of ranges. All sizes are `u128`; nothing here walks over addresses.

mod host;
mod range;
mod set;

pub(crate) use host::{is_host, never_hosts};
pub(crate) use range::parse_address;
pub use range::{IpRange, RangeError};
pub(crate) use set::is_buggy;
pub use set::{AddressSet, IpSet};
