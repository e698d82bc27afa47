//! Which front ends are listened on, and why others are not yet.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::hand_over::{Item, Parcel, Predecessor};
use crate::config::FrontendPlan;
use crate::engine;
use crate::engine::table::Frontend;
use crate::status::FrontendRow;

/// A front end and whether it is listened on.
#[derive(Debug)]
struct Listened {
    frontend: Arc<Frontend>,
    trouble: Option<String>,
    /// Copies of the threads' sockets, for a successor.
    sockets: Vec<OwnedFd>,
}

/// All front ends.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    all: Vec<Listened>,
}

impl Listened {
    fn is_bound(&self) -> bool {
        !self.sockets.is_empty()
    }
}

impl Listeners {
    /// Uses these from now on. One with the same name and address goes on being listened on and counted.
    pub(crate) fn adopt(&mut self, plans: &[FrontendPlan]) {
        let mut before = std::mem::take(&mut self.all);
        for plan in plans {
            let position = before.iter().position(|listened| {
                listened.frontend.name == plan.name && listened.frontend.address == plan.address
            });
            let known = position.map(|position| before.swap_remove(position));
            let counters = known
                .as_ref()
                .map(|l| Arc::clone(&l.frontend.counters))
                .unwrap_or_default();
            let (name, allowed) = (plan.name.clone(), plan.allowed.clone());
            let trusted = plan.proxy_from.clone();
            let frontend = Arc::new(Frontend::new(
                name,
                plan.address,
                allowed,
                trusted,
                counters,
            ));
            let (trouble, sockets) =
                known.map_or_else(Default::default, |known| (known.trouble, known.sockets));
            self.all.push(Listened {
                frontend,
                trouble,
                sockets,
            });
        }
    }

    /// As it is shown.
    pub(crate) fn rows(&self) -> Vec<FrontendRow> {
        let row = |listened: &Listened| FrontendRow {
            frontend: Arc::clone(&listened.frontend),
            listening: listened.is_bound(),
            trouble: listened.trouble.clone(),
        };
        self.all.iter().map(row).collect()
    }

    pub(crate) fn frontends(&self) -> Vec<Arc<Frontend>> {
        self.all
            .iter()
            .map(|listened| Arc::clone(&listened.frontend))
            .collect()
    }

    pub(crate) fn complete(&self) -> bool {
        self.all.iter().all(|listened| listened.is_bound())
    }

    /// A front end's address is on a network interface and might go to another one (loopback addresses do not).
    pub(crate) fn some_address_may_leave(&self) -> bool {
        self.all
            .iter()
            .filter(|listened| listened.is_bound())
            .any(|listened| {
                let address = listened.frontend.address.ip();
                !address.is_loopback() && !address.is_unspecified() && engine::is_on_link(address)
            })
    }

    /// Binds what is not bound, or takes it from `predecessor`: sockets by front end, at least one per thread. What fails is
    /// said once and tried again later.
    pub(crate) fn bind_missing(
        &mut self,
        threads: usize,
        mut predecessor: Option<&mut Predecessor>,
    ) -> Vec<(String, Vec<OwnedFd>)> {
        let mut sockets = Vec::new();
        for listened in self.all.iter_mut().filter(|listened| !listened.is_bound()) {
            let (name, address) = (listened.frontend.name.clone(), listened.frontend.address);
            let inherited = predecessor
                .as_mut()
                .map(|predecessor| predecessor.take_frontend(&name, address))
                .unwrap_or_default();
            let missing = threads.saturating_sub(inherited.len());
            let bound = engine::bind(address, missing).and_then(|fresh| {
                let all: Vec<OwnedFd> = inherited.into_iter().chain(fresh).collect();
                let copies: io::Result<Vec<OwnedFd>> = all.iter().map(OwnedFd::try_clone).collect();
                Ok((all, copies?))
            });
            match bound {
                Ok((all, copies)) => {
                    tracing::info!(frontend = name, %address, "listening");
                    listened.sockets = copies;
                    listened.trouble = None;
                    sockets.push((name, all));
                }
                Err(error) => {
                    let trouble = explain(&error);
                    if listened.trouble.as_ref() != Some(&trouble) {
                        tracing::warn!(frontend = name, %address, %trouble, "cannot listen: tries again");
                        listened.trouble = Some(trouble);
                    }
                }
            }
        }
        sockets
    }

    /// Copies of all sockets, for a successor.
    pub(crate) fn parcels(&self) -> Vec<Parcel> {
        let parcel = |listened: &Listened| {
            let Frontend { name, address, .. } = &*listened.frontend;
            let sockets: io::Result<Vec<OwnedFd>> =
                listened.sockets.iter().map(OwnedFd::try_clone).collect();
            Some((
                Item::Frontend {
                    name: name.clone(),
                    address: *address,
                },
                sockets.ok()?,
            ))
        };
        self.all.iter().filter_map(parcel).collect()
    }
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there: `ss -ltnp` names it".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "not allowed: ports below 1024 need the capability NET_BIND_SERVICE".to_owned()
        }
        _ => error.to_string(),
    }
}
