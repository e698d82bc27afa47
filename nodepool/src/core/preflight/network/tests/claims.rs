use super::*;

fn nobody(survey: &Survey) -> BTreeMap<IpAddr, Answers<VipReport>> {
    let vips = survey.vips.iter().map(|vip| {
        let answers = vip.carriers.iter().map(|carrier| {
            let report = VipReport {
                address: vip.address,
                answered: false,
                mac: None,
                interface: "eth0".to_owned(),
            };
            (*carrier, Ok(report))
        });
        (vip.address, answers.collect())
    });
    vips.collect()
}

#[test]
fn whoever_has_a_virtual_ip_is_named_by_mac_and_it_is_not_claimed() {
    let survey = survey_of(|_, _| {});
    let mut answers = nobody(&survey);
    let rounds = survey.rounds(&answers, &seen(&survey));
    assert_eq!(rounds.len(), 3, "each node once: {rounds:?}");
    for vip in &survey.vips {
        let judged = survey.judge_vip(vip, &answers[&vip.address]);
        assert_eq!(judged.findings, []);
        assert!(judged.done[&address(2)].contains(&Check::VipFree));
    }
    let vip = &survey.vips[0];
    let asked = answers.get_mut(&vip.address).expect("it was asked for");
    asked.insert(
        address(1),
        Ok(VipReport {
            address: vip.address,
            answered: true,
            mac: Some("02:00:0a:0a:00:32".to_owned()),
            interface: "eth0".to_owned(),
        }),
    );
    asked.insert(address(2), Err("lost".to_owned()));
    let found = lines(&survey.judge_vip(vip, asked));
    let expected = "cp2: the virtual IP 10.10.0.100 is already in use: 02:00:0a:0a:00:32 answers for it on eth0";
    assert_eq!((found[0].0, found[0].1.as_str()), ("vip-free", expected));
    assert!(found[1].1.contains("could not be asked"), "{found:?}");
    // The other one is free: it is claimed instead.
    let rounds = survey.rounds(&answers, &seen(&survey));
    let claimed: Vec<Ipv4Addr> = rounds.iter().map(|round| round.vip).collect();
    assert_eq!(claimed, [Ipv4Addr::new(10, 10, 0, 200); 3]);

    let mut heard = seen(&survey);
    report(&mut heard, 2)
        .routers
        .push(router([10, 10, 0, 77], 1, [10, 10, 0, 200]));
    assert_eq!(survey.rounds(&answers, &heard), []);
}

#[test]
fn a_router_of_ours_may_take_a_virtual_ip_meanwhile_and_nobody_else() {
    let survey = survey_of(|index, facts| {
        facts.wiring.macs.insert(mac(index));
        if index == 0 {
            joined(facts);
        }
    });
    let vip = &survey.vips[0];
    let judge = |place: usize| {
        let report = VipReport {
            address: vip.address,
            answered: true,
            mac: Some(mac(place)),
            interface: "eth0".to_owned(),
        };
        let judged = survey.judge_vip(vip, &Answers::from([(address(2), Ok(report))]));
        judged.findings.len()
    };
    assert_eq!([judge(0), judge(1)], [0, 1]);
}

#[test]
fn the_others_reach_a_claimed_address_and_one_of_them_asks_the_gateway() {
    let survey = survey_of(|_, _| {});
    let rounds = survey.rounds(&nobody(&survey), &seen(&survey));
    let second = &rounds[1];
    assert_eq!(
        (second.vip, second.claimant),
        (Ipv4Addr::new(10, 10, 0, 100), address(1))
    );
    let gateway = Some(Ipv4Addr::new(10, 10, 0, 1));
    let expected = [(address(0), false, gateway), (address(2), false, None)];
    let reachers = second
        .reachers
        .iter()
        .map(|one| (one.address, one.only_gateway, one.gateway));
    assert_eq!(reachers.collect::<Vec<_>>(), expected);

    let alone = survey_of(|index, facts| {
        if index > 0 {
            facts.architecture = "arm64".to_owned();
        }
    });
    let rounds = alone.rounds(&nobody(&alone), &seen(&alone));
    let reachers = &rounds[0].reachers;
    assert!(
        reachers.len() == 1 && reachers[0].only_gateway,
        "{rounds:?}"
    );
}

fn reached(survey: &Survey, change: fn(usize, &mut ReachReport)) -> Vec<Reached> {
    let rounds = survey
        .rounds(&nobody(survey), &seen(survey))
        .into_iter()
        .enumerate();
    let played = rounds.map(|(number, round)| {
        let answers = round.reachers.iter().map(|reacher| {
            let mut report = ReachReport {
                macs: vec![mac(number)],
                reached: true,
                gateway: reacher.gateway.map(|_| "02:00:0a:0a:00:01".to_owned()),
                through_gateway: reacher.gateway.map(|_| true),
            };
            change(number, &mut report);
            (reacher.address, Ok(report))
        });
        let answers = Ok(answers.collect());
        Reached { round, answers }
    });
    played.collect()
}

#[test]
fn what_a_network_does_to_claims_is_named() {
    type Case = (
        &'static str,
        &'static str,
        usize,
        Severity,
        fn(usize, &mut ReachReport),
    );
    let cases: [Case; 6] = [
        (
            "vip-claim",
            "cp2: it claims 10.10.0.100, but cp1 (10.10.0.11) gets no answer to ARP",
            2,
            Severity::Fail,
            |number, report| {
                if number == 1 {
                    *report = ReachReport {
                        gateway: None,
                        ..ReachReport::default()
                    };
                }
            },
        ),
        (
            "vip-claim",
            "cp1: it claims 10.10.0.100 and cp2 (10.10.0.12) finds it at 02:00:0a:0a:00:0b, but a packet",
            2,
            Severity::Fail,
            |number, report| {
                report.reached = number != 0;
            },
        ),
        (
            "vip-claim",
            "cp1: it claims 10.10.0.100, and cp2 (10.10.0.12) gets answers from several machines: 02:00:0a:0a:00:0b, y",
            6,
            Severity::Fail,
            |_, report| {
                report.macs.push("y".to_owned());
            },
        ),
        (
            "vip-gateway",
            "cp3: the gateway 10.10.0.1 does not bring packets for 10.10.0.100 to cp3",
            1,
            Severity::Fail,
            |number, report| {
                report.through_gateway = report.through_gateway.map(|_| number != 2);
            },
        ),
        (
            "vip-gateway",
            "cp1: the gateway 10.10.0.1 does not bring packets",
            3,
            Severity::Warn,
            |_, report| {
                report.through_gateway = report.through_gateway.map(|_| false);
            },
        ),
        // It has a finding of its own.
        (
            "",
            "a gateway that does not answer",
            0,
            Severity::Warn,
            |_, report| {
                report.gateway = None;
                report.through_gateway = report.through_gateway.map(|_| false);
            },
        ),
    ];
    let survey = survey_of(|_, _| {});
    let good = survey.judge_claims(&reached(&survey, |_, _| {}));
    assert_eq!(good.findings, []);
    let done = &good.done[&address(2)];
    assert!(done.contains(&Check::VipClaim) && done.contains(&Check::VipGateway));
    for (check, cause, count, severity, spoil) in cases {
        let found = lines(&survey.judge_claims(&reached(&survey, spoil)));
        assert_eq!(found.len(), count, "{cause}: {found:?}");
        if let Some(first) = found.first() {
            assert_eq!((first.0, first.2), (check, severity), "{found:?}");
            assert!(first.1.starts_with(cause), "{found:?} is not\n{cause}");
        }
    }
}

#[test]
fn who_cannot_claim_or_reach_says_why() {
    let survey = survey_of(|_, _| {});
    let mut rounds = reached(&survey, |_, _| {});
    rounds[0].answers = Err("eth0 is down".to_owned());
    let answers = rounds[1].answers.as_mut().expect("it was played");
    answers.insert(address(0), Err("lost".to_owned()));
    let found = lines(&survey.judge_claims(&rounds));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        found[0].1,
        "cp1: it cannot announce 10.10.0.100: eth0 is down"
    );
    assert_eq!(found[1].0, "network-probe");
    assert!(
        found[1]
            .1
            .starts_with("cp1: it could not try to reach 10.10.0.100 at cp2")
    );
}
