//! Looks at the segment together with the other stations: sockets around a [`Meeting`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::Context as _;
use cluster_config::probe::{SegmentPlan, SegmentReport};
use l2::linux::clock::boottime;
use l2::linux::filter::Filter;
use l2::linux::link::Interface;
use l2::linux::packet::PacketSocket;
use l2::linux::poller::Poller;
use l2::linux::raw_ip::{RawReceiver, RawSender, Reception};
use l2::wire::{ArpOperation, ArpPacket, EtherHeader, EtherType, MacAddr};
use vrrp::proto::Family;
use vrrp::proto::packet::{PROTOCOL, group};

use super::listen::Routers;
use super::meeting::{Action, Channel, Meeting};

/// Packets taken from a socket before timers are looked at.
const BATCH: usize = 64;

const ARP: u32 = 0;
const HEARTBEAT: u32 = 1;
const VRRP: u32 = 2;
const VRRP6: u32 = 3;

/// Takes part until it is over.
///
/// # Errors
/// When this station cannot even ask by ARP; what else is refused stands in the report.
pub(super) fn look(
    plan: SegmentPlan,
    interface: &Interface,
    own: Ipv4Addr,
) -> anyhow::Result<SegmentReport> {
    let name = &interface.name;
    let mac = interface
        .mac
        .with_context(|| format!("interface `{name}` is not Ethernet"))?;
    anyhow::ensure!(interface.up, "interface `{name}` is down or has no carrier");
    let port = plan.heartbeat_port;
    let mut meeting = Meeting::begin(plan, boottime());
    let mut senses = Senses::open(&mut meeting, interface, own, mac, port)?;
    let mut routers = Routers::default();
    let mut ready = Vec::new();
    while let Some(at) = meeting.poll_timeout(boottime()) {
        meeting.handle_timeout(boottime());
        while let Some(action) = meeting.poll_action() {
            senses.act(&mut meeting, action);
        }
        senses.poller.wait(Some(at), &mut ready)?;
        for token in &ready {
            senses.take(*token, &mut meeting, &mut routers)?;
        }
    }
    Ok(SegmentReport {
        interface: name.clone(),
        mac: mac.to_string(),
        link_local: interface.link_local(),
        neighbours: meeting.neighbours(),
        vrrp: meeting.hearing(Channel::Vrrp),
        vrrp6: meeting.hearing(Channel::Vrrp6),
        heartbeat: meeting.hearing(Channel::Heartbeat),
        routers: routers.report(),
    })
}

/// The sockets.
struct Senses {
    poller: Poller,
    interface: String,
    own: Ipv4Addr,
    mac: MacAddr,
    arp: PacketSocket,
    vrrp: Option<(RawReceiver, RawSender)>,
    vrrp6: Option<(RawReceiver, RawSender)>,
    heartbeat: Option<(UdpSocket, u16)>,
}

impl Senses {
    fn open(
        meeting: &mut Meeting,
        interface: &Interface,
        own: Ipv4Addr,
        mac: MacAddr,
        port: u16,
    ) -> anyhow::Result<Self> {
        let poller = Poller::new()?;
        let asked: Vec<Ipv4Addr> = meeting.questions().collect();
        let arp = PacketSocket::open(interface.index, EtherType::Arp, &Filter::arp_from(&asked))
            .with_context(|| format!("cannot open a packet socket on `{}`", interface.name))?;
        poller.add(&arp, ARP)?;
        let mut senses = Self {
            poller,
            interface: interface.name.clone(),
            own,
            mac,
            arp,
            vrrp: None,
            vrrp6: None,
            heartbeat: None,
        };
        let channels: Vec<Channel> = meeting.channels().collect();
        for channel in channels {
            if let Err(error) = senses.open_channel(channel, interface, port) {
                meeting.handle_trouble(channel, format!("{error:#}"));
            }
        }
        Ok(senses)
    }

    fn open_channel(
        &mut self,
        channel: Channel,
        interface: &Interface,
        port: u16,
    ) -> anyhow::Result<()> {
        let name = &interface.name;
        match channel {
            Channel::Vrrp => {
                let pair = raw(interface, Family::V4, self.own.into())?;
                self.poller.add(&pair.0, VRRP)?;
                self.vrrp = Some(pair);
            }
            Channel::Vrrp6 => {
                let source = interface
                    .link_local()
                    .with_context(|| format!("`{name}` has no IPv6 link-local address"))?;
                let pair = raw(interface, Family::V6, source)?;
                self.poller.add(&pair.0, VRRP6)?;
                self.vrrp6 = Some(pair);
            }
            Channel::Heartbeat => {
                let address = SocketAddr::from((self.own, port));
                let socket = UdpSocket::bind(address)
                    .with_context(|| format!("cannot bind UDP {address}"))?;
                socket.set_nonblocking(true)?;
                self.poller.add(&socket, HEARTBEAT)?;
                self.heartbeat = Some((socket, port));
            }
        }
        Ok(())
    }

    /// A message that cannot be sent will be missing on the other side; only a firewall's refusal says more here.
    fn act(&mut self, meeting: &mut Meeting, action: Action) {
        match action {
            Action::Ask(address) => {
                let question = ArpPacket::request(address, self.own, self.mac);
                let _ = self.arp.send(&question.frame(MacAddr::BROADCAST));
            }
            Action::Greet { channel, to, bytes } => {
                if let Err(error) = self.greet(channel, to, &bytes)
                    && error.kind() == io::ErrorKind::PermissionDenied
                {
                    let words = "this machine's own packet filter refuses to send";
                    meeting.handle_trouble(channel, words.to_owned());
                }
            }
        }
    }

    fn greet(&self, channel: Channel, to: IpAddr, bytes: &[u8]) -> io::Result<()> {
        let pair = match channel {
            Channel::Vrrp => &self.vrrp,
            Channel::Vrrp6 => &self.vrrp6,
            Channel::Heartbeat => {
                return match &self.heartbeat {
                    Some((socket, port)) => socket.send_to(bytes, (to, *port)).map(drop),
                    None => Ok(()),
                };
            }
        };
        pair.as_ref()
            .map_or(Ok(()), |(_, sender)| sender.send(to, bytes))
    }

    fn take(
        &mut self,
        token: u32,
        meeting: &mut Meeting,
        routers: &mut Routers,
    ) -> anyhow::Result<()> {
        for _ in 0..BATCH {
            let more = match token {
                ARP => self.take_claim(meeting)?,
                HEARTBEAT => self.take_heartbeat(meeting),
                VRRP => {
                    let pair = &mut self.vrrp;
                    take_packet(pair, Channel::Vrrp, &self.interface, meeting, routers)
                }
                _ => {
                    let pair = &mut self.vrrp6;
                    take_packet(pair, Channel::Vrrp6, &self.interface, meeting, routers)
                }
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn take_claim(&mut self, meeting: &mut Meeting) -> anyhow::Result<bool> {
        let Some(frame) = self.arp.receive()? else {
            return Ok(false);
        };
        if let Ok((_, payload)) = EtherHeader::parse(frame)
            && let Ok(arp) = ArpPacket::parse(payload)
            && (arp.operation, arp.target) == (ArpOperation::Reply, self.own)
        {
            meeting.handle_claim(arp.sender, arp.sender_mac);
        }
        Ok(true)
    }

    fn take_heartbeat(&self, meeting: &mut Meeting) -> bool {
        let mut buffer = [0; 2048];
        let Some((socket, _)) = &self.heartbeat else {
            return false;
        };
        match socket.recv_from(&mut buffer) {
            Ok((length, _)) => {
                meeting.handle_message(Channel::Heartbeat, &buffer[..length]);
                true
            }
            Err(_) => false,
        }
    }
}

fn raw(
    interface: &Interface,
    family: Family,
    source: IpAddr,
) -> anyhow::Result<(RawReceiver, RawSender)> {
    let (name, index) = (&interface.name, interface.index);
    let receiver = RawReceiver::open(name, index, PROTOCOL, group(family))
        .with_context(|| format!("cannot listen for IP protocol 112 on `{name}`"))?;
    let sender = RawSender::open(name, index, PROTOCOL, source)
        .with_context(|| format!("cannot send IP protocol 112 from {source} on `{name}`"))?;
    Ok((receiver, sender))
}

/// Whether there was a packet.
fn take_packet(
    pair: &mut Option<(RawReceiver, RawSender)>,
    channel: Channel,
    interface: &str,
    meeting: &mut Meeting,
    routers: &mut Routers,
) -> bool {
    let Some((receiver, _)) = pair else {
        return false;
    };
    match receiver.receive() {
        Ok(Reception::Packet(packet)) => {
            meeting.handle_message(channel, packet.payload);
            routers.note(interface, &packet);
            true
        }
        Ok(Reception::Malformed(_)) => true,
        Ok(Reception::Empty) | Err(_) => false,
    }
}
