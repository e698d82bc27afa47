//! What the roles of one machine say of themselves: their status pages.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::core::cluster_view::Maintenance;

/// A virtual router, from its status page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterState {
    /// `active`, `backup`, `initialize`, `fault`, or `unreachable`.
    pub state: String,
    /// Since when.
    #[serde(default)]
    pub since: String,
    /// Why.
    #[serde(default)]
    pub why: String,
    /// Its virtual routers.
    #[serde(default, skip_serializing)]
    pub routers: Vec<Hearing>,
    /// What its checks say.
    #[serde(default, skip_serializing)]
    pub health: RouterHealth,
}

/// What the checks of a virtual router say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct RouterHealth {
    /// In a word.
    #[serde(default)]
    pub verdict: Option<String>,
}

/// Whom a virtual router hears.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hearing {
    /// Whose adverts say that it has the address.
    #[serde(default)]
    pub active_peer: Option<IpAddr>,
    /// From which address it speaks itself.
    #[serde(default)]
    pub source: Option<IpAddr>,
}

/// A proxy, from its status page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyState {
    /// API servers.
    pub servers: Vec<ServerState>,
}

/// An API server as a proxy sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerState {
    /// Name.
    pub name: String,
    /// `up`, `down` or `unknown`.
    pub state: String,
    /// Since when.
    #[serde(default)]
    pub since: String,
    /// Why.
    #[serde(default)]
    pub why: String,
    /// Sessions now.
    #[serde(default)]
    pub sessions: u64,
}

/// A speaker, from its status page: known without the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeakerPage {
    /// Where it is in its life.
    pub phase: String,
    /// Addresses that it answers for.
    #[serde(default, rename(serialize = "addresses"))]
    pub count: u64,
    /// Other speakers it does not hear.
    #[serde(default)]
    pub silent: Vec<String>,
}

/// What one machine answered to `script::role_status`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pages {
    /// Host name.
    pub hostname: Option<String>,
    /// Version of `lbnode`.
    pub lbnode: Option<String>,
    /// The virtual router.
    pub vrrp: Option<RouterState>,
    /// The proxy.
    pub proxy: Option<ProxyState>,
    /// The speaker.
    pub speaker: Option<SpeakerPage>,
}

/// State of a router whose page does not answer.
const SILENT: &str = "unreachable";

impl Pages {
    /// Reads the answer; a page that cannot be read is as good as none.
    pub fn parse(text: &str) -> Self {
        let mut pages = Self::default();
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            let value = value.trim();
            let known = || (!value.is_empty()).then(|| value.to_owned());
            match key {
                "hostname" => pages.hostname = known(),
                "version" => pages.lbnode = known(),
                "vrrp" => {
                    let silent = || RouterState {
                        state: SILENT.to_owned(),
                        since: String::new(),
                        why: "its status page does not answer".to_owned(),
                        routers: Vec::new(),
                        health: RouterHealth::default(),
                    };
                    pages.vrrp = Some(serde_json::from_str(value).unwrap_or_else(|_| silent()));
                }
                "proxy" => pages.proxy = serde_json::from_str(value).ok(),
                "speaker" => pages.speaker = serde_json::from_str(value).ok(),
                _ => {}
            }
        }
        pages
    }
}

impl ServerState {
    /// Whether clients are sent to it.
    pub fn is_up(&self) -> bool {
        self.state.eq_ignore_ascii_case("up")
    }
}

impl RouterState {
    /// One that is stopped for as long as its node is in maintenance.
    pub(super) fn resting(maintenance: Option<&Maintenance>) -> Self {
        Self {
            state: "stopped".to_owned(),
            since: maintenance.map_or_else(String::new, |noted| noted.since.clone()),
            why: "its node is in maintenance".to_owned(),
            routers: Vec::new(),
            health: RouterHealth::default(),
        }
    }

    /// It is well, and waits until nobody has the virtual IP.
    pub fn stands_back(&self) -> bool {
        self.health.verdict.as_deref() == Some("standing-back")
    }

    /// One of its virtual routers hears nobody who has the address.
    pub fn hears_nobody(&self) -> bool {
        let mut routers = self.routers.iter();
        routers.any(|router| router.active_peer.is_none())
    }

    /// Its page does not answer.
    pub fn is_silent(&self) -> bool {
        self.state == SILENT
    }

    /// It has the virtual IP.
    pub fn is_active(&self) -> bool {
        self.state.eq_ignore_ascii_case("active")
    }

    /// It could take the virtual IP.
    pub fn is_backup(&self) -> bool {
        self.state.eq_ignore_ascii_case("backup")
    }
}
