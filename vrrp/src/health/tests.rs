use super::*;

fn refused() -> Result<(), Failure> {
    Err(Failure {
        detail: "refused".to_owned(),
        certain: true,
        draining: false,
    })
}

fn slow() -> Result<(), Failure> {
    Err(Failure {
        detail: "timeout".to_owned(),
        certain: false,
        draining: false,
    })
}

fn healthy() -> HealthPolicy {
    let mut policy = HealthPolicy::new(3, 2);
    policy.handle_live(Ok(()));
    policy.handle_ready(Ok(()));
    assert_eq!(policy.verdict(), Health::Good);
    policy
}

#[test]
fn i10_unknown_until_the_first_api_server_is_ready() {
    let mut policy = HealthPolicy::new(3, 2);
    for _ in 0..10 {
        policy.handle_live(refused());
        policy.handle_ready(slow());
        assert_eq!(policy.verdict(), Health::Unknown);
    }
    policy.handle_live(Ok(()));
    assert_eq!(policy.verdict(), Health::Unknown);
    policy.handle_ready(Ok(()));
    assert_eq!(policy.verdict(), Health::Good);
}

#[test]
fn a_dead_proxy_counts_at_once_and_a_slow_one_after_two_checks() {
    let mut policy = healthy();
    policy.handle_live(refused());
    assert_eq!(
        policy.verdict(),
        Health::Bad {
            detail: "refused".to_owned()
        }
    );

    let mut policy = healthy();
    policy.handle_live(slow());
    assert_eq!(policy.verdict(), Health::Good);
    policy.handle_live(slow());
    assert_eq!(
        policy.verdict(),
        Health::Bad {
            detail: "timeout".to_owned()
        }
    );
    policy.handle_live(Ok(()));
    assert_eq!(policy.verdict(), Health::Good);
}

#[test]
fn the_second_level_falls_and_rises_with_hysteresis_and_only_if_a_peer_is_ready() {
    let mut policy = healthy();
    for _ in 0..2 {
        policy.handle_ready(slow());
        assert!(!policy.wants_peers());
    }
    policy.handle_ready(refused());
    assert!(policy.wants_peers());
    assert_eq!(policy.verdict(), Health::Good, "nobody was asked yet");
    policy.handle_peers(true);
    assert_eq!(
        policy.verdict(),
        Health::Bad {
            detail: "refused".to_owned()
        }
    );
    policy.handle_ready(Ok(()));
    assert!(
        matches!(policy.verdict(), Health::Bad { .. }),
        "one success of two"
    );
    policy.handle_ready(Ok(()));
    assert_eq!(policy.verdict(), Health::Good);
}

#[test]
fn a18_when_no_node_is_better_off_the_vip_stays() {
    let mut policy = healthy();
    for _ in 0..3 {
        policy.handle_ready(slow());
    }
    policy.handle_peers(false);
    assert_eq!(policy.verdict(), Health::Good);
    assert!(policy.wants_peers(), "asked again as long as it lasts");
    policy.handle_peers(true);
    assert!(matches!(policy.verdict(), Health::Bad { .. }));
}

fn stopping() -> Result<(), Failure> {
    Err(Failure {
        detail: "stopping".to_owned(),
        certain: false,
        draining: true,
    })
}

#[test]
fn a_proxy_that_is_about_to_stop_is_left_as_planned() {
    let mut policy = healthy();
    policy.handle_live(stopping());
    assert_eq!(policy.verdict(), Health::Good);
    policy.handle_live(stopping());
    assert!(matches!(policy.verdict(), Health::Draining { .. }));
    policy.handle_live(refused());
    assert!(matches!(policy.verdict(), Health::Bad { .. }));
    policy.handle_live(Ok(()));
    assert_eq!(policy.verdict(), Health::Good);
}

#[test]
fn a_path_that_answers_503_is_no_farewell() {
    let mut policy = healthy();
    policy.handle_ready(stopping());
    policy.handle_ready(stopping());
    assert_eq!(policy.verdict(), Health::Good);
}

/// Nobody answers until that counts; how many rounds that takes.
fn be_silent(policy: &mut HealthPolicy) -> u32 {
    let mut rounds = 0;
    while policy.standing.is_some() {
        policy.handle_round(Round::Silent);
        rounds += 1;
    }
    rounds
}

#[test]
fn whoever_stands_back_waits_for_silence_however_well_it_is() {
    let mut policy = HealthPolicy::new(3, 2);
    policy.stand_back();
    assert_eq!(policy.stands_back(), None, "it is not well yet");
    policy.handle_live(Ok(()));
    policy.handle_ready(Ok(()));
    policy.handle_round(Round::Taken("somebody".to_owned()));
    assert_eq!(policy.verdict(), Health::Unknown);
    assert_eq!(policy.stands_back(), Some("somebody"));
    policy.handle_round(Round::Silent);
    assert_eq!(policy.verdict(), Health::Unknown);
    assert!(be_silent(&mut policy) > 1, "one lost answer is no silence");
    assert_eq!(policy.verdict(), Health::Good);
    assert_eq!(policy.stands_back(), None);
    policy.handle_round(Round::Taken("one of ours".to_owned()));
    assert_eq!(policy.verdict(), Health::Good);
}

#[test]
fn silence_alone_makes_nobody_well() {
    let mut policy = HealthPolicy::new(3, 2);
    policy.stand_back();
    be_silent(&mut policy);
    assert_eq!(policy.verdict(), Health::Unknown);
    let mut policy = healthy();
    policy.stand_back();
    policy.handle_live(refused());
    assert!(matches!(policy.verdict(), Health::Bad { .. }));
    assert_eq!(policy.stands_back(), None);
    policy.handle_live(Ok(()));
    assert_eq!(policy.verdict(), Health::Unknown);
    policy.stand_forth();
    assert_eq!(policy.verdict(), Health::Good);
}
