use super::*;

#[test]
fn each_fault_is_named_once_with_its_cause() {
    type Case = (&'static str, &'static str, fn(&mut Facts));
    let cases: [Case; 51] = [
        ("systemd", "process 1 is `init`", |f| {
            f.init = "init".to_owned()
        }),
        ("programs", "`ss` is missing", |f| {
            drop(f.programs.remove("ss"))
        }),
        ("swap", "swap is on: /dev/sda2", |f| {
            f.swap.push("/dev/sda2".to_owned())
        }),
        ("disk", "100 MiB are free", |f| f.disk_free_kib = 102_400),
        ("hostname", "the host name is `localhost`", |f| {
            f.hostname = "localhost".to_owned()
        }),
        ("hostname", "10.10.0.11 and 10.10.0.12 have the same", |f| {
            f.hostname = "m0".to_owned()
        }),
        ("resolver", "no name server", |f| f.nameservers.clear()),
        (
            "lbnode-architecture",
            "is arm64, `lbnode` is for amd64",
            |f| f.architecture = "arm64".to_owned(),
        ),
        ("kubeadm", "nor are kubeadm and kubelet", |f| {
            f.kubelet = None
        }),
        (
            "version-skew",
            "kubeadm v1.35.0 is older than the control planes' v1.36.3",
            |f| f.kubeadm = Some("v1.35.0".to_owned()),
        ),
        (
            "version-skew",
            "kubelet v1.37.0 is newer than the API servers' v1.36.3",
            |f| f.kubelet = Some("v1.37.0".to_owned()),
        ),
        (
            "version-skew",
            "kubelet v1.32.1 is more than 3 minor versions older than the API servers' v1.36.3",
            |f| f.kubelet = Some("v1.32.1".to_owned()),
        ),
        ("version-skew", "containerd v1.5.9 is too old", |f| {
            f.containerd.version = Some("1.5.9~ds1".to_owned())
        }),
        ("version-skew", "kubectl v1.30.0 is more than one", |f| {
            f.supply.kubectl = Some("v1.30.0".to_owned())
        }),
        ("cni-plugins", "the CNI plugins", |f| f.cni_plugins.clear()),
        ("containerd", "not installed", |f| {
            f.containerd.version = None
        }),
        ("containerd-config", "was edited", |f| {
            f.containerd.config = ConfigOwner::Edited
        }),
        (
            "node-address",
            "does not have the address 10.10.0.12",
            |f| f.addresses.clear(),
        ),
        ("clock", "its clock is 60 s off", |f| f.now += 60),
        ("membership", "belongs to the cluster `other`", |f| {
            f.member = Some(Membership {
                cluster: "other".to_owned(),
                role: "control-plane".to_owned(),
            });
        }),
        ("membership", "a cluster at https://10.9.9.9:443", |f| {
            f.kubeconfigs
                .insert("admin".to_owned(), "https://10.9.9.9:443".to_owned());
        }),
        (
            "vip-free",
            "is configured on the machine's interface eth1",
            |f| {
                f.addresses.push((
                    "eth1".to_owned(),
                    "10.10.0.100/32".parse().expect("an address"),
                ));
            },
        ),
        ("os", "not one that is known: Plan 9", |f| {
            f.os = "Plan 9".to_owned();
            f.host.os_ids.clear();
        }),
        ("kernel", "its kernel is 5.4.0-150-generic", |f| {
            f.kernel = "5.4.0-150-generic".to_owned()
        }),
        ("kernel", "its kernel is 5.15.0-1", |f| {
            f.kernel = "5.15.0-1".to_owned()
        }),
        ("kernel-features", "has no nf_tables, overlay", |f| {
            let lacks = ["overlay", "nf_tables"].map(str::to_owned);
            f.host.kernel_lacks.extend(lacks);
        }),
        ("cgroup", "the cgroup controllers memory are off", |f| {
            f.host
                .controllers
                .extend(["cpu", "pids"].map(str::to_owned));
        }),
        ("cgroup", "cgroup v1", |f| f.cgroup = 1),
        ("resources", "1 processor,", |f| f.host.processors = 1),
        ("resources", "976 MiB of memory", |f| {
            f.host.memory_kib = 1_000_000
        }),
        ("disk", "100 MiB are free on /var/lib/etcd, 1024", |f| {
            f.host.disks.insert("/var/lib/etcd".to_owned(), 102_400);
        }),
        ("disk", "2048 MiB are free on /var, 3072", |f| {
            f.host.disks.insert("/var".to_owned(), 2 << 20);
        }),
        ("umask", "umask is 0077", |f| f.host.umask = Some(0o077)),
        ("noexec", "there is no place to run a probe from", |f| {
            let refuse = ["/run", "/var/tmp", "/root", "/tmp"].map(str::to_owned);
            f.host.noexec.extend(refuse);
        }),
        ("noexec", "/var/lib/containerd is mounted noexec", |f| {
            f.host.noexec.insert("/var/lib/containerd".to_owned());
        }),
        ("selinux", "SELinux is enforcing", |f| {
            f.host.selinux_enforcing = true
        }),
        ("firewall", "ufw is on", |f| {
            f.wiring.services.insert("ufw".to_owned());
        }),
        ("firewall", "firewalld runs", |f| {
            f.wiring.services.insert("firewalld".to_owned());
        }),
        (
            "other-load-balancer",
            "the service `keepalived` runs",
            |f| {
                f.wiring.services.insert("keepalived".to_owned());
            },
        ),
        (
            "other-load-balancer",
            "the static pod `kube-vip.yaml`",
            |f| {
                f.wiring.static_pods.insert("kube-vip.yaml".to_owned());
            },
        ),
        (
            "rp-filter",
            "strict on eth0, and the machine has several interfaces: eth0, bond0.100",
            |f| {
                f.addresses
                    .push(("bond0.100".to_owned(), net("192.168.7.2/24")));
                f.wiring
                    .settings
                    .insert("all".to_owned(), settings(1, 0, 0));
            },
        ),
        ("strict-arp", "IPVS mode without `strictARP`", |f| {
            f.wiring.ipvs = true;
            f.wiring
                .settings
                .insert("all".to_owned(), settings(0, 1, 1));
        }),
        ("default-route", "no default route", |f| {
            f.wiring.gateways.clear()
        }),
        (
            "default-route",
            "leaves through eth1, not through eth0",
            |f| {
                f.wiring.gateways[0].0 = "eth1".to_owned();
            },
        ),
        ("vip-subnet", "10.10.0.100 is the node's gateway", |f| {
            f.wiring.gateways[0].1 = [10, 10, 0, 100].into();
        }),
        ("same-network", "the node is in 10.10.0.0/16", |f| {
            f.addresses[0].1 = net("10.10.0.12/16");
        }),
        (
            "cidr-overlap",
            "the Pod range 10.244.0.0/16 overlaps 10.244.3.1/24 on docker0",
            |f| {
                f.addresses
                    .push(("docker0".to_owned(), net("10.244.3.1/24")));
            },
        ),
        (
            "cidr-overlap",
            "the Service range 10.96.0.0/16 overlaps the server 10.96.0.10",
            |f| {
                f.nameservers.push("10.96.0.10".to_owned());
            },
        ),
        (
            "ports",
            "port 7946/udp is taken by `memberlist` (pid 7)",
            |f| {
                f.wiring.udp.push(listen(7946, "memberlist"));
            },
        ),
        ("ports", "port 10256 is taken by `kube-proxy`", |f| {
            f.listeners.push(listen(10256, "kube-proxy"));
        }),
        ("ports", "port 11004 is taken by `speaker`", |f| {
            f.listeners.push(listen(11004, "speaker"));
        }),
    ];
    for (check, cause, spoil) in cases {
        let found = findings(spoil);
        assert_eq!(found.len(), 1, "{check}: {found:?}");
        assert_eq!(found[0].0, check);
        assert!(found[0].1.contains(cause), "{found:?}");
    }
}

#[test]
fn what_is_no_fault_is_not_named() {
    type Case = (&'static str, fn(&mut Facts));
    let cases: [Case; 7] = [
        ("a VLAN's interface", |f| {
            f.addresses[0].0 = "bond0.100".to_owned();
            f.wiring.gateways[0].0 = "bond0.100".to_owned();
        }),
        ("strict rp_filter with one interface", |f| {
            f.wiring
                .settings
                .insert("eth0".to_owned(), settings(1, 0, 0));
        }),
        ("loose rp_filter with two", |f| {
            f.addresses.push(("eth1".to_owned(), net("192.168.7.2/24")));
            f.wiring
                .settings
                .insert("eth0".to_owned(), settings(2, 0, 0));
        }),
        ("strict ARP", |f| {
            f.wiring.ipvs = true;
            f.wiring
                .settings
                .insert("all".to_owned(), settings(0, 1, 2));
        }),
        ("noexec /tmp", |f| {
            f.host.noexec.insert("/tmp".to_owned());
        }),
        ("a full disk of its own for /var/log", |f| {
            f.host.disks.insert("/var/log".to_owned(), 1);
        }),
        ("a derivative", |f| {
            f.host.os_ids = ["linuxmint", "ubuntu"].map(str::to_owned).into();
        }),
    ];
    for (what, change) in cases {
        assert_eq!(findings(change), [], "{what}");
    }
}
