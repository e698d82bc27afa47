//! What holds for every datagram, shared with the fuzz target.

use std::net::IpAddr;
use std::time::Duration;

use vrrp::proto::packet::{Advert, MAX_LEN, Outgoing};
use vrrp::proto::{
    AdvertInterval, AnnounceSettings, Datagram, Family, Group, GroupSettings, Input, Link,
    MemberSettings, Moment, Priority, State, Version, Versions, Vrid,
};

/// Reads the bytes as an advert of either family, and hands them to routers in Backup and Active.
pub(crate) fn hold(bytes: &[u8]) {
    for (source, destination, vip) in [
        ("10.0.0.2", "224.0.0.18", "10.0.0.100"),
        ("fe80::2", "ff02::12", "fe80::100"),
    ] {
        let [source, destination, vip] =
            [source, destination, vip].map(|text| text.parse::<IpAddr>().expect("an address"));
        let advert = Advert::parse(bytes, source, destination);
        if let Ok(advert) = &advert {
            comes_back(advert, source, destination);
        }
        for active in [false, true] {
            survives(bytes, source, destination, vip, active, advert.is_ok());
        }
    }
}

/// What was read can be written, and reads the same again.
fn comes_back(advert: &Advert<'_>, source: IpAddr, destination: IpAddr) {
    let addresses: Vec<IpAddr> = advert.addresses.iter().collect();
    if addresses.len() > Outgoing::capacity(Family::of(source)) {
        return;
    }
    let password = (advert.version == Version::V2).then_some(advert.authentication.1);
    let outgoing = Outgoing {
        version: advert.version,
        vrid: advert.vrid,
        priority: advert.priority,
        lingers: false,
        interval: advert.interval,
        addresses: &addresses,
        password,
        checksum: advert.checksum,
        source,
        destination,
    };
    let mut buffer = [0; MAX_LEN];
    let again = Advert::parse(outgoing.emit(&mut buffer), source, destination).expect("our own");
    assert_eq!((again.vrid, again.priority), (advert.vrid, advert.priority));
    assert!(again.addresses.is_same_set(&addresses));
}

fn survives(
    bytes: &[u8],
    source: IpAddr,
    destination: IpAddr,
    vip: IpAddr,
    active: bool,
    valid: bool,
) {
    let family = Family::of(source);
    let mut group = Group::new(settings(family, vip), false);
    let own = match family {
        Family::V4 => "10.0.0.1",
        Family::V6 => "fe80::1",
    };
    let mut now = Moment::from_nanos(1_000_000_000);
    group.handle_input(now, Input::Start);
    let link = Link::Up {
        source: own.parse().expect("an address"),
    };
    group.handle_input(now, Input::Link { member: 0, link });
    if active {
        now = group.poll_timeout().expect("a Backup waits");
        group.handle_timeout(now, now);
    }
    let before = group.state();
    assert_eq!(before, if active { State::Active } else { State::Backup });
    let datagram = Datagram {
        at: now,
        source,
        destination,
        ttl: 255,
        message: bytes,
    };
    group.handle_datagram(now, 0, &datagram);
    assert!(
        valid || group.state() == before,
        "an unreadable datagram moved the router"
    );
    while group.poll_action().is_some() {}
    let due = group.poll_timeout().expect("something is due");
    assert!(due >= now, "it would spin");
}

fn settings(family: Family, vip: IpAddr) -> GroupSettings {
    GroupSettings {
        name: String::new(),
        priority: Priority::try_from(100).expect("in range"),
        interval: AdvertInterval::try_from(10).expect("in range"),
        preempt: false,
        preempt_delay: Duration::ZERO,
        startup_quiet: Duration::ZERO,
        down_factor: 3,
        versions: if family == Family::V4 {
            Versions::Both
        } else {
            Versions::V3
        },
        refuse_foreign_addresses: false,
        link_debounce: Duration::ZERO,
        hand_over_grace: Duration::ZERO,
        announce: AnnounceSettings {
            repeat: 5,
            follow_ups: vec![Duration::from_secs(1)],
            refresh: None,
            request_form: true,
            reply_form: true,
        },
        members: vec![MemberSettings {
            name: String::new(),
            vrid: Vrid::try_from(51).expect("in range"),
            family,
            peers: Vec::new(),
            addresses: vec![vip],
            minimum_ttl: 255,
            checksum: None,
            password: None,
        }],
        seed: 0,
    }
}
