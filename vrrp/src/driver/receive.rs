//! From the sockets to the groups.

use l2::linux::raw_ip::Reception;

use super::Driver;
use crate::clock::{arrival, now};
use crate::ports::Port;
use crate::proto::replay::PacketRecord;
use crate::proto::{Datagram, Input};

/// Packets taken from one socket before timers are looked at.
const BATCH: usize = 64;

impl Driver {
    /// Reads what the socket has, but no more than a batch; gives back how many packets that were.
    pub(super) fn read_port(&mut self, token: u32) -> usize {
        for taken in 0..BATCH {
            let Some((port, neighbours)) = self.ports.by_token(token) else {
                return taken;
            };
            let heard = if neighbours {
                match port.next_claim() {
                    Ok(Some(claim)) => claim.map(|(group, address, mac)| {
                        (group, Some(Input::Claimed { address, mac }))
                    }),
                    Ok(None) | Err(_) => return taken,
                }
            } else {
                let before = now();
                let earliest = port.drained;
                let Port {
                    receiver, routers, ..
                } = &mut *port;
                let packet = match receiver.receive() {
                    Ok(Reception::Packet(packet)) => packet,
                    Ok(Reception::Malformed(_)) => continue,
                    // An interface that goes down says so here; the host thread reports it.
                    Ok(Reception::Empty) | Err(_) => {
                        port.drained = before;
                        return taken;
                    }
                };
                let datagram = Datagram {
                    at: arrival(packet.stamped, earliest),
                    source: packet.source,
                    destination: packet.destination,
                    ttl: packet.ttl,
                    message: packet.payload,
                };
                let key = packet
                    .payload
                    .get(1)
                    .and_then(|vrid| routers.get(vrid))
                    .copied();
                let group =
                    key.and_then(|(id, member)| Some((id, member, self.groups.get_mut(&id)?)));
                let heard = group.map(|(id, member, group)| {
                    let now = now();
                    let record = PacketRecord::new(now, id, member, &datagram);
                    self.records
                        .packets
                        .record(now.since(self.started), &record);
                    group.handle_datagram(now, member, &datagram);
                    (id, None)
                });
                if heard.is_none() {
                    self.unknown_vrid += 1;
                }
                port.drained = datagram.at;
                heard
            };
            match heard {
                Some((id, Some(input))) => self.input(id, input),
                Some((id, None)) => self.act(id),
                None => {}
            }
        }
        BATCH
    }

    /// Whether a read of so many packets has left none.
    pub(super) const fn emptied(taken: usize) -> bool {
        taken < BATCH
    }
}
