//! Stories that are told the same way each time: what one seed in ten thousand comes across.

use std::{fmt::Write as _, time::Duration};

use super::{
    Summary, Violation,
    faults::Fault,
    network::Quality,
    world::{CHAOS, World, calm},
};

/// What happens in a story; only its delays come from the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// A node is restarted, and hears nobody any more as soon as it has met the others.
    DeafAfterRestart,
    /// The cable of a node is put back, and it hears nobody.
    DeafAfterReplug,
    /// A node hears nobody for a while, and others take over what it had.
    HearingAgain,
    /// A node announces what another has, and is gone before that one heard of it.
    LastWord,
}

/// Whom the stories are about.
const HERO: usize = 1;
const ADDRESSES: u8 = 6;

impl World {
    /// Tells `script` and checks what must hold in the end.
    pub(super) fn follow(mut self, script: Script) -> Result<Summary, Violation> {
        self.labelled = self.nodes.iter().map(|node| node.name.clone()).collect();
        self.newcomer = None;
        self.set_addresses(ADDRESSES, true);
        for wanted in self.directory.addresses.values_mut() {
            wanted.endpoints = None;
        }
        let told = self.begin().and_then(|()| {
            match script {
                Script::DeafAfterRestart => self.deaf_after_restart(),
                Script::DeafAfterReplug => self.deaf_after_replug(),
                Script::HearingAgain => self.hearing_again(),
                Script::LastWord => self.last_word(),
            }
            self.pass(CHAOS);
            self.settle();
            self.check_quiet()
        });
        told.map_err(|what| self.violation(what))?;
        Ok(self.summary())
    }

    fn deaf_after_restart(&mut self) {
        for cordoned in [true, false, true, false] {
            self.strike(Fault::Cordon(HERO, cordoned));
            self.pass(CHAOS);
        }
        self.strike(Fault::Crash(HERO));
        self.pass(CHAOS);
        self.strike(Fault::Boot(HERO));
        let met = self.random.below(8000);
        self.pass(Duration::from_micros(met));
        self.deafen();
        self.pass(Duration::from_millis(50));
        self.lose_heartbeats();
        self.network.set_quality(calm());
    }

    fn deaf_after_replug(&mut self) {
        self.strike(Fault::Cable(HERO, false));
        self.pass(CHAOS);
        self.deafen();
        self.strike(Fault::Cable(HERO, true));
    }

    fn hearing_again(&mut self) {
        self.deafen();
        self.strike(Fault::Label {
            node: HERO,
            labelled: false,
            unheard_by: None,
        });
        self.pass(CHAOS * 2);
        self.strike(Fault::Heal);
    }

    fn last_word(&mut self) {
        self.lose_heartbeats();
        for node in (0..self.nodes.len()).filter(|node| *node != HERO) {
            self.strike(Fault::Crash(node));
        }
        self.network.set_quality(calm());
        // Who fought a moment ago does not fight at once again.
        self.pass(CHAOS * 5);
    }

    fn lose_heartbeats(&mut self) {
        let millis = self.now.as_millis();
        let _ = writeln!(self.story, "  {millis:>6} ms: no heartbeat arrives");
        self.network.set_quality(Quality {
            loss: 100,
            ..calm()
        });
        self.pass(CHAOS * 2);
    }

    /// From here on everybody hears the hero, and it hears nobody.
    fn deafen(&mut self) {
        let side = (0..self.nodes.len()).map(|node| node == HERO);
        self.strike(Fault::Split {
            side: side.collect(),
            one_way: true,
        });
    }
}
