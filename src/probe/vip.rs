//! Who has an address? Asked so that nobody learns anything from the question.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;
use l2::linux::clock::boottime;
use l2::linux::link::Interface;
use l2::linux::question::Question;
use l2::wire::MacAddr;

/// Probes that are sent in the time given: one may be lost.
const PROBES: u32 = 3;

/// The hardware address that answers for `address` within `wait`, if one does. An address that this host
/// holds itself on the interface answers with the interface's own.
pub(super) fn ask(
    interface: &Interface,
    address: IpAddr,
    wait: Duration,
) -> anyhow::Result<Option<MacAddr>> {
    let name = &interface.name;
    let mac = interface
        .mac
        .with_context(|| format!("interface `{name}` is not Ethernet"))?;
    anyhow::ensure!(interface.up, "interface `{name}` is down or has no carrier");
    if interface.holds(address) {
        return Ok(Some(mac));
    }
    let mut question = Question::open(interface, address)
        .with_context(|| format!("cannot open a packet socket on `{name}`"))?;
    let end = boottime() + wait;
    for probe in 0..PROBES {
        question
            .ask()
            .with_context(|| format!("cannot send a probe on `{name}`"))?;
        let until = if probe + 1 == PROBES {
            end
        } else {
            boottime() + wait / PROBES
        };
        if let Some(answer) = question.answer(until)? {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// Whether an interface has an address whose network holds `address`.
pub(super) fn is_on_subnet(interface: &Interface, address: IpAddr) -> bool {
    interface.addresses.iter().any(|found| {
        let len = u32::from(found.prefix_len);
        match (found.held.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let mask = u32::MAX.checked_shl(32 - len.min(32)).unwrap_or(0);
                ours.to_bits() & mask == theirs.to_bits() & mask
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let mask = u128::MAX.checked_shl(128 - len.min(128)).unwrap_or(0);
                ours.to_bits() & mask == theirs.to_bits() & mask
            }
            _ => false,
        }
    })
}
