//! Addresses that an earlier run left behind.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use l2::linux::address::{Addresses, Held, LOOPBACK};

/// Removes every single address that carries our mark or is one of `configured`, and says which. What lingers
/// after a planned move stays for its time.
pub(crate) fn remove_ours(
    addresses: &mut Addresses,
    configured: &BTreeSet<IpAddr>,
) -> io::Result<Vec<Held>> {
    let mark = addresses.mark();
    let mut removed = Vec::new();
    for found in addresses.list()? {
        let single = found.prefix_len
            == if found.held.address.is_ipv4() {
                32
            } else {
                128
            };
        let lingers = found.held.index == LOOPBACK && found.is_finite();
        let ours = found.mark == Some(mark) || configured.contains(&found.held.address);
        if single && ours && !lingers {
            addresses.release(found.held)?;
            removed.push(found.held);
        }
    }
    Ok(removed)
}
