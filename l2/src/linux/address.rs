//! Addresses that this host owns for a while.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::thread;
use std::time::Duration;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

use super::clock::boottime;
use super::netlink::Requests;

/// Marks addresses as ours in the kernel (`IFA_PROTO`, Linux 5.18), so that a later start finds those
/// that its configuration no longer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub u8);

/// Index of the loopback interface: the first one of every network namespace.
pub const LOOPBACK: u32 = 1;

/// Pauses of [`Addresses::settle`] between two looks: from the time that an idle kernel's worker needs on.
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// An address on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Held {
    /// Index of the interface.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
}

/// An address found on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where and which.
    pub held: Held,
    /// Bits of its network.
    pub prefix_len: u8,
    /// Who put it there.
    pub mark: Option<Mark>,
    /// Label (IPv4).
    pub label: Option<String>,
    /// Not usable yet: duplicate address detection is under way.
    pub tentative: bool,
    /// After this it goes by itself, if nobody renews it.
    pub valid: Option<Duration>,
}

impl Found {
    /// Whether it goes by itself if nobody renews it.
    pub fn is_finite(&self) -> bool {
        self.valid.is_some()
    }
}

/// Adds, renews, removes and lists addresses.
#[derive(Debug)]
pub struct Addresses {
    requests: Requests,
    mark: Mark,
}

impl Addresses {
    /// Opens a socket for it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(mark: Mark) -> io::Result<Self> {
        Ok(Self {
            requests: Requests::open()?,
            mark,
        })
    }

    /// Puts a single address (/32, /128) on an interface for `lifetime`, or renews it. It brings no
    /// route, is never chosen as the source of the host's own connections (preferred lifetime 0), and
    /// IPv6 uses it at once (no duplicate address detection).
    ///
    /// # Errors
    /// The kernel's: missing CAP_NET_ADMIN, no such interface, IPv6 disabled.
    pub fn own(&mut self, held: Held, label: Option<&str>, lifetime: Duration) -> io::Result<()> {
        self.put(single(held), held.address, label, lifetime)
    }

    /// Keeps a single address for connections that have it, on the loopback interface and for `lifetime`: IPv6 does
    /// not answer for it on other interfaces then, and IPv4 does unless it is told not to. Nothing new begins with it
    /// as the source.
    ///
    /// # Errors
    /// The kernel's.
    pub fn linger(&mut self, address: IpAddr, lifetime: Duration) -> io::Result<()> {
        let mut message = single(Held {
            index: LOOPBACK,
            address,
        });
        message.header.scope = AddressScope::Host;
        self.put(message, address, None, lifetime)
    }

    fn put(
        &mut self,
        mut message: AddressMessage,
        address: IpAddr,
        label: Option<&str>,
        lifetime: Duration,
    ) -> io::Result<()> {
        let mut flags = AddressFlags::Noprefixroute;
        if address.is_ipv6() {
            flags |= AddressFlags::Nodad;
        }
        message.attributes.push(AddressAttribute::Flags(flags));
        let mut cache = CacheInfo::default();
        // Rounded up: the kernel counts whole seconds, and zero would be refused.
        cache.ifa_valid = u32::try_from(lifetime.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        cache.ifa_preferred = 0;
        message.attributes.push(AddressAttribute::CacheInfo(cache));
        message
            .attributes
            .push(AddressAttribute::Protocol(AddressProtocol::from(
                self.mark.0,
            )));
        if let Some(label) = label.filter(|_| address.is_ipv4()) {
            message
                .attributes
                .push(AddressAttribute::Label(label.to_owned()));
        }
        let request = RouteNetlinkMessage::NewAddress(message);
        self.requests
            .acknowledged(request, NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Takes a single address off an interface; that it was not there is no error.
    ///
    /// # Errors
    /// The kernel's.
    pub fn release(&mut self, held: Held) -> io::Result<()> {
        match self
            .requests
            .acknowledged(RouteNetlinkMessage::DelAddress(single(held)), 0)
        {
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EADDRNOTAVAIL | libc::ENODEV)
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Waits until packets to all of these addresses are for this host, for `patience` at most, and says whether they
    /// are. IPv6 acknowledges an address before it has put the route in place that makes it so (a worker of Linux does
    /// that, `addrconf_dad_work`), and until then the host drops what comes for it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn settle(&mut self, held: &[Held], patience: Duration) -> io::Result<bool> {
        let end = boottime() + patience;
        let mut pause = FIRST_PAUSE;
        for held in held {
            let IpAddr::V6(address) = held.address else {
                continue;
            };
            while !self.is_local(held.index, address)? {
                if boottime() >= end {
                    return Ok(false);
                }
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        Ok(true)
    }

    /// Whether packets to this address of this interface are for this host.
    fn is_local(&mut self, index: u32, address: Ipv6Addr) -> io::Result<bool> {
        let mut question = RouteMessage::default();
        question.header.address_family = AddressFamily::Inet6;
        question.header.destination_prefix_length = 128;
        question.attributes = vec![
            RouteAttribute::Destination(RouteAddress::Inet6(address)),
            // With it only routes of this interface are looked at.
            RouteAttribute::Oif(index),
        ];
        let question = RouteNetlinkMessage::GetRoute(question);
        match self.requests.answered(question) {
            Ok(Some(RouteNetlinkMessage::NewRoute(route))) => {
                Ok(route.header.kind == RouteType::Local)
            }
            Ok(_) => Ok(false),
            Err(error) => match error.raw_os_error() {
                // No route, or one that refuses: `unreachable`, `blackhole`, `prohibit`.
                Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EINVAL | libc::EACCES) => {
                    Ok(false)
                }
                _ => Err(error),
            },
        }
    }

    /// Every address of the host.
    ///
    /// # Errors
    /// The kernel's.
    pub fn list(&mut self) -> io::Result<Vec<Found>> {
        let found = self
            .requests
            .dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
        Ok(found
            .iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewAddress(message) => found_in(message),
                _ => None,
            })
            .collect())
    }

    /// The mark of addresses that this opener owns.
    pub fn mark(&self) -> Mark {
        self.mark
    }
}

/// What a message of the kernel says about an address.
pub fn found_in(message: &AddressMessage) -> Option<Found> {
    let (mut address, mut local, mut mark, mut label) = (None, None, None, None);
    let (mut tentative, mut valid) = (false, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Label(text) => label = Some(text.clone()),
            AddressAttribute::Protocol(protocol) => mark = Some(Mark(u8::from(*protocol))),
            AddressAttribute::Flags(flags) => tentative = flags.contains(AddressFlags::Tentative),
            AddressAttribute::CacheInfo(cache) => {
                let seconds = cache.ifa_valid;
                valid = (seconds != u32::MAX).then(|| Duration::from_secs(seconds.into()));
            }
            _ => {}
        }
    }
    // On a point-to-point link `Address` is the other end.
    let address = local.or(address)?;
    Some(Found {
        held: Held {
            index: message.header.index,
            address,
        },
        prefix_len: message.header.prefix_len,
        mark,
        label,
        tentative,
        valid,
    })
}

fn single(held: Held) -> AddressMessage {
    let mut message = AddressMessage::default();
    (message.header.family, message.header.prefix_len) = match held.address {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    message.header.index = held.index;
    message.header.scope = AddressScope::Universe;
    message
        .attributes
        .push(AddressAttribute::Local(held.address));
    message
        .attributes
        .push(AddressAttribute::Address(held.address));
    message
}
