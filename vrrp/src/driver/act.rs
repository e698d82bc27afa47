//! Does what the groups want.

use std::io;
use std::time::Duration;

use super::Driver;
use crate::clock::now;
use crate::host::HostCommand;
use crate::ports::RouterKey;
use crate::proto::packet::MAX_LEN;
use crate::proto::{Action, Destination, Group, Version};

impl Driver {
    /// Does what a group wants.
    pub(super) fn act(&mut self, id: usize) {
        while let Some(action) = self.groups.get_mut(&id).and_then(Group::poll_action) {
            match action {
                Action::Send {
                    member,
                    destination,
                    version,
                    priority,
                } => {
                    self.send((id, member), destination, version, priority);
                }
                Action::Own { confirm } => {
                    self.host.send(HostCommand::Own { group: id, confirm });
                }
                Action::Release => {
                    self.host.send(HostCommand::Release { group: id });
                }
                Action::Linger => {
                    self.host.send(HostCommand::Linger { group: id });
                }
                Action::PassOn { member, to } => {
                    let group = id;
                    self.host.send(HostCommand::PassOn { group, member, to });
                }
                Action::Announce {
                    member,
                    address,
                    reply,
                } => {
                    if let Err(error) = self.ports.announce((id, member), address, reply) {
                        self.count_send_error(&error);
                    }
                }
                Action::Solicit { member, peer } => {
                    if let Err(error) = self.ports.solicit((id, member), peer, now()) {
                        self.count_send_error(&error);
                    }
                }
                Action::Transition { from, to, why } => {
                    if let Some(group) = self.groups.get(&id) {
                        let name = &group.settings().name;
                        tracing::info!(group = name, %from, %to, reason = why.kind(), "{name}: {from} -> {to}: {why}");
                    }
                    (self.notice)(&self.groups);
                }
                Action::Alarm(alarm) => {
                    tracing::warn!(alarm = alarm.kind(), "{alarm}");
                }
                Action::Stopped => self.retire(id),
            }
        }
    }

    fn send(&mut self, key: RouterKey, destination: Destination, version: Version, priority: u8) {
        let mut buffer = [0; MAX_LEN];
        let Some(group) = self.groups.get(&key.0) else {
            return;
        };
        let encoded = group.encode(key.1, destination, version, priority, &mut buffer);
        let Some((message, _, receiver)) = encoded else {
            return;
        };
        // The last word matters more than a millisecond of delay.
        let tries = if priority == 0 { 3 } else { 1 };
        for left in (0..tries).rev() {
            match self.ports.send(key, receiver, message) {
                Ok(()) => return,
                Err(error) => {
                    self.count_send_error(&error);
                    if left > 0 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            }
        }
    }

    fn count_send_error(&mut self, error: &io::Error) {
        self.send_errors += 1;
        // Powers of two: a persistent fault is told again, ever more rarely.
        if self.send_errors.is_power_of_two() {
            tracing::warn!(%error, count = self.send_errors, "an advert or announcement could not be sent; a firewall on this node is one possible cause");
        }
    }

    fn retire(&mut self, id: usize) {
        let members = self
            .groups
            .remove(&id)
            .map_or(0, |group| group.members().len());
        for member in 0..members {
            self.ports.detach(&self.poller, (id, member));
            self.places.remove(&(id, member));
            self.waiting.remove(&(id, member));
        }
        self.host.send(HostCommand::Retire { group: id });
        (self.notice)(&self.groups);
    }
}
