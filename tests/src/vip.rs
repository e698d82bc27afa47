//! Who answers ARP for an address.

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
