//! A client that asks all the time who has each of some addresses, and remembers who said that it has one.

use std::{
    collections::BTreeSet,
    env,
    fs::{self, File},
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use l2::{
    linux::{filter::Filter, link::Links, packet::PacketSocket},
    wire::{ArpPacket, EtherHeader, EtherType, MacAddr, NeighborAdvert, NeighborSolicit},
};

use crate::{role::Role, segment::seconds, server::Place};

/// Between two questions about one address.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two looks at what has come.
const LOOK: Duration = Duration::from_millis(1);

/// Somebody said that it has an address: by an answer, or without being asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    /// In seconds since 1970.
    pub(crate) at: f64,
    pub(crate) address: IpAddr,
    pub(crate) mac: MacAddr,
}

/// A process that asks; it ends with this.
pub(crate) struct Asker {
    file: PathBuf,
    _role: Role,
}

impl Asker {
    /// Starts at the client whose addresses end in `host`; what it hears goes to a file.
    pub(crate) fn start(place: &Place, host: u8, addresses: &[IpAddr], file: PathBuf) -> Self {
        let list: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        let (list, host) = (list.join(" "), host.to_string());
        let said = file.display().to_string();
        let variables = [("ADDRESSES", &*list), ("FILE", &*said), ("HOST", &*host)];
        Self {
            _role: Role::with(place, "asker", &variables),
            file,
        }
    }

    /// What it has heard so far.
    pub(crate) fn words(&self) -> Vec<Word> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        // The last line may not be whole yet.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(read).collect()
    }
}

fn read(line: &str) -> Word {
    let words: Vec<&str> = line.split(' ').collect();
    let [at, address, mac] = words[..] else {
        panic!("no word: {line}")
    };
    Word {
        at: at.parse().unwrap(),
        address: address.parse().unwrap(),
        mac: mac.parse().unwrap(),
    }
}

/// Who said between two instants that it has an address.
pub(crate) fn owners_of(
    words: &[Word],
    address: IpAddr,
    (from, to): (f64, f64),
) -> BTreeSet<MacAddr> {
    let said = words.iter().filter(|word| word.address == address);
    said.filter(|word| (from..to).contains(&word.at))
        .map(|word| word.mac)
        .collect()
}

/// What the process does until it is killed.
pub(crate) fn work() {
    let addresses = env::var("ADDRESSES").unwrap();
    let addresses: Vec<IpAddr> = addresses
        .split(' ')
        .map(|address| address.parse().unwrap())
        .collect();
    let mut said = File::create(env::var("FILE").unwrap()).unwrap();
    let mut mouth = Mouth::open(&env::var("HOST").unwrap(), &addresses);
    let mut due = Instant::now();
    loop {
        if Instant::now() >= due {
            due += PAUSE;
            for address in &addresses {
                mouth.ask(*address);
            }
        }
        for (address, mac) in mouth.hear() {
            writeln!(said, "{:.6} {address} {mac}", seconds()).unwrap();
        }
        thread::sleep(LOOK);
    }
}

/// The sockets of the process.
struct Mouth {
    mac: MacAddr,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    arp: PacketSocket,
    ndp: PacketSocket,
}

impl Mouth {
    fn open(host: &str, addresses: &[IpAddr]) -> Self {
        let links = Links::read().unwrap();
        let bridge = links.by_name("br0").unwrap();
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in addresses {
            match address {
                IpAddr::V4(address) => v4.push(*address),
                IpAddr::V6(address) => v6.push(*address),
            }
        }
        let open = |kind, filter: &Filter| PacketSocket::open(bridge.index, kind, filter).unwrap();
        Self {
            mac: bridge.mac.unwrap(),
            v4: format!("10.98.0.{host}").parse().unwrap(),
            v6: format!("fd98::{host}").parse().unwrap(),
            arp: open(EtherType::Arp, &Filter::arp_from(&v4)),
            ndp: open(EtherType::Ipv6, &Filter::neighbor_adverts_for(&v6)),
        }
    }

    fn ask(&self, address: IpAddr) {
        // Lost like any other frame, if it cannot be sent.
        let _ = match address {
            IpAddr::V4(target) => {
                let question = ArpPacket::request(target, self.v4, self.mac);
                self.arp.send(&question.frame(MacAddr::BROADCAST))
            }
            IpAddr::V6(target) => {
                let question = NeighborSolicit::question(target, self.v6, self.mac);
                self.ndp.send(question.frame(self.mac).as_ref())
            }
        };
    }

    fn hear(&mut self) -> Vec<(IpAddr, MacAddr)> {
        let mut heard = Vec::new();
        while let Ok(Some(frame)) = self.arp.receive() {
            let (_, payload) = EtherHeader::parse(frame).unwrap();
            let packet = ArpPacket::parse(payload).unwrap();
            heard.push((packet.sender.into(), packet.sender_mac));
        }
        while let Ok(Some(frame)) = self.ndp.receive() {
            let (ether, payload) = EtherHeader::parse(frame).unwrap();
            let advert = NeighborAdvert::parse(payload).unwrap();
            let mac = advert.target_mac.unwrap_or(ether.source);
            heard.push((advert.target.into(), mac));
        }
        heard
    }
}
