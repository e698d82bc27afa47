use super::*;

const REPORT: &str = "\
format=1
hostname=cp1
arch=x86_64
kernel=6.1.0
now=1700000000
uid=0
os_name=Debian GNU/Linux 12 (bookworm)
init=systemd
cgroup=1
capabilities=000001fffeffffff
ip_forward=0
conntrack=read-only
kernel_config=absent
swap=/dev/sda2
disk_free_kib=1000000
nameserver=10.10.0.1
program=ip /usr/sbin/ip
address=lo 127.0.0.1/8
address=eth0 10.10.0.11/24
address=eth0 fe80::1/64
listen=0.0.0.0:22 sshd 412
listen=*:443 nginx 900
listen=[::1]:6444 - 0
listen=127.0.0.53%lo:53 systemd-resolve 1
containerd=1.6.20~ds1
containerd_active=active
containerd_config=distribution
image=docker.io/library/lbnode:0.1.0 sha256:abc
cni_plugin=/usr/lib/cni ptp
cni_plugin=/usr/lib/cni loopback
kubeconfig=kubelet https://10.10.0.100:443
manifest=etcd
file=sha256:aa 755 42 /usr/local/bin/kube
end=1
";

#[test]
fn a_report_is_read_whole() {
    let facts = Facts::parse(REPORT).expect("the report is complete");
    assert_eq!(
        (facts.hostname.as_str(), facts.architecture.as_str()),
        ("cp1", "amd64")
    );
    let node: IpAddr = "10.10.0.11".parse().expect("an address");
    assert_eq!(
        facts.interface_of(node).map(|(name, _)| name.as_str()),
        Some("eth0")
    );
    assert!(facts.oom_score_restricted() && facts.system_verification_impossible());
    assert!(facts.half_done());
    assert_eq!(
        facts.cni_directory(&["ptp", "loopback"]),
        Some("/usr/lib/cni")
    );
    assert_eq!(facts.cni_directory(&["host-local"]), None);
    assert_eq!(facts.files["/usr/local/bin/kube"].inode, 42);
    assert_eq!(facts.listeners[1].process, Some(("nginx".to_owned(), 900)));
}

#[test]
fn a_cut_report_is_refused() {
    let cut = REPORT.replace("end=1\n", "");
    assert_eq!(Facts::parse(&cut), Err(ReportFailure::Truncated));
    assert_eq!(
        Facts::parse("cgroup=two\nend=1"),
        Err(ReportFailure::Line("cgroup=two".to_owned()))
    );
}

#[test]
fn a_port_is_taken_on_every_address_or_on_one() {
    let facts = Facts::parse(REPORT).expect("the report is complete");
    let vip: IpAddr = "10.10.0.100".parse().expect("an address");
    assert!(facts.listeners[1].clashes(Some(vip), 443));
    assert!(facts.listeners[2].clashes(None, 6444));
    assert!(!facts.listeners[2].clashes(Some(vip), 6444));
    assert!(!facts.listeners[0].clashes(None, 443));
}

#[test]
fn what_a_machine_is_made_of_is_read() {
    let report = "os_id=rocky\nos_like=rhel centos fedora\nprocessors=4\nmemory_kib=2000000\n\
        controllers=cpu memory pids\nkernel_lacks=nf_tables\ndisk=/var/lib/etcd 4096\nnoexec=/tmp\n\
        umask=0077\nselinux=enforcing\nend=1\n";
    let facts = Facts::parse(report).expect("complete");
    assert_eq!(facts.host.os_ids, ["rocky", "rhel", "centos", "fedora"]);
    assert_eq!(
        (facts.host.processors, facts.host.memory_kib),
        (4, 2_000_000)
    );
    assert!(facts.host.controllers.contains("pids"));
    assert!(facts.host.kernel_lacks.contains("nf_tables") && facts.host.noexec.contains("/tmp"));
    assert_eq!(
        (facts.host.umask, facts.host.selinux_enforcing),
        (Some(0o77), true)
    );
    assert_eq!(
        facts.free_kib("/var/lib/etcd/member"),
        ("/var/lib/etcd", 4096)
    );
    assert_eq!(facts.free_kib("/var/lib/etcd2"), ("/", 0));
    for bad in ["processors=many", "umask=9", "disk=/x", "memory_kib=-1"] {
        let report = format!("{bad}\nend=1");
        assert_eq!(
            Facts::parse(&report),
            Err(ReportFailure::Line(bad.to_owned()))
        );
    }
}

#[test]
fn interfaces_with_dots_and_the_setting_for_all_are_understood() {
    let report = "address=bond0.100 10.10.0.11/24\ngateway=bond0.100 10.10.0.1\nconf=all 0 1 2\n\
        conf=bond0.100 1 0 0\nway_out=ppp0\nmac=02:00:0a:0a:00:0b\nipvs=present\nlisten_udp=*:7946 speaker 12\nservice=ufw\n\
        static_pod=kube-vip.yaml\nend=1\n";
    let facts = Facts::parse(report).expect("complete");
    let wiring = &facts.wiring;
    assert_eq!(wiring.gateway_on("bond0.100"), Some([10, 10, 0, 1].into()));
    assert_eq!(wiring.gateway_on("bond0"), None);
    assert_eq!(wiring.exits().collect::<Vec<_>>(), ["bond0.100", "ppp0"]);
    assert!(wiring.macs.contains("02:00:0a:0a:00:0b"));
    let settings = wiring.in_force("bond0.100");
    let numbers = (
        settings.rp_filter,
        settings.arp_ignore,
        settings.arp_announce,
    );
    assert_eq!(numbers, (1, 1, 2));
    assert_eq!(wiring.udp[0].process, Some(("speaker".to_owned(), 12)));
    assert!(wiring.ipvs && wiring.services.contains("ufw"));
    assert!(wiring.static_pods.contains("kube-vip.yaml"));
    assert_eq!(
        Facts::parse("conf=eth0 1 x 0\nend=1"),
        Err(ReportFailure::Line("conf=eth0 1 x 0".to_owned()))
    );
}
