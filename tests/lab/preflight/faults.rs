//! The faults that preflight must name.

use lab_tests::{Machine, Place};

/// A fault: shell words in a place that make it and take it back, and what must be found.
pub(super) struct Fault {
    pub(super) place: fn() -> Place,
    pub(super) make: &'static str,
    pub(super) undo: &'static str,
    /// Host name of the machine that has the finding.
    pub(super) node: &'static str,
    pub(super) check: &'static str,
    pub(super) severity: &'static str,
    /// Part of the cause.
    pub(super) cause: &'static str,
}

fn second() -> Place {
    Machine::cp(2).into()
}

/// Made by SSH on the machine itself.
pub(super) const MACHINE: &[Fault] = &[
    Fault {
        place: second,
        make: "mkdir -p /etc/ufw && echo ENABLED=yes >/etc/ufw/ufw.conf && ln -s /bin/true /usr/local/sbin/ufw",
        undo: "rm -r /etc/ufw /usr/local/sbin/ufw",
        node: "cp2",
        check: "firewall",
        severity: "FAIL",
        cause: "ufw",
    },
    Fault {
        place: second,
        make: "ip link add kube-ipvs0 type bridge",
        undo: "ip link del kube-ipvs0",
        node: "cp2",
        check: "strict-arp",
        severity: "FAIL",
        cause: "strictARP",
    },
    Fault {
        place: second,
        make: "ip link add eth0.7 type bridge && ip addr add 192.168.7.2/24 dev eth0.7 && sysctl -qw net/ipv4/conf/eth0/rp_filter=1",
        undo: "ip link del eth0.7; sysctl -qw net/ipv4/conf/eth0/rp_filter=0",
        node: "cp2",
        check: "rp-filter",
        severity: "WARN",
        cause: "eth0.7",
    },
    Fault {
        place: second,
        make: "ip link add docker0 type bridge && ip addr add 10.244.3.1/24 dev docker0",
        undo: "ip link del docker0",
        node: "cp2",
        check: "cidr-overlap",
        severity: "FAIL",
        cause: "10.244.3.1/24 on docker0",
    },
    Fault {
        place: second,
        make: "ip route del default",
        undo: "ip route add default via 10.10.0.1",
        node: "cp2",
        check: "default-route",
        severity: "WARN",
        cause: "no default route",
    },
    Fault {
        place: second,
        make: "mount --bind /opt /opt && mount -o remount,bind,noexec /opt",
        undo: "umount /opt",
        node: "cp2",
        check: "noexec",
        severity: "FAIL",
        cause: "/opt is mounted noexec",
    },
    Fault {
        place: second,
        make: "mount -t tmpfs -o size=1m tmpfs /var/lib/etcd",
        undo: "umount /var/lib/etcd",
        node: "cp2",
        check: "disk",
        severity: "FAIL",
        cause: "free on /var/lib/etcd",
    },
    Fault {
        place: second,
        make: "systemd-run --quiet --collect --unit=keepalived sleep infinity",
        undo: "systemctl stop keepalived",
        node: "cp2",
        check: "other-load-balancer",
        severity: "WARN",
        cause: "keepalived",
    },
    Fault {
        place: second,
        make: "systemd-run --quiet --collect --unit=squatter socat UDP-LISTEN:7946,fork EXEC:cat; sleep 1",
        undo: "systemctl stop squatter",
        node: "cp2",
        check: "ports",
        severity: "FAIL",
        cause: "7946/udp is taken by `socat",
    },
];

/// Made in the place's network namespace, with the host's programs.
pub(super) const NETWORK: &[Fault] = &[
    Fault {
        place: second,
        make: "nft 'table ip pf { chain in { type filter hook input priority 0; ip saddr 10.10.0.11 ip protocol 112 drop; }; }'",
        undo: "nft 'delete table ip pf'",
        node: "cp2",
        check: "protocol-112",
        severity: "FAIL",
        cause: "do not arrive from cp1 (10.10.0.11); in the other direction they pass",
    },
    Fault {
        place: second,
        make: "nft 'table ip pf { chain in { type filter hook input priority 0; udp dport 7946 drop; }; }'",
        undo: "nft 'delete table ip pf'",
        node: "cp2",
        check: "heartbeat-port",
        severity: "FAIL",
        cause: "do not arrive from cp1 (10.10.0.11), cp3 (10.10.0.13)",
    },
    Fault {
        place: || Place::Switch,
        make: "nft 'table bridge pf { chain f { type filter hook forward priority 0; arp saddr ip 10.10.0.12 arp daddr ip 10.10.0.13 drop; arp saddr ip 10.10.0.13 arp daddr ip 10.10.0.12 drop; }; }'",
        undo: "nft 'delete table bridge pf'",
        node: "cp2",
        check: "layer-2",
        severity: "FAIL",
        cause: "no answer to ARP on eth0 from cp3 (10.10.0.13)",
    },
    Fault {
        place: || Place::Client,
        make: "ip addr add 10.10.0.13/32 dev eth0",
        undo: "ip addr del 10.10.0.13/32 dev eth0",
        node: "cp2",
        check: "layer-2",
        severity: "FAIL",
        cause: "02:00:0a:0a:00:32",
    },
    Fault {
        place: || Place::Client,
        make: "ip addr add 10.10.0.100/32 dev eth0",
        undo: "ip addr del 10.10.0.100/32 dev eth0",
        node: "cp2",
        check: "vip-free",
        severity: "FAIL",
        cause: "02:00:0a:0a:00:32 answers for it",
    },
    Fault {
        place: || Place::Switch,
        make: "nft 'table bridge pf { chain f { type filter hook forward priority 0; arp saddr ip 10.10.0.100 drop; }; }'",
        undo: "nft 'delete table bridge pf'",
        node: "cp2",
        check: "vip-claim",
        severity: "FAIL",
        cause: "it claims 10.10.0.100, but",
    },
    Fault {
        place: || Place::Router,
        make: "ip neigh replace 10.10.0.100 lladdr 02:00:0a:0a:00:0b dev eth0 nud permanent",
        undo: "ip neigh del 10.10.0.100 dev eth0",
        node: "cp2",
        check: "vip-gateway",
        severity: "FAIL",
        cause: "does not bring packets for 10.10.0.100 to cp2",
    },
    Fault {
        place: || Place::Router,
        make: "ip link set eth0 arp off",
        undo: "ip link set eth0 arp on",
        node: "cp2",
        check: "gateway",
        severity: "WARN",
        cause: "the gateway 10.10.0.1 does not answer ARP",
    },
    // Another cluster's router with the VIP, for half a minute: keepalived in its own place.
    Fault {
        place: || Place::Client,
        make: "printf 'vrrp_instance x {\\n state BACKUP\\n interface eth0\\n virtual_router_id 77\\n priority 90\\n advert_int 1\\n version 3\\n virtual_ipaddress {\\n 10.10.0.100/32\\n }\\n}\\n' >/tmp/preflight-keepalived.conf && timeout 60 keepalived --dont-fork --vrrp --use-file=/tmp/preflight-keepalived.conf --pid=/tmp/preflight-keepalived.pid --vrrp_pid=/tmp/preflight-vrrp.pid >/dev/null 2>&1 & sleep 5",
        undo: "kill $(cat /tmp/preflight-keepalived.pid); rm -f /tmp/preflight-keepalived.conf; sleep 1",
        node: "cp2",
        check: "virtual-routers",
        severity: "FAIL",
        cause: "10.10.0.50 announces 10.10.0.100",
    },
];
