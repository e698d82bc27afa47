//! Connections whose address leaves this node. Nobody would answer their clients any more, who would wait for as long as
//! their own checks take (a client of Kubernetes 45 s, in which a kube-proxy learns of no Service): they are ended, so that the
//! clients connect again, to the new owner.

use std::io::ErrorKind;
use std::net::IpAddr;

use l2::linux::connections::{Connections, Peer};

/// Ends them, as far as the kernel can.
#[derive(Debug)]
pub(crate) struct Orphans {
    /// None: the kernel cannot.
    kernel: Option<Connections>,
}

impl Orphans {
    pub(crate) fn open() -> Self {
        Self {
            kernel: Connections::open().ok(),
        }
    }

    /// The address leaves now: clients elsewhere get a reset.
    pub(crate) fn end_with_others(&mut self, address: IpAddr) {
        self.end(address, Peer::Other);
    }

    /// The address has left: what programs of this node sent to it would go nowhere.
    pub(crate) fn end_with_itself(&mut self, address: IpAddr) {
        self.end(address, Peer::Itself);
    }

    fn end(&mut self, address: IpAddr, peer: Peer) {
        let Some(kernel) = &mut self.kernel else {
            return;
        };
        match kernel.end(address, peer) {
            Ok(0) => {}
            Ok(ends) => {
                tracing::info!(%address, ends, ?peer, "connections that lived here are over: their clients connect again");
            }
            Err(error) => {
                tracing::warn!(%address, %error, "connections of an address that leaves cannot be ended: their clients wait for their own checks");
                let never = [
                    ErrorKind::Unsupported,
                    ErrorKind::NotFound,
                    ErrorKind::PermissionDenied,
                ];
                if never.contains(&error.kind()) {
                    self.kernel = None;
                }
            }
        }
    }
}
