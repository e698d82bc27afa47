//! Ranges and relations of values in node files.

use std::net::{IpAddr, SocketAddr};

use super::proxy::CheckKind;
use super::read::Places;
use super::vrrp::VirtualRouter;
use super::{ProxyConfig, VrrpConfig};

pub(super) fn vrrp(config: &VrrpConfig, places: &mut Places<'_, '_, '_>) {
    admin(&config.admin, places);
    places.demand(
        !config.routers.is_empty(),
        &["routers"],
        "no virtual router is listed",
        "list at least one router",
    );
    for (index, router) in config.routers.iter().enumerate() {
        virtual_router(router, &index.to_string(), places);
        let twin = config.routers[..index].iter().any(|other| {
            let same_link = other.interface == router.interface;
            let same_family = other.source_address.is_ipv4() == router.source_address.is_ipv4();
            same_link && same_family && other.virtual_router_id == router.virtual_router_id
        });
        places.demand(
            !twin,
            &["routers", &index.to_string(), "virtualRouterID"],
            "two routers of one family have the same id on one interface",
            "give each virtual router its own id",
        );
    }
    let Some(track) = &config.track else { return };
    for (key, url, scheme) in [
        ("proxyLiveUrl", &track.proxy_live_url, "http://"),
        ("apiReadyUrl", &track.api_ready_url, "https://"),
    ] {
        places.demand(
            is_url(url, scheme),
            &["track", key],
            "not a URL with an IP address and a port",
            "write it as `SCHEME://127.0.0.1:PORT/PATH`, http for the proxy and https for the API",
        );
    }
    for (index, url) in track.peer_ready_urls.iter().enumerate() {
        places.demand(
            is_url(url, "http://"),
            &["track", "peerReadyUrls", &index.to_string()],
            "not an http URL with an IP address and a port",
            "write it as `http://PEER:11000/readyz`",
        );
    }
    let name = &track.server_name;
    places.demand(
        !name.is_empty() && !name.contains(char::is_whitespace),
        &["track", "serverName"],
        "not a DNS name or an IP address",
        "write the control-plane VIP",
    );
    timing(
        &["track"],
        track.interval_millis,
        track.fall,
        track.rise,
        places,
    );
}

fn virtual_router(router: &VirtualRouter, index: &str, places: &mut Places<'_, '_, '_>) {
    let mut demand = |holds: bool, key: &str, message: &str, hint: &str| {
        places.demand(holds, &["routers", index, key], message, hint);
    };
    let ipv4 = router.source_address.is_ipv4();
    let own_family = |address: &IpAddr| address.is_ipv4() == ipv4;
    demand(
        router.virtual_router_id > 0,
        "virtualRouterID",
        "the virtual router id is 0",
        "write 1 to 255",
    );
    demand(
        router.priority > 0,
        "priority",
        "the priority is 0, which means \"I resign\" on the wire",
        "write 1 to 254",
    );
    let interval = router.advertisement_interval_millis;
    demand(
        (10..=40_950).contains(&interval) && interval.is_multiple_of(10),
        "advertisementIntervalMillis",
        "not a multiple of 10 from 10 to 40950",
        "VRRP counts in centiseconds of 12 bits: write a multiple of 10 from 10 to 40950",
    );
    demand(
        !router.addresses.is_empty() && router.addresses.iter().all(own_family),
        "addresses",
        "the virtual addresses are missing or not all of the source address's IP version",
        "make one router for IPv4 and one for IPv6",
    );
    demand(
        router.peers.iter().all(own_family),
        "peers",
        "a peer is of another IP version than the source address",
        "list the peers' addresses of the same IP version",
    );
    demand(
        !router.peers.contains(&router.source_address),
        "peers",
        "the node's own address is among its peers",
        "list the other nodes only",
    );
    demand(
        !router.addresses.contains(&router.source_address),
        "addresses",
        "a virtual address is the node's own address",
        "use an address that belongs to no node",
    );
    let interface = router.interface.as_deref().unwrap_or("eth0");
    demand(
        (1..=15).contains(&interface.len())
            && !interface.contains(|c: char| c.is_whitespace() || c == '/'),
        "interface",
        "not the name of an interface",
        "use at most 15 characters without blanks and `/`",
    );
}

pub(super) fn proxy(config: &ProxyConfig, places: &mut Places<'_, '_, '_>) {
    admin(&config.admin, places);
    places.demand(
        !config.frontends.is_empty(),
        &["frontends"],
        "no front end is listed",
        "list at least one address to listen on",
    );
    for (index, frontend) in config.frontends.iter().enumerate() {
        let at = index.to_string();
        places.demand(
            frontend.port > 0,
            &["frontends", &at, "port"],
            "the port is 0",
            "write 1 to 65535",
        );
        let earlier = &config.frontends[..index];
        let twin = earlier
            .iter()
            .any(|other| (other.address, other.port) == (frontend.address, frontend.port));
        places.demand(
            !twin,
            &["frontends", &at, "port"],
            "two front ends listen on the same address and port",
            "remove one of them",
        );
        places.demand(
            !earlier.iter().any(|other| other.name == frontend.name),
            &["frontends", &at, "name"],
            "two front ends have the same name",
            "names tell them apart in metrics: rename one",
        );
    }
    for (index, server) in config.backend.servers.iter().enumerate() {
        let at = index.to_string();
        let earlier = &config.backend.servers[..index];
        places.demand(
            server.port > 0,
            &["backend", "servers", &at, "port"],
            "the port is 0",
            "write 1 to 65535",
        );
        places.demand(
            !earlier.iter().any(|other| other.name == server.name),
            &["backend", "servers", &at, "name"],
            "two servers have the same name",
            "names tell them apart in metrics: rename one",
        );
    }
    proxy_options(config, places);
    let check = &config.backend.check;
    places.demand(
        check.kind == CheckKind::Tcp || check.path.starts_with('/'),
        &["backend", "check", "path"],
        "the path does not begin with `/`",
        "write it as `/readyz`",
    );
    places.demand(
        check.kind != CheckKind::Https || check.ca_file.is_some(),
        &["backend", "check"],
        "an HTTPS check needs `caFile`",
        "name the PEM file with the CA of the servers' certificates",
    );
    places.demand(
        check.timeout_millis > 0,
        &["backend", "check", "timeoutMillis"],
        "the timeout is 0",
        "write milliseconds, such as 2000",
    );
    timing(
        &["backend", "check"],
        check.interval_millis,
        check.fall,
        check.rise,
        places,
    );
    places.demand(
        config.max_connections > 0,
        &["maxConnections"],
        "no connection is allowed",
        "write the number of sessions at the same time, such as 40000",
    );
    places.demand(
        config.timeouts.connect_millis > 0,
        &["timeouts", "connectMillis"],
        "the timeout is 0",
        "write milliseconds, such as 2000",
    );
}

/// What a plain file does not say.
fn proxy_options(config: &ProxyConfig, places: &mut Places<'_, '_, '_>) {
    places.demand(
        config
            .threads
            .is_none_or(|threads| (1..=4).contains(&threads)),
        &["threads"],
        "not a number of threads that helps",
        "write 1 to 4, or nothing: one per core, at most two",
    );
    let backend = &config.backend;
    places.demand(
        backend.servers.len() <= 64,
        &["backend", "servers"],
        "more than 64 servers",
        "every connection looks through all of them: list at most 64",
    );
    for (index, server) in backend.servers.iter().enumerate() {
        let at = index.to_string();
        let mut demand = |holds: bool, key: &str, message: &str, hint: &str| {
            places.demand(holds, &["backend", "servers", &at, key], message, hint);
        };
        demand(
            !config
                .frontends
                .iter()
                .any(|frontend| (frontend.address, frontend.port) == (server.address, server.port)),
            "address",
            "the server is one of the front ends: the proxy would talk to itself",
            "write the address of the API server",
        );
        demand(
            (1..=256).contains(&server.weight),
            "weight",
            "not a weight",
            "write 1 to 256; twice the weight gets twice the sessions",
        );
        demand(
            server.max_connections != Some(0),
            "maxConnections",
            "no session is allowed",
            "write at least 1, or nothing for no limit",
        );
    }
    places.demand(
        backend.preconnect <= 4,
        &["backend", "preconnect"],
        "too many connections opened ahead",
        "write 0 to 4: they are per server and thread",
    );
    let limits = &config.source_limits;
    for (key, limit) in [
        ("connections", limits.connections),
        ("perSecond", limits.per_second),
    ] {
        places.demand(
            limit != Some(0),
            &["sourceLimits", key],
            "nobody could connect",
            "write at least 1, or nothing for no limit",
        );
    }
}

fn timing(path: &[&str], interval: u32, fall: u32, rise: u32, places: &mut Places<'_, '_, '_>) {
    for (key, value) in [("intervalMillis", interval), ("fall", fall), ("rise", rise)] {
        let path: Vec<&str> = path.iter().copied().chain([key]).collect();
        places.demand(value > 0, &path, "the value is 0", "write at least 1");
    }
}

fn admin(text: &str, places: &mut Places<'_, '_, '_>) {
    places.demand(
        text.parse::<SocketAddr>().is_ok(),
        &["admin"],
        "not an address with a port",
        "write it as `127.0.0.1:11003`",
    );
}

/// `SCHEME://ip:port/path`: names are never resolved on a node.
fn is_url(text: &str, scheme: &str) -> bool {
    text.strip_prefix(scheme)
        .and_then(|rest| rest.split_once('/'))
        .is_some_and(|(authority, _)| authority.parse::<SocketAddr>().is_ok())
}
