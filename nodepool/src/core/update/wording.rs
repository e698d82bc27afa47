//! Where no node binary is named, nodes are compared with each other, as far as they can be: what most of them have in other
//! words than this release would write, or by another image's name, is of another release, and nobody's edit.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::drift::has_other_content;
use crate::core::facts::Facts;
use crate::core::step::Step;
use crate::lbnode;
use crate::manifest::{BALANCER_CA, PROXY_CONFIG, VRRP_CONFIG, cni};

/// What this release has otherwise than most nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wording {
    files: BTreeSet<String>,
    image: bool,
}

impl Wording {
    /// `planned`: what an update would do on each machine.
    pub(super) fn of_most(
        facts: &BTreeMap<IpAddr, Facts>,
        planned: &BTreeMap<IpAddr, Vec<&Step>>,
    ) -> Self {
        let has = |facts: &Facts, own: bool| {
            let mut names = facts.images.keys();
            names.any(|name| name.starts_with(lbnode::REPOSITORY) && (name == lbnode::IMAGE) == own)
        };
        let another = facts.values().any(|facts| has(facts, false));
        let with = facts.values().filter(|facts| has(facts, true)).count();
        let mut without = 0;
        let mut other: BTreeMap<&str, usize> = BTreeMap::new();
        for (address, steps) in planned {
            let Some(facts) = facts.get(address) else {
                continue;
            };
            for step in steps {
                match step {
                    Step::ImportLbnode { .. } => without += 1,
                    Step::PutFile(file)
                        if file.path != BALANCER_CA && has_other_content(file, facts) =>
                    {
                        *other.entry(&file.path).or_default() += 1;
                    }
                    _ => {}
                }
            }
        }
        let image = another && without > with;
        // A single node is compared with nobody.
        let mostly = |(path, other): &(&str, usize)| {
            let all = facts.values().filter(|one| one.files.contains_key(*path));
            2 * other > all.count() && (*other > 1 || image)
        };
        let files = other.into_iter().filter(mostly);
        Self {
            files: files.map(|(path, _)| path.to_owned()).collect(),
            image,
        }
    }

    /// This program is of another release than most nodes.
    pub(super) fn differs(&self) -> bool {
        self.image || !self.files.is_empty()
    }

    /// Whether nothing but the release is behind a step. `edited`: the machine's settings differ by more than their words.
    pub(super) fn explains(&self, step: &Step, facts: &Facts, edited: bool) -> bool {
        match step {
            Step::ImportLbnode { .. } => self.image,
            Step::PutFile(file) => {
                let settings = [VRRP_CONFIG, PROXY_CONFIG].contains(&file.path.as_str());
                let restarts = settings || file.path.starts_with(MANIFESTS);
                let otherwise = self.files.contains(&file.path) && has_other_content(file, facts);
                otherwise && !(restarts && edited)
            }
            Step::StartRoutes => self.files.contains(cni::ROUTES) && !facts.unread(cni::ROUTES),
            _ => false,
        }
    }
}

/// Static pods.
const MANIFESTS: &str = "/etc/kubernetes/manifests/";
