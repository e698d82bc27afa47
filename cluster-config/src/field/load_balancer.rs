//! `spec.loadBalancer`.

use super::nodes::LOAD_BALANCER_POOL;
use super::{Field, Format, Rule, Shape, Touch, int, list, some, word};
use crate::code::Code;

const POOL_RULE: Rule =
    Rule::Special("pools can be added, not removed, renamed or given other addresses");

/// `spec.loadBalancer.ports`.
const PORTS: &[Field] = &[
    Field::new(
        "controlPlaneLBPort",
        int(1, 65_535),
        "Port of the API on the VIP.",
    )
    .required()
    .fixed(Code::V22),
    Field::new(
        "apiServerPort",
        int(1, 65_535),
        "Port of the API servers themselves; a cluster that kubeadm made by itself has 6443.",
    )
    .default("6444")
    .fixed(Code::V22)
    .extension(),
];

/// `spec.loadBalancer`.
pub(super) const LOAD_BALANCER: &[Field] = &[
    Field::new(
        "mode",
        word(&["bundled", "manual"]),
        "`bundled`: the load balancers run on nodes of the cluster. `manual`: yours is used, nothing is installed.",
    )
    .required()
    .fixed(Code::V22)
    .code(Code::V03),
    Field::new(
        "type",
        word(&["layer2", "bgp"]),
        "How VIPs are announced: ARP and NDP, or BGP (not supported yet).",
    )
    .default("layer2")
    .fixed(Code::V22)
    .code(Code::V03),
    Field::new(
        "ports",
        Shape::Map(PORTS),
        "Ports.",
    )
    .required(),
    Field::new("vips", Shape::Map(VIPS), "Virtual addresses.").required(),
    Field::new(
        "addressPools",
        list(&Shape::Map(ADDRESS_POOL)),
        "Addresses for Services of type LoadBalancer.",
    )
    .rule(POOL_RULE),
    Field::new(
        "nodePoolSpec",
        Shape::Map(LOAD_BALANCER_POOL),
        "A pool of nodes for the load balancers; without it they run on the control-plane nodes.",
    )
    .rule(Rule::Special(
        "cannot be added to or removed from a cluster, but for the one move of the control-plane load balancer",
    )),
    Field::new(
        "localASN",
        Shape::IntOrText { min: 1, max: 4_294_967_295 },
        "Own AS number, with `type: bgp`.",
    )
    .touches(Touch::LoadBalancers),
    Field::new(
        "bgpPeers",
        list(&Shape::Map(BGP_PEER)),
        "BGP peers of the control plane, with `type: bgp`.",
    )
    .fixed(Code::F11),
    Field::new(
        "vrrp",
        Shape::Map(VRRP),
        "The virtual router that owns the control-plane VIP.",
    )
    .extension(),
    Field::new(
        "proxy",
        Shape::Map(PROXY),
        "The TCP proxy between the control-plane VIP and the API servers.",
    )
    .extension(),
    Field::new(
        "dataPlane",
        Shape::Map(DATA_PLANE),
        "Failover of Service addresses.",
    )
    .extension(),
];

const VIPS: &[Field] = &[
    Field::new(
        "controlPlaneVIP",
        Shape::Text(Format::Ipv4),
        "Address of the Kubernetes API; outside every address pool.",
    )
    .required()
    .fixed(Code::V22)
    .code(Code::V04),
    Field::new(
        "ingressVIP",
        Shape::Text(Format::Ipv4),
        "Address of the ingress; inside an address pool; not in admin clusters.",
    )
    .fixed(Code::V22),
    Field::new(
        "controlPlaneVIPv6",
        Shape::Text(Format::Ipv6),
        "IPv6 address of the Kubernetes API; moves together with `controlPlaneVIP`.",
    )
    .fixed(Code::V22)
    .extension(),
];

const ADDRESS_POOL: &[Field] = &[
    Field::new("name", Shape::Text(Format::Label), "Name of the pool.")
        .required()
        .rule(POOL_RULE),
    Field::new(
        "addresses",
        some(&Shape::Text(Format::Range)),
        "CIDRs or `start-end`, without blanks; IPv4 or IPv6; no overlaps.",
    )
    .required()
    .rule(POOL_RULE)
    .code(Code::V11),
    Field::new(
        "avoidBuggyIPs",
        Shape::Bool,
        "Leave out IPv4 addresses that end in .0 and .255.",
    )
    .default("false")
    .touches(Touch::Api),
    Field::new(
        "manualAssign",
        Shape::Bool,
        "Use the pool only for Services that ask for it or for one of its addresses.",
    )
    .default("false")
    .touches(Touch::Api),
    Field::new(
        "priority",
        int(0, i32::MAX as i64),
        "Pools with a lower priority are used first; 0 or absent comes last.",
    )
    .default("0")
    .touches(Touch::Api)
    .extension(),
    Field::new(
        "serviceSelector",
        Shape::Map(SELECTOR),
        "Only for Services with these labels.",
    )
    .touches(Touch::Api)
    .extension(),
    Field::new(
        "namespaceSelector",
        Shape::Map(SELECTOR),
        "Only for Services in namespaces with these labels.",
    )
    .touches(Touch::Api)
    .extension(),
    Field::new(
        "interfaces",
        list(&Shape::Text(Format::InterfacePattern)),
        "Announce on these interfaces only: names or `/regex/`. Absent: every interface on the address's subnet.",
    )
    .touches(Touch::Api)
    .extension(),
];

const SELECTOR: &[Field] = &[
    Field::new(
        "matchLabels",
        Shape::Dictionary {
            key: Format::LabelKey,
            value: Format::LabelValue,
        },
        "Labels that must all be there.",
    )
    .touches(Touch::Api),
    Field::new(
        "matchExpressions",
        list(&Shape::Map(EXPRESSION)),
        "Conditions that must all hold.",
    )
    .touches(Touch::Api),
];

const EXPRESSION: &[Field] = &[
    Field::new("key", Shape::Text(Format::LabelKey), "Label.")
        .required()
        .touches(Touch::Api),
    Field::new(
        "operator",
        word(&["In", "NotIn", "Exists", "DoesNotExist"]),
        "Condition.",
    )
    .required()
    .touches(Touch::Api),
    Field::new(
        "values",
        list(&Shape::Text(Format::LabelValue)),
        "Values for `In` and `NotIn`.",
    )
    .touches(Touch::Api),
];

const BGP_PEER: &[Field] = &[
    Field::new("ip", Shape::Text(Format::Ipv4), "Address of the peer.")
        .required()
        .fixed(Code::F11)
        .code(Code::V25),
    Field::new(
        "asn",
        Shape::IntOrText {
            min: 1,
            max: 4_294_967_295,
        },
        "AS number of the peer.",
    )
    .required()
    .fixed(Code::F11)
    .code(Code::V25),
    Field::new(
        "controlPlaneNodes",
        list(&Shape::Text(Format::Ipv4)),
        "Control-plane nodes that peer with it; absent: all.",
    )
    .fixed(Code::F11)
    .code(Code::V25),
];

const VRRP: &[Field] = &[
    Field::new(
        "virtualRouterID",
        int(1, 255),
        "VRRP's number of the virtual router (RFC 9568 §5.2.3); unique in the layer-2 network.",
    )
    .default("derived from cluster name and VIP, never 1 or 51")
    .touches(Touch::LoadBalancers)
    .extension(),
    Field::new(
        "advertisementIntervalMillis",
        int(10, 40_950),
        "Milliseconds between adverts, a multiple of 10. Failover takes about three of them.",
    )
    .default("100")
    .touches(Touch::LoadBalancers)
    .extension(),
    Field::new(
        "unicast",
        Shape::Bool,
        "Adverts go to each load balancer node; `false`: to the multicast groups 224.0.0.18 and ff02::12.",
    )
    .default("true")
    .touches(Touch::LoadBalancers)
    .extension(),
    Field::new(
        "interface",
        Shape::Text(Format::Interface),
        "Interface of the VIP; may have dots.",
    )
    .default("the interface that holds the node's `k8sIP` or `address`")
    .touches(Touch::LoadBalancers)
    .extension(),
    Field::new(
        "preempt",
        Shape::Bool,
        "A returning node of higher priority takes the VIP back.",
    )
    .default("false")
    .touches(Touch::LoadBalancers)
    .extension(),
    Field::new(
        "garpRefreshSeconds",
        int(0, 86_400),
        "Seconds between refreshing gratuitous ARPs; 0 = off.",
    )
    .default("60")
    .touches(Touch::LoadBalancers)
    .extension(),
];

const PROXY: &[Field] = &[
    Field::new(
        "maxConnections",
        int(16, 10_000_000),
        "Sessions at the same time on one node.",
    )
    .default("40000")
    .touches(Touch::LoadBalancers)
    .extension(),
    Field::new(
        "allowedSources",
        list(&Shape::Text(Format::Cidr)),
        "Clients that may use the API's VIP; absent: all. The cluster's nodes may always.",
    )
    .touches(Touch::LoadBalancers)
    .extension(),
    Field::new(
        "connectTimeoutMillis",
        int(50, 60_000),
        "Milliseconds until an API server must have accepted a connection.",
    )
    .default("2000")
    .touches(Touch::LoadBalancers)
    .extension(),
    Field::new(
        "tunnelTimeoutSeconds",
        int(1, 604_800),
        "Seconds without a byte until a session is closed.",
    )
    .default("14400")
    .touches(Touch::LoadBalancers)
    .extension(),
    Field::new(
        "finTimeoutSeconds",
        int(1, 3_600),
        "Seconds without a byte until a half-closed session is closed.",
    )
    .default("10")
    .touches(Touch::LoadBalancers)
    .extension(),
    Field::new(
        "checkIntervalMillis",
        int(100, 60_000),
        "Milliseconds between health checks of an API server.",
    )
    .default("1000")
    .touches(Touch::LoadBalancers)
    .extension(),
    Field::new(
        "checkFall",
        int(1, 100),
        "Failed checks in a row until an API server is out.",
    )
    .default("3")
    .touches(Touch::LoadBalancers)
    .extension(),
    Field::new(
        "checkRise",
        int(1, 100),
        "Good checks in a row until it is back.",
    )
    .default("2")
    .touches(Touch::LoadBalancers)
    .extension(),
];

const DATA_PLANE: &[Field] = &[
    Field::new(
        "heartbeatIntervalMillis",
        int(20, 10_000),
        "Milliseconds between heartbeats of the speakers.",
    )
    .default("200")
    .touches(Touch::Api)
    .extension(),
    Field::new(
        "failoverMillis",
        int(50, 60_000),
        "Milliseconds of silence until a node's Service addresses move.",
    )
    .default("800")
    .touches(Touch::Api)
    .extension(),
];
