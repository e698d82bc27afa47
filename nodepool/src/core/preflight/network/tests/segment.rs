use super::*;

#[test]
fn each_trouble_of_the_segment_is_named_once() {
    type Case = (
        &'static str,
        &'static str,
        Severity,
        fn(&mut Answers<SegmentReport>),
    );
    let cases: [Case; 14] = [
        (
            "layer-2",
            "cp1: no answer to ARP on eth0 from cp2 (10.10.0.12), cp3 (10.10.0.13)",
            Severity::Fail,
            |all| {
                for neighbour in &mut report(all, 0).neighbours[1..3] {
                    neighbour.macs.clear();
                }
            },
        ),
        (
            "layer-2",
            "cp2: 02:00:00:00:00:99 answers ARP for cp1 (10.10.0.11) on eth0, but its own MAC is 02:00:0a:0a:00:0b",
            Severity::Fail,
            |all| {
                report(all, 1).neighbours[0].macs = vec!["02:00:00:00:00:99".to_owned()];
            },
        ),
        (
            "layer-2",
            "cp2: several machines answer ARP for cp3 (10.10.0.13): 02:00:0a:0a:00:0d, x",
            Severity::Fail,
            |all| {
                report(all, 1).neighbours[2].macs.push("x".to_owned());
            },
        ),
        (
            "gateway",
            "cp1: the gateway 10.10.0.1 does not answer ARP on eth0",
            Severity::Warn,
            |all| {
                report(all, 0).neighbours[3].macs.clear();
            },
        ),
        (
            "protocol-112",
            "cp3: adverts (IP protocol 112) do not arrive from cp1 (10.10.0.11); in the other direction they pass",
            Severity::Fail,
            |all| {
                hearing(&mut report(all, 2).vrrp).retain(|place| *place != 0);
            },
        ),
        (
            "protocol-112",
            "cp1: adverts (IP protocol 112) cannot be sent or received: no",
            Severity::Fail,
            |all| {
                report(all, 0).vrrp = Some(Hearing {
                    heard: vec![],
                    trouble: Some("no".to_owned()),
                });
                for place in [1, 2] {
                    hearing(&mut report(all, place).vrrp).retain(|place| *place != 0);
                }
            },
        ),
        (
            "heartbeat-port",
            "cp1: heartbeats (UDP 7946) do not arrive from cp2 (10.10.0.12), cp3 (10.10.0.13); in",
            Severity::Fail,
            |all| {
                hearing(&mut report(all, 0).heartbeat).clear();
            },
        ),
        (
            "protocol-112",
            "cp2: adverts over IPv6 (IP protocol 112, multicast to ff02::12) do not arrive from cp1",
            Severity::Fail,
            |all| {
                for place in 0..3u8 {
                    let report = report(all, place);
                    report.vrrp6 = report.vrrp.clone();
                }
                hearing(&mut report(all, 1).vrrp6).retain(|place| *place != 0);
            },
        ),
        (
            "virtual-routers",
            "cp1: 10.10.0.77 uses the virtual router ID",
            Severity::Fail,
            |all| {
                let routers = &mut report(all, 0).routers;
                routers
                    .extend((1..=255).map(|vrid| router([10, 10, 0, 77], vrid, [10, 10, 0, 250])));
            },
        ),
        (
            "virtual-routers",
            "cp1: 10.10.0.77 announces 10.10.0.100 as a virtual router (ID 1, priority 100)",
            Severity::Fail,
            |all| {
                report(all, 0)
                    .routers
                    .push(router([10, 10, 0, 77], 1, [10, 10, 0, 100]));
            },
        ),
        (
            "",
            "our own routers are no strangers",
            Severity::Warn,
            |all| {
                report(all, 0)
                    .routers
                    .push(router([10, 10, 0, 12], 1, [10, 10, 0, 100]));
            },
        ),
        ("", "nor are they over IPv6", Severity::Warn, |all| {
            let vip6 = vec![IpAddr::from([10, 10, 0, 100])];
            report(all, 0).routers.push(RouterHeard {
                source: link_local(1),
                vrid: 1,
                priority: 100,
                addresses: vip6,
            });
        }),
        (
            "",
            "who cannot report is not missed by others",
            Severity::Warn,
            |all| {
                all.insert(address(1), Err("gone".to_owned()));
                for place in [0, 2] {
                    hearing(&mut report(all, place).vrrp).retain(|place| *place != 1);
                }
            },
        ),
        (
            "",
            "a channel that is not asked for",
            Severity::Warn,
            |all| {
                report(all, 0).heartbeat = None;
                for place in [1, 2] {
                    hearing(&mut report(all, place).heartbeat).retain(|place| *place != 0);
                }
            },
        ),
    ];
    let survey = survey_of(|_, _| {});
    for (check, cause, severity, spoil) in cases {
        let mut answers = seen(&survey);
        spoil(&mut answers);
        let found = lines(&survey.judge_segment(&answers));
        if check.is_empty() {
            assert_eq!(found, [], "{cause}");
            continue;
        }
        assert_eq!(found.len(), 1, "{cause}: {found:?}");
        assert_eq!((found[0].0, found[0].2), (check, severity), "{found:?}");
        assert!(found[0].1.starts_with(cause), "{found:?} is not\n{cause}");
    }
}

fn hearing(hearing: &mut Option<Hearing>) -> &mut Vec<u16> {
    &mut hearing.as_mut().expect("it was asked for").heard
}
