//! A segment that is parted between its speakers, with a client on each side, and heals.

use std::{collections::BTreeSet, net::IpAddr, thread, time::Duration};

use l2::wire::MacAddr;

use crate::{
    asker::{Asker, Word, owners_of},
    nodes::{SERVICES, cluster, in_full, list, owners, wait_for},
    role::Role,
    segment::{Segment, mac, seconds},
    server::Server,
};

/// How often, in a run that has the time.
const ROUNDS: u32 = 50;
/// So long it is parted, and so long both sides are watched afterwards.
const PARTED: Duration = Duration::from_secs(3);
const WATCHED: Duration = Duration::from_secs(3);
/// After so long each side has owners of its own: the patience, and what follows it.
const ALONE: f64 = 2.0;
/// So long two may answer after it has healed.
const LIMIT: f64 = 1.0;

/// Two Services that share an address.
const GROUP: &str = "\
apiVersion: v1
kind: Service
metadata: {name: pair0, annotations: {bundledlb.io/sharing-key: pair}}
spec: {type: LoadBalancer, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: pair1, annotations: {bundledlb.io/sharing-key: pair}}
spec: {type: LoadBalancer, ports: [{port: 81}]}
";

/// What the clients of both sides heard, and when it was parted and healed.
struct Round {
    words: [Vec<Word>; 2],
    parted: f64,
    healed: f64,
    end: f64,
}

impl Round {
    /// Each side has to have its own owner of each address while it is parted.
    fn alone(&self, address: IpAddr, own: [MacAddr; 2]) -> Result<(), String> {
        for (words, own) in self.words.iter().zip(own) {
            let found = owners_of(words, address, (self.parted + ALONE, self.healed));
            if found != BTreeSet::from([own]) {
                return Err(format!(
                    "parted, {found:?} have {address} on the side of {own}"
                ));
            }
        }
        Ok(())
    }

    /// And both sides the same one soon after it has healed: the others' last word, in seconds after that.
    fn together(&self, address: IpAddr) -> Result<f64, String> {
        let late = (self.healed + LIMIT, self.end);
        let [one, other] = self
            .words
            .each_ref()
            .map(|words| owners_of(words, address, late));
        let winner = one.first().copied();
        let (Some(winner), 1, true) = (winner, one.len(), one == other) else {
            return Err(format!(
                "healed for a second, {one:?} and {other:?} have {address} on the two sides"
            ));
        };
        let words = self.words.iter().flatten();
        let others = words
            .filter(|word| word.address == address && word.mac != winner && word.at >= self.healed);
        let last = others.map(|word| word.at).fold(self.healed, f64::max);
        Ok(last - self.healed)
    }
}

/// What the statuses say of the two that share: their addresses, and who announces them.
fn group(server: &Server) -> BTreeSet<String> {
    let path = r#"jsonpath={range .items[*]}{.status.loadBalancer.ingress[*].ip} {.status.conditions[?(@.type=="bundledlb.io/Announced")].message}{"\n"}{end}"#;
    let text = server.must(&["get", "services", "pair0", "pair1", "-o", path]);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_parted_segment_agrees_on_one_owner_within_a_second_after_it_has_healed() {
    let segment = Segment::halved();
    let (server, conf) = cluster(&segment);
    list(&server);
    server.apply(GROUP);
    let [controller_conf, speaker_conf] = &conf[..] else {
        unreachable!()
    };
    let _controller = Role::start(&segment.place("c"), "controller", "", controller_conf);
    let _speakers = ["1", "2"].map(|node| {
        let name = format!("n{node}");
        Role::start(&segment.place(node), "speaker", &name, speaker_conf)
    });
    let own = [mac(11), mac(12)];
    wait_for("every address is announced", || {
        owners(&server).len() == 2 * SERVICES + 1
    });
    let addresses = owners(&server).into_iter();
    let addresses: Vec<IpAddr> = addresses
        .map(|(address, _)| address.parse().unwrap())
        .collect();
    let askers = [("c", 1), ("d", 2)].map(|(client, host)| {
        let file = server.folder.path().join(format!("heard-by-{client}"));
        Asker::start(&segment.place(client), host, &addresses, file)
    });
    thread::sleep(Duration::from_secs(1));
    let mut slowest: f64 = 0.0;
    let rounds = if in_full() { ROUNDS } else { 1 };
    for round in 1..=rounds {
        segment.part();
        let parted = seconds();
        thread::sleep(PARTED);
        let healed = seconds();
        segment.heal();
        thread::sleep(WATCHED);
        let end = seconds();
        let seen = Round {
            words: askers.each_ref().map(Asker::words),
            parted,
            healed,
            end,
        };
        let mut last: f64 = 0.0;
        for address in &addresses {
            let verdict = seen
                .alone(*address, own)
                .and_then(|()| seen.together(*address));
            match verdict {
                Ok(late) => last = last.max(late),
                Err(why) => panic!("round {round}: {why}"),
            }
        }
        slowest = slowest.max(last);
        println!("round {round}: the last word of who gave in {last:.3} s after it had healed");
        wait_for("both that share are at one address of one node", || {
            let said = group(&server);
            let whole = said.iter().all(|one| one.contains(" by n"));
            said.len() == 1 && whole
        });
    }
    println!("at worst {slowest:.3} s");
    wait_for("nobody reports what it has given up", || {
        owners(&server).len() == addresses.len()
    });
}

/// The judge: of one address, on two sides.
#[test]
fn two_owners_are_seen_when_there_are_two() {
    let address = IpAddr::from([10, 98, 0, 100]);
    let word = |at, host| Word {
        at,
        address,
        mac: mac(host),
    };
    let round = |words| Round {
        words,
        parted: 0.0,
        healed: 3.0,
        end: 6.0,
    };
    let own = [mac(11), mac(12)];
    let good = round([
        vec![word(2.5, 11), word(3.4, 12), word(4.5, 11)],
        vec![word(2.5, 12), word(4.5, 11)],
    ]);
    assert_eq!(good.alone(address, own), Ok(()));
    assert!((good.together(address).unwrap() - 0.4).abs() < 1e-6);
    let slow = [
        vec![word(2.5, 11), word(4.5, 11)],
        vec![word(2.5, 11), word(4.1, 12), word(4.5, 11)],
    ];
    let slow = round(slow);
    assert!(slow.alone(address, own).is_err() && slow.together(address).is_err());
    let silent = round([Vec::new(), Vec::new()]);
    assert!(silent.alone(address, own).is_err() && silent.together(address).is_err());
}
