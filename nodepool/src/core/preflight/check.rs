//! The names of the checks, in the order in which they are shown.

use serde::{Serialize, Serializer};

macro_rules! checks {
    ($($check:ident $name:literal $title:literal)*) => {
        /// One thing that is checked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Check {
            $(#[doc = $title] $check,)*
        }

        impl Check {
            /// Every check, in order.
            pub const ALL: &'static [Self] = &[$(Self::$check),*];

            /// Its stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$check => $name,)* }
            }

            /// What must be so.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$check => $title,)* }
            }
        }
    };
}

checks! {
    Ssh "ssh" "The machine is reached with the key."
    Sudo "sudo" "The login user may run commands as root."
    Shell "shell" "The machine says what is true on it."
    Os "os" "The distribution is one that is known."
    Systemd "systemd" "systemd runs."
    Kernel "kernel" "The kernel is new enough."
    KernelFeatures "kernel-features" "The kernel has what kube-proxy, containerd and lbnode use."
    Cgroup "cgroup" "The cgroup controllers of Kubernetes are there."
    Resources "resources" "There are processors and memory enough."
    Disk "disk" "There is space enough."
    Swap "swap" "Swap is off."
    Clock "clock" "All clocks agree."
    Umask "umask" "New files can be read by others."
    Noexec "noexec" "Programs can run from where they are put."
    Selinux "selinux" "SELinux does not refuse what the load balancer does."
    Programs "programs" "The programs that lbctl uses are there."
    Hostname "hostname" "Each machine has a name of its own."
    Resolver "resolver" "There is a name server."
    Containerd "containerd" "containerd is there."
    ContainerdConfig "containerd-config" "containerd's configuration suits Kubernetes, or may be replaced."
    Kubeadm "kubeadm" "kubeadm and kubelet are there, or come."
    VersionSkew "version-skew" "The versions of Kubernetes' programs and of containerd go together."
    BundleArchitecture "bundle-architecture" "The bundle is for this kind of machine."
    LbnodeArchitecture "lbnode-architecture" "lbnode is for this kind of machine."
    CniPlugins "cni-plugins" "The CNI plugins are there."
    Membership "membership" "The machine belongs to no other cluster."
    OtherBalancer "other-load-balancer" "No other program keeps virtual addresses or balances."
    Ports "ports" "The ports are free."
    Firewall "firewall" "No firewall is in the way."
    RpFilter "rp-filter" "Answers may leave another way than questions came."
    StrictArp "strict-arp" "kube-proxy does not answer ARP for Services."
    NodeAddress "node-address" "The machine has its address, on the interface of the file."
    DefaultRoute "default-route" "There is a way out of the node's network."
    SameNetwork "same-network" "Load balancer and control-plane nodes are in one network."
    VipSubnet "vip-subnet" "The virtual IPs are addresses of that network, and nobody's own."
    PoolSubnet "pool-subnet" "The pools' addresses are too."
    CidrOverlap "cidr-overlap" "Pod and Service ranges are used by nobody else."
    Probe "network-probe" "lbnode can look at the network from the machine."
    LayerTwo "layer-2" "Load balancer nodes reach each other without a router."
    Gateway "gateway" "The gateway answers."
    VrrpProtocol "protocol-112" "Adverts (IP protocol 112) pass in both directions."
    VirtualRouters "virtual-routers" "No other virtual router has the ID or an address."
    Heartbeat "heartbeat-port" "Heartbeats (UDP 7946) pass in both directions."
    VipFree "vip-free" "Nobody has a virtual IP."
    VipClaim "vip-claim" "A virtual IP that the node claims is found there by the others."
    VipGateway "vip-gateway" "The gateway brings packets for it there too."
    ApiFront "api-front" "A load balancer of somebody else leads from the virtual IP to every API server."
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_plain_words_and_each_is_one_checks() {
        let names: BTreeSet<&str> = Check::ALL.iter().map(|check| check.name()).collect();
        assert_eq!(names.len(), Check::ALL.len());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(
            names.iter().all(|name| name.chars().all(plain)),
            "{names:?}"
        );
    }

    #[test]
    fn every_check_is_in_the_manual() {
        let manual = include_str!("../../../../docs/preflight.md");
        for check in Check::ALL {
            assert!(
                manual.contains(&format!("| `{}` |", check.name())),
                "{} is not in docs/preflight.md",
                check.name()
            );
        }
    }
}
