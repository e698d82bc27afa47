//! Can an address be reached that another station claims? Asked with frames of our own, so that this machine's
//! neighbour table and routes take no part and learn nothing.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context as _;
use cluster_config::probe::ReachReport;
use l2::linux::clock::boottime;
use l2::linux::filter::{Field, Filter};
use l2::linux::link::Interface;
use l2::linux::packet::PacketSocket;
use l2::linux::poller::Poller;
use l2::wire::checksum::Sum;
use l2::wire::{ArpPacket, EtherHeader, EtherType, Ipv4Header, MacAddr};

const ICMP: u8 = 1;
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(150);
/// Frames taken from a socket before the clock is looked at.
const BATCH: usize = 64;

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    /// The address.
    pub(super) address: Ipv4Addr,
    /// This machine's own.
    pub(super) own: Ipv4Addr,
    /// Hardware address of this machine's interface.
    pub(super) mac: MacAddr,
    /// Whether this machine asks for the address itself; the one that claims it cannot.
    pub(super) directly: bool,
    /// A router on the segment that should bring packets to the address as well.
    pub(super) gateway: Option<Ipv4Addr>,
    /// Tells our echoes from others.
    pub(super) tag: u16,
}

/// The ways of a question, and their sequence numbers.
const DIRECTLY: u16 = 1;
const THROUGH_GATEWAY: u16 = 2;

/// How far it got.
#[derive(Debug)]
pub(super) struct Reaching {
    question: Question,
    macs: BTreeSet<MacAddr>,
    gateway: Option<MacAddr>,
    reached: bool,
    through_gateway: bool,
}

impl Reaching {
    pub(super) fn new(question: Question) -> Self {
        Self {
            question,
            macs: BTreeSet::new(),
            gateway: None,
            reached: false,
            through_gateway: false,
        }
    }

    /// What to send now.
    pub(super) fn frames(&self) -> Vec<Vec<u8>> {
        let Question { own, mac, .. } = self.question;
        let ask = |address| {
            let request = ArpPacket::request(address, own, mac);
            request.frame(MacAddr::BROADCAST).to_vec()
        };
        let mut frames = Vec::new();
        if self.question.directly && !self.reached {
            frames.push(ask(self.question.address));
            let found = self.macs.iter();
            frames.extend(found.map(|mac| self.echo(*mac, DIRECTLY)));
        }
        if let Some(gateway) = self.question.gateway.filter(|_| !self.through_gateway) {
            frames.push(match self.gateway {
                None => ask(gateway),
                Some(mac) => self.echo(mac, THROUGH_GATEWAY),
            });
        }
        frames
    }

    /// Takes a frame.
    pub(super) fn handle_frame(&mut self, frame: &[u8]) {
        let Ok((ether, payload)) = EtherHeader::parse(frame) else {
            return;
        };
        match ether.ether_type {
            EtherType::Arp => {
                if let Ok(arp) = ArpPacket::parse(payload) {
                    self.handle_claim(arp.sender, arp.sender_mac);
                }
            }
            EtherType::Ipv4 if ether.destination == self.question.mac => self.handle_ip(payload),
            EtherType::Ipv4 | EtherType::Ipv6 => {}
        }
    }

    fn handle_claim(&mut self, address: Ipv4Addr, mac: MacAddr) {
        if address == self.question.address {
            self.macs.insert(mac);
        }
        if Some(address) == self.question.gateway {
            self.gateway.get_or_insert(mac);
        }
    }

    fn handle_ip(&mut self, packet: &[u8]) {
        let Ok((header, icmp)) = Ipv4Header::parse(packet) else {
            return;
        };
        let ours = header.protocol == ICMP
            && header.source == self.question.address
            && header.destination == self.question.own;
        let Some(&[kind, code, _, _, tag0, tag1, way0, way1]) = icmp.first_chunk::<8>() else {
            return;
        };
        let tag = u16::from_be_bytes([tag0, tag1]);
        if !ours || (kind, code) != (ECHO_REPLY, 0) || tag != self.question.tag {
            return;
        }
        match u16::from_be_bytes([way0, way1]) {
            DIRECTLY => self.reached = true,
            THROUGH_GATEWAY => self.through_gateway = true,
            _ => {}
        }
    }

    /// Whether nothing is open any more.
    pub(super) fn is_over(&self) -> bool {
        let directly = self.reached || !self.question.directly;
        directly && (self.through_gateway || self.question.gateway.is_none())
    }

    /// What came of it.
    pub(super) fn report(&self) -> ReachReport {
        ReachReport {
            macs: self.macs.iter().map(ToString::to_string).collect(),
            reached: self.reached,
            gateway: self.gateway.map(|mac| mac.to_string()),
            through_gateway: self.question.gateway.map(|_| self.through_gateway),
        }
    }

    fn echo(&self, to: MacAddr, way: u16) -> Vec<u8> {
        let mut icmp = [0; 8];
        icmp[0] = ECHO_REQUEST;
        icmp[4..6].copy_from_slice(&self.question.tag.to_be_bytes());
        icmp[6..8].copy_from_slice(&way.to_be_bytes());
        let checksum = Sum::new().bytes(&icmp).finish();
        icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
        let ip = Ipv4Header {
            tos: 0,
            total_len: 28,
            ttl: 64,
            protocol: ICMP,
            source: self.question.own,
            destination: self.question.address,
        };
        let ether = EtherHeader {
            destination: to,
            source: self.question.mac,
            ether_type: EtherType::Ipv4,
        };
        [&ether.emit()[..], &ip.emit(), &icmp].concat()
    }
}

/// Tries for `wait` at most.
///
/// # Errors
/// When the interface refuses.
pub(super) fn attempt(
    interface: &Interface,
    question: Question,
    wait: Duration,
) -> anyhow::Result<ReachReport> {
    let name = &interface.name;
    let address = question.address;
    let claims: Vec<Ipv4Addr> = [address].into_iter().chain(question.gateway).collect();
    let replies = Filter::default()
        .one_of(Field::Half(12), &[0x0800])
        .one_of(Field::Byte(23), &[ICMP.into()])
        .one_of(Field::Word(26), &[address.to_bits()])
        .keep();
    let open = |ether_type, filter: &Filter| {
        PacketSocket::open(interface.index, ether_type, filter)
            .with_context(|| format!("cannot open a packet socket on `{name}`"))
    };
    let mut sockets = [
        open(EtherType::Arp, &Filter::arp_from(&claims))?,
        open(EtherType::Ipv4, &replies)?,
    ];
    let mut poller = Poller::new()?;
    for (token, socket) in (0u32..).zip(&sockets) {
        poller.add(socket, token)?;
    }
    let mut reaching = Reaching::new(question);
    let end = boottime() + wait;
    let mut next = boottime();
    let mut ready = Vec::new();
    while boottime() < end && !reaching.is_over() {
        if boottime() >= next {
            next = boottime() + PAUSE;
            for frame in reaching.frames() {
                sockets[0]
                    .send(&frame)
                    .with_context(|| format!("cannot send on `{name}`"))?;
            }
        }
        poller.wait(Some(next.min(end)), &mut ready)?;
        let mut news = false;
        for token in &ready {
            let Some(socket) = sockets.get_mut(*token as usize) else {
                continue;
            };
            for _ in 0..BATCH {
                let Some(frame) = socket.receive()? else {
                    break;
                };
                reaching.handle_frame(frame);
                news = true;
            }
        }
        // What was learned is used at once.
        if news {
            next = next.min(boottime() + PAUSE / 8);
        }
    }
    Ok(reaching.report())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Instant;

    use dataplane::core::echo::EchoBudget;
    use dataplane::core::responder::{Addresses, Verdict, respond};

    use super::*;

    const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
    const OWN: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);
    const CLAIMANT: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 2]);
    const ROUTER: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 254]);

    fn question() -> Question {
        Question {
            address: VIP,
            own: Ipv4Addr::new(10, 0, 0, 1),
            mac: OWN,
            directly: true,
            gateway: Some(GATEWAY),
            tag: 77,
        }
    }

    struct Has(Ipv4Addr);

    impl Addresses for Has {
        fn has(&self, address: IpAddr) -> bool {
            address == IpAddr::V4(self.0)
        }
        fn echoes(&self, address: IpAddr, _: IpAddr) -> bool {
            self.has(address)
        }
    }

    /// A segment with a claimant and a gateway that `forwards` or does not.
    fn run(question: Question, forwards: bool) -> ReachReport {
        let mut reaching = Reaching::new(question);
        let mut budget = EchoBudget::default();
        #[expect(clippy::disallowed_methods, reason = "the budget wants an instant")]
        let now = Instant::now();
        for _ in 0..4 {
            for mut frame in reaching.frames() {
                let to = MacAddr::new(frame[..6].try_into().unwrap());
                if to == ROUTER && forwards {
                    frame[..6].copy_from_slice(&CLAIMANT.octets());
                }
                for (mac, address) in [(CLAIMANT, VIP), (ROUTER, GATEWAY)] {
                    let verdict = respond(now, &frame, mac, &Has(address), &mut budget);
                    if let Ok(Verdict::Answer(answer, _)) = verdict {
                        reaching.handle_frame(&answer);
                    }
                }
            }
        }
        assert_eq!(reaching.is_over(), reaching.frames().is_empty());
        reaching.report()
    }

    #[test]
    fn a_claimed_address_is_reached_both_ways() {
        let expected = ReachReport {
            macs: vec![CLAIMANT.to_string()],
            reached: true,
            gateway: Some(ROUTER.to_string()),
            through_gateway: Some(true),
        };
        assert_eq!(run(question(), true), expected);
        let kept = ReachReport {
            through_gateway: Some(false),
            ..expected
        };
        assert_eq!(run(question(), false), kept);
    }

    #[test]
    fn the_claimant_itself_asks_through_the_gateway_only() {
        let own = Question {
            directly: false,
            ..question()
        };
        let report = run(own, true);
        assert_eq!(
            (report.reached, report.through_gateway),
            (false, Some(true))
        );
        let alone = Question {
            gateway: None,
            ..question()
        };
        let report = run(alone, true);
        assert_eq!((report.reached, report.through_gateway), (true, None));
    }

    #[test]
    fn only_whole_replies_to_our_own_echoes_count() {
        let good = Reaching::new(question()).echo(OWN, DIRECTLY);
        let reply = |change: fn(&mut Vec<u8>)| {
            let mut frame = good.clone();
            // The reply to it: addresses swapped, type 0.
            frame[34] = ECHO_REPLY;
            frame[26..30].copy_from_slice(&VIP.octets());
            frame[30..34].copy_from_slice(&question().own.octets());
            change(&mut frame);
            let mut reaching = Reaching::new(question());
            reaching.handle_frame(&frame);
            reaching.reached
        };
        assert!(reply(|_| ()));
        let spoiled: [fn(&mut Vec<u8>); 6] = [
            |frame| frame[0] ^= 1,
            |frame| frame[34] = ECHO_REQUEST,
            |frame| frame[29] ^= 1,
            |frame| frame[33] ^= 1,
            |frame| frame[39] ^= 1,
            |frame| frame.truncate(41),
        ];
        for (number, change) in spoiled.into_iter().enumerate() {
            assert!(!reply(change), "change {number}");
        }
        for length in 0..good.len() {
            Reaching::new(question()).handle_frame(&good[..length]);
        }
    }

    #[test]
    fn two_machines_that_answer_are_both_named() {
        let mut reaching = Reaching::new(question());
        for mac in [CLAIMANT, ROUTER] {
            let arp = ArpPacket::gratuitous_reply(VIP, mac);
            reaching.handle_frame(&arp.frame(OWN));
        }
        assert_eq!(reaching.report().macs.len(), 2);
    }
}
