//! Every event in every state: what comes of it.

mod addresses;
mod adverts;
mod links;
mod operation;
mod time;

use vrrp::proto::{Action, Group, Input, State};

use crate::rig::{HIGHER_ADDRESS, Rig, ms, settings};

/// What can be seen of a reaction: state after, leaving, and the kinds of actions in order.
fn observe(rig: &mut Rig) -> String {
    let mut seen = Vec::new();
    for action in rig.take() {
        let kind = match action {
            Action::Send { priority: 0, .. } => "zero",
            Action::Send { .. } => "advert",
            Action::Own { .. } => "own",
            Action::Release => "release",
            Action::Linger => "linger",
            Action::PassOn { .. } => "pass on",
            Action::Announce { .. } => "announce",
            Action::Solicit { .. } => "ask",
            Action::Alarm(_) => "alarm",
            Action::Stopped => "stopped",
            Action::Transition { .. } => continue,
        };
        if seen.last() != Some(&kind) {
            seen.push(kind);
        }
    }
    let leaving = if rig.group.is_leaving() {
        "+leaving"
    } else {
        ""
    };
    format!("{}{leaving} {}", rig.state(), seen.join(" "))
        .trim()
        .to_owned()
}

const STATES: [&str; 6] = [
    "initialize",
    "unknown",
    "fault",
    "backup",
    "active",
    "leaving",
];

fn prepared(state: &str) -> Rig {
    let mut rig = match state {
        "initialize" => Rig::new(settings(100, 100)),
        "unknown" => {
            let mut rig = Rig::new(settings(100, 100));
            rig.group = Group::new(settings(100, 100), true);
            rig.input(Input::Start);
            rig.links_up();
            rig
        }
        "fault" => {
            let mut rig = Rig::backup(100, 100);
            rig.unhealthy();
            rig
        }
        "backup" => {
            let mut rig = Rig::backup(100, 100);
            rig.hear(HIGHER_ADDRESS, 200);
            rig
        }
        "active" | "leaving" => Rig::active(100, 100),
        other => panic!("no state {other}"),
    };
    if state == "active" || state == "leaving" {
        rig.advance(ms(20_010));
    }
    if state == "leaving" {
        rig.input(Input::Stop);
    }
    rig.take();
    rig
}

/// An event's name and the reactions in the order of [`STATES`].
type Row = (&'static str, fn(&mut Rig), [&'static str; 6]);

/// The whole table.
fn rows() -> Vec<&'static Row> {
    let parts: [&[Row]; 5] = [
        &operation::ROWS,
        &links::ROWS,
        &addresses::ROWS,
        &adverts::ROWS,
        &time::ROWS,
    ];
    parts.into_iter().flatten().collect()
}

#[test]
fn d2_every_event_in_every_state() {
    let mut wrong = Vec::new();
    for (name, event, expected) in rows() {
        for (state, expected) in STATES.iter().zip(expected) {
            let mut rig = prepared(state);
            event(&mut rig);
            let seen = observe(&mut rig);
            if *name == "silence for five seconds" && (*state == "backup" || *state == "active") {
                // The exact order of renewals among adverts is the schedule's business.
                let kinds: std::collections::BTreeSet<_> = seen.split(' ').collect();
                let wanted: std::collections::BTreeSet<_> = expected.split(' ').collect();
                if kinds != wanted {
                    wrong.push(format!("{state}, {name}: {seen}"));
                }
            } else if seen != *expected {
                wrong.push(format!(
                    "{state}, {name}: expected `{expected}`, got `{seen}`"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn state_names_are_stable() {
    let names: Vec<_> = State::ALL.iter().map(|state| state.name()).collect();
    assert_eq!(names, ["initialize", "backup", "active", "fault"]);
}
