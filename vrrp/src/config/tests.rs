use super::*;

const GOOD: &str = "
apiVersion: lbnode.bundledlb.io/v1
kind: VrrpConfig
routers:
  - name: api
    virtualRouterID: 77
    priority: 240
    sourceAddress: 10.0.0.1
    peers: [10.0.0.2, 10.0.0.3]
    addresses: [10.0.0.100]
    advertisementIntervalMillis: 100
    garpRepeat: 5
    garpRefreshSeconds: 60
admin: 127.0.0.1:11003
";

fn config() -> VrrpConfig {
    VrrpConfig::from_yaml(GOOD, "vrrp.yaml").unwrap()
}

fn problems(change: impl FnOnce(&mut VrrpConfig)) -> String {
    let mut config = config();
    change(&mut config);
    let problems = Plan::new(&config, 1).unwrap_err();
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_good_file_becomes_a_plan() {
    let plan = Plan::new(&config(), 1).unwrap();
    let group = &plan.groups[0];
    assert_eq!(u8::from(group.settings.priority), 240);
    assert_eq!(
        group.settings.announce.follow_ups,
        [Duration::from_secs(1), Duration::from_secs(5)]
    );
    assert_eq!(group.routers[0].interface, None);
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}

#[test]
fn a30_an_invalid_file_is_refused_with_every_problem() {
    let text = problems(|config| {
        config.admin = "here".to_owned();
        let router = &mut config.routers[0];
        router.virtual_router_id = 0;
        router.priority = 0;
        router.advertisement_interval_millis = 15;
        router.tuning.down_factor = 1;
    });
    for part in [
        "admin: `here` is not an address",
        "routers[0].advertisementIntervalMillis: advertisement interval in milliseconds 15",
        "routers[0].priority: priority 0 is outside 1–255",
        "routers[0].tuning.downFactor: 1 is outside 2–100",
        "routers[0].virtualRouterID: virtual router ID 0 is outside 1–255",
    ] {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
}

#[test]
fn addresses_of_another_family_and_own_ones_are_refused() {
    let text = problems(|config| {
        let router = &mut config.routers[0];
        router
            .addresses
            .extend(["fd00::1".parse::<IpAddr>().unwrap(), router.source_address]);
        router.peers.push(router.source_address);
    });
    assert!(
        text.contains("fd00::1 is not of the family of `sourceAddress`"),
        "{text}"
    );
    assert!(
        text.contains("10.0.0.1 is the node's own address"),
        "{text}"
    );
    assert!(text.contains("10.0.0.1 is this node itself"), "{text}");
}

#[test]
fn routers_of_a_group_share_what_moves_them() {
    let text = problems(|config| {
        let mut second = config.routers[0].clone();
        second.virtual_router_id = 78;
        second.priority = 100;
        config.routers.push(second);
    });
    assert_eq!(
        text,
        "routers[1].priority: must be that of `api`: routers of a group move together"
    );
}

#[test]
fn one_vrid_twice_is_refused() {
    let text = problems(|config| config.routers.push(config.routers[0].clone()));
    assert_eq!(
        text,
        "routers[1].virtualRouterID: 77 is used by routers[0] already"
    );
}

#[test]
fn version_2_wants_whole_seconds_and_ipv4() {
    let text = problems(|config| {
        let router = &mut config.routers[0];
        router.tuning.version = ProtocolVersion::V2;
        router.source_address = "fd00::1".parse().unwrap();
        router.peers.clear();
        router.addresses = vec!["fd00::100".parse().unwrap()];
    });
    assert!(text.contains("VRRPv2 has no IPv6"), "{text}");
    assert!(text.contains("VRRPv2 has whole seconds only"), "{text}");
}

#[test]
fn an_ipv6_router_gets_a_link_local_address_first() {
    let mut config = config();
    let router = &mut config.routers[0];
    router.source_address = "fd00::1".parse().unwrap();
    router.peers.clear();
    router.addresses = vec!["fd00::100".parse().unwrap()];
    let plan = Plan::new(&config, 1).unwrap();
    let local: IpAddr = "fe80::200:5eff:fe00:24d".parse().unwrap();
    assert_eq!(plan.groups[0].settings.members[0].addresses[0], local);
}

#[test]
fn an_ipv6_router_without_an_address_lives_where_that_of_its_group_does() {
    let with = |change: &dyn Fn(&mut VrrpConfig)| {
        let mut config = config();
        let mut second = config.routers[0].clone();
        second.source_address = "::".parse().unwrap();
        second.peers.clear();
        second.addresses = vec!["fd00::100".parse().unwrap()];
        config.routers.push(second);
        change(&mut config);
        Plan::new(&config, 1)
    };
    let lives = |plan: Plan| {
        let router = plan.groups[0].routers.last().cloned().unwrap();
        (router.interface, router.anchor.to_string())
    };
    let beside = with(&|_| {}).unwrap();
    assert_eq!(lives(beside), (None, "10.0.0.1".to_owned()));
    let named = with(&|config| config.routers[0].interface = Some("lan0".to_owned())).unwrap();
    assert_eq!(lives(named).0.as_deref(), Some("lan0"));
    let alone = with(&|config| drop(config.routers.remove(0))).unwrap_err();
    assert_eq!(
        alone[0].to_string(),
        "routers[0].sourceAddress: `::` needs `interface`, or an IPv4 router of the same group"
    );
}

#[test]
fn more_addresses_than_fit_are_warned_of() {
    let mut config = config();
    let addresses = (0..300_u32).map(|index| IpAddr::V4((0x0a01_0000 + index).into()));
    config.routers[0].addresses = addresses.collect();
    let plan = Plan::new(&config, 1).unwrap();
    assert_eq!(
        plan.warnings,
        ["routers[0]: only the first 255 of 300 addresses fit into an advert"]
    );
}

#[test]
fn passwords_are_for_version_2_and_short() {
    let text =
        problems(|config| config.routers[0].tuning.password = Some("far too long".to_owned()));
    assert!(text.contains("must have 1 to 8 bytes"), "{text}");
    assert!(text.contains("VRRPv3 has no authentication"), "{text}");
}

#[test]
fn the_grace_is_five_seconds_unless_the_file_says_otherwise() {
    let mut config = config();
    let grace = |config: &VrrpConfig| {
        let plan = Plan::new(config, 1).unwrap();
        plan.groups[0].settings.hand_over_grace
    };
    let written = |config: &VrrpConfig| serde_json::to_string(config).unwrap();
    assert_eq!(grace(&config), Duration::from_secs(5));
    assert!(
        !written(&config).contains("handOver"),
        "an older release reads the file"
    );
    config.hand_over_grace_millis = 0;
    assert_eq!(grace(&config), Duration::ZERO);
    assert!(written(&config).contains("\"handOverGraceMillis\":0"));
    let text = problems(|config| config.hand_over_grace_millis = 60_001);
    assert!(
        text.contains("handOverGraceMillis: must be at most 60000"),
        "{text}"
    );
}

const TRACK: &str = "track:
  proxyLiveUrl: http://127.0.0.1:11000/livez
  apiReadyUrl: https://127.0.0.1:11443/readyz
  caFile: /etc/kubernetes/pki/ca.crt
  serverName: 10.0.0.100
  intervalMillis: 1000
  fall: 3
  rise: 2
";

#[test]
fn standing_back_concerns_every_router_and_needs_checks() {
    let mut config = VrrpConfig::from_yaml(&format!("{GOOD}{TRACK}"), "vrrp.yaml").unwrap();
    let stand_back = |config: &VrrpConfig| {
        let plan = Plan::new(config, 1).unwrap();
        let routers = plan.groups.iter().flat_map(|group| group.routers.clone());
        let all: Vec<_> = routers.collect();
        (plan.health.unwrap().stand_back, all)
    };
    let (standing, _) = stand_back(&config);
    assert_eq!(standing, Vec::new());
    config.stand_back = true;
    let (standing, all) = stand_back(&config);
    assert_eq!(standing, all);
    assert_eq!(all.len(), 1);
    let text = problems(|config| config.stand_back = true);
    assert!(text.contains("standBack: needs `track`"), "{text}");
}
