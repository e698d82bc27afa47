//! Who answers ARP for an address, and whom a client believes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::{Result, bail};

use crate::lab::Lab;
use crate::roster::{Machine, Place, machine_with_mac};
use crate::tool;

impl Lab {
    /// The MAC addresses that answer a broadcast ARP request of the client on the segment, asked
    /// for one second.
    pub fn arp_answers(&self, address: Ipv4Addr) -> Result<BTreeSet<String>> {
        let mut ask = self.command_in(Place::Client, "arping");
        ask.args(["-b", "-I", "eth0", "-w", "1", &address.to_string()]);
        let output = tool::output(&mut ask)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // It ends with 1 when nobody answered, and says how many frames it sent in any case.
        if !text.contains("Sent ") {
            bail!("arping failed: {}", tool::last_lines(&output, 3));
        }
        Ok(macs(&text))
    }

    /// The machine that the client's ARP request finds for the address.
    ///
    /// # Errors
    /// When two answer, or somebody who is no machine of the lab.
    pub fn arp_owner(&self, address: Ipv4Addr) -> Result<Option<Machine>> {
        let answers: Vec<String> = self.arp_answers(address)?.into_iter().collect();
        match answers.as_slice() {
            [] => Ok(None),
            [mac] => match machine_with_mac(mac) {
                Some(machine) => Ok(Some(machine)),
                None => bail!("{mac}, which is no machine of the lab, answers ARP for {address}"),
            },
            several => bail!("several answer ARP for {address}: {}", several.join(", ")),
        }
    }

    /// The machine that a place sends packets for the address to, as it remembers.
    pub fn next_hop(&self, place: Place, address: Ipv4Addr) -> Result<Option<Machine>> {
        let mut show = self.command_in(place, "ip");
        show.args(["neigh", "show", "to", &address.to_string(), "dev", "eth0"]);
        Ok(machine_in_neighbours(&tool::run(&mut show)?))
    }

    /// Makes a place forget who has the address.
    pub fn forget_neighbour(&self, place: Place, address: Ipv4Addr) -> Result<()> {
        let mut flush = self.command_in(place, "ip");
        flush.args(["neigh", "flush", "to", &address.to_string(), "nud", "all"]);
        // It ends with 0 when there is nothing to forget.
        tool::run(&mut flush).map(drop)
    }
}

/// The machine in what `ip neigh show` prints of one address.
fn machine_in_neighbours(text: &str) -> Option<Machine> {
    let (_, rest) = text.split_once("lladdr ")?;
    machine_with_mac(rest.split_whitespace().next()?)
}

/// The MAC addresses in brackets, which is how `arping` shows who answered.
fn macs(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.contains("reply from"))
        .filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0))
        .map(str::to_ascii_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_neighbour_is_read_from_what_ip_prints() {
        let text = "10.10.0.201 dev eth0 lladdr 02:00:0a:0a:00:0c STALE \n";
        assert_eq!(machine_in_neighbours(text), Some(Machine::cp(2)));
        assert_eq!(
            machine_in_neighbours("10.10.0.201 dev eth0 FAILED \n"),
            None
        );
        assert_eq!(machine_in_neighbours(""), None);
    }

    #[test]
    fn the_answering_macs_are_read_from_what_arping_prints() {
        let text = "ARPING 10.10.0.100 from 10.10.0.50 eth0\n\
            Unicast reply from 10.10.0.100 [02:00:0A:0A:00:0B]  0.6ms\n\
            Unicast reply from 10.10.0.100 [02:00:0A:0A:00:0C]  0.7ms\n\
            Unicast reply from 10.10.0.100 [02:00:0A:0A:00:0B]  0.5ms\n\
            Sent 2 probes (2 broadcast(s))\nReceived 3 response(s)\n";
        let found: Vec<String> = macs(text).into_iter().collect();
        assert_eq!(found, ["02:00:0a:0a:00:0b", "02:00:0a:0a:00:0c"]);
        assert!(macs("Sent 2 probes (2 broadcast(s))\nReceived 0 response(s)\n").is_empty());
    }
}
