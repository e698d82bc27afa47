//! Stable codes of diagnostics. A code, once published, keeps its meaning; texts may change.

use std::fmt;

macro_rules! codes {
    ($($code:ident $title:literal)*) => {
        /// What a diagnostic is about.
        ///
        /// `V…` are the rules of the cluster file format, `Y…` traps of YAML, `F…` rules that hold for any
        /// field, `E…` rules of the extension keys and of this product.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $title] $code,)*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];

            /// The code as printed: `V05`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$code => stringify!($code),)* }
            }

            /// The rule in one sentence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$code => $title,)* }
            }
        }
    };
}

codes! {
    V01 "Unknown or misplaced keys are errors."
    V02 "The text must be YAML."
    V03 "`mode` is `bundled` or `manual`, `type` is `layer2` or `bgp`."
    V04 "`controlPlaneVIP` is present and an IPv4 address."
    V05 "`controlPlaneVIP` lies outside every address pool."
    V06 "`ingressVIP` is not allowed in admin clusters."
    V07 "`ingressVIP` lies inside an address pool."
    V08 "`addressPools` needs bundled mode and a cluster that is not an admin cluster."
    V09 "`loadBalancer.nodePoolSpec` needs bundled mode."
    V10 "Address ranges do not overlap, within a pool and between pools."
    V11 "A range is a CIDR or `start-end` without blanks."
    V12 "Pool addresses lie in the subnet of the load balancer nodes."
    V13 "VIPs lie in the subnet of the load balancer nodes."
    V14 "Load balancer and control-plane nodes share one layer-2 network."
    V15 "A machine is in one node pool only."
    V16 "Node addresses are unique against every other node's."
    V17 "`k8sIP` cannot be changed."
    V18 "Pod and Service ranges do not overlap nodes, VIPs, pools or each other."
    V19 "Pod ranges are /18 to /8, Service ranges /24 to /12 and may only grow."
    V20 "`controlPlane.loadBalancer.mode: manual` needs `loadBalancer.mode: manual`."
    V21 "Pools can be added, not removed, renamed or moved."
    V22 "Mode, type, VIPs, the API port and the cluster type cannot be changed."
    V23 "A load balancer pool cannot be added later, but for the one move of the control-plane load balancer."
    V24 "Control-plane and load balancer pools have no `upgradeStrategy`."
    V25 "`type: bgp` needs `localASN`, a peer for each control-plane node and `advancedNetworking`."
    V26 "With `type: bgp`, VIPs lie outside the nodes' subnet."
    V27 "The nodes are reached over SSH with a key, as root or with passwordless sudo."
    V28 "`sshPrivateKeyPath` names a private key."
    V29 "Cluster names have at most 45 characters."
    V30 "Admin clusters have no worker pools."
    V31 "The cluster's namespace cannot be changed."
    V32 "VIPs differ from each other, and no node has an address of a VIP or a pool."
    V33 "`controlPlaneLBPort` is free on the load balancer nodes."
    V34 "A VIP is a usable host address."
    V35 "Some pool gives addresses to Services that ask for none."
    V36 "`ingressVIP` is not an address that `avoidBuggyIPs` leaves out."
    Y01 "A key stands once in its mapping."
    Y02 "Indentation is made of spaces."
    Y03 "Truth values are `true` and `false`; other words that YAML 1.1 takes for them need quotes."
    Y04 "Numbers are plain decimal numbers."
    Y05 "Anchors, aliases and merge keys are not supported."
    Y06 "Nesting is bounded."
    Y07 "The file's size is bounded."
    Y08 "Tags and directives are not supported."
    Y09 "Keys are text."
    Y10 "Spaces are plain spaces; no character is invisible."
    F01 "A required key is missing."
    F02 "A value is of another kind than the key wants."
    F03 "A word is not one of the allowed ones."
    F04 "A number is out of range."
    F05 "A value is malformed."
    F06 "A key is accepted and not used."
    F07 "Documents of one file contradict each other."
    F08 "A document is missing, doubled or of an unknown kind."
    F09 "An entry is listed twice."
    F10 "A range is written with host bits set."
    F11 "A setting that cannot be changed on a live cluster."
    E01 "Not supported yet."
    E02 "An even number of control-plane nodes tolerates no more failures than one less."
    E03 "One load balancer node has nobody to hand a VIP to."
    E04 "A setting has no effect here."
    E05 "Time settings do not fit each other."
    E06 "The virtual router id is a common default of other programs."
    E07 "More load balancer nodes than VRRP has priorities."
    E08 "A maintenance block matches no node."
    E09 "Control-plane nodes change one at a time."
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
