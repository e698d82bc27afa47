//! How well a node's API load balancer is.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::core::cluster_view::BalancerPod;
use crate::core::desired::Machine;
use crate::core::status::Pages;
use crate::manifest::{self, static_pod};

/// Load balancers by address of their machine.
pub type Balancers = BTreeMap<IpAddr, Balancer>;

/// The API load balancer of one node: what its status pages say, and what the API knows about its pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balancer {
    /// Its status pages, or why there are none.
    pub pages: Result<Pages, String>,
    /// Its pods.
    pub pods: Vec<BalancerPod>,
}

impl Balancer {
    /// Its router has the virtual IP.
    pub fn is_active(&self) -> bool {
        let pages = self.pages.as_ref().ok();
        let router = pages.and_then(|pages| pages.vrrp.as_ref());
        router.is_some_and(|router| router.state.eq_ignore_ascii_case("active"))
    }

    /// Why it could not take the virtual IP; `None`: it could, or has it. `image_digest`: it must run with the settings
    /// of the file and this image.
    pub fn trouble(&self, machine: &Machine, image_digest: Option<&str>) -> Option<String> {
        let pages = match &self.pages {
            Ok(pages) => pages,
            Err(why) => return Some(format!("cannot be asked: {why}")),
        };
        let configs = manifest::load_balancer_configs(machine);
        for (pod, config) in [static_pod::VRRP, static_pod::PROXY].iter().zip(configs) {
            let name = pod.name();
            let Some(known) = self.pods.iter().find(|known| known.name == name) else {
                return Some(format!("the API knows no pod {name} of it"));
            };
            if let Some(digest) = image_digest {
                let current =
                    known.config_sha256 == config.sha256() && known.image_digest == digest;
                if !current {
                    return Some(format!("{name} has not been restarted yet"));
                }
            }
            if !known.ready {
                return Some(format!("{name} is not ready"));
            }
        }
        match &pages.vrrp {
            None => Some("its router says nothing".to_owned()),
            Some(router) => {
                let is = |state| router.state.eq_ignore_ascii_case(state);
                // One that was just restarted must hear whoever has the virtual IP: that one may be of another release.
                if image_digest.is_some() && is("backup") && router.hears_nobody() {
                    return Some(
                        "its router is a backup and hears no owner of the virtual IP".to_owned(),
                    );
                }
                let well = is("active") || is("backup");
                (!well).then(|| format!("its router is in state {}: {}", router.state, router.why))
            }
        }
    }
}
