//! Writes that are under way.

use std::time::Duration;

use futures::{
    StreamExt as _,
    future::{BoxFuture, FutureExt as _},
    stream::FuturesUnordered,
};
use jiff::Timestamp;
use kube::Client;

use super::pool_status::PoolStatusWrite;
use crate::{
    core::{
        ledger::{BlockId, BlockWrite},
        registrar::ServiceWrite,
        service::ServiceKey,
    },
    k8s::write::{self, BlockWritten, ServiceWritten},
};

/// How a write ended.
pub(super) enum Ended {
    Service(ServiceKey, ServiceWritten),
    Block(BlockId, BlockWritten),
    Pool,
}

/// Services written at the same time.
const MOST: usize = 48;
/// After a write that failed, and after one that changed nothing: the same second would make it the same again.
const AFTER_FAILURE: Duration = Duration::from_millis(300);
const AFTER_NOTHING: Duration = Duration::from_secs(1);

/// Writes that are under way.
pub(super) struct Writes {
    client: Client,
    pending: FuturesUnordered<BoxFuture<'static, Ended>>,
}

impl Writes {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            pending: FuturesUnordered::new(),
        }
    }

    pub(super) fn have_room(&self) -> bool {
        self.pending.len() < MOST
    }

    /// Lets go of all of them: what comes of them is seen by whoever looks.
    pub(super) fn abandon(&mut self) {
        self.pending.clear();
    }

    /// The next one that ends; never, if there is none.
    pub(super) async fn next(&mut self) -> Ended {
        match self.pending.next().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    pub(super) fn service(&self, write: ServiceWrite, now: Timestamp) {
        let client = self.client.clone();
        let request = async move {
            let written = write::service(client, &write, now).await;
            match &written {
                ServiceWritten::Failed => tokio::time::sleep(AFTER_FAILURE).await,
                ServiceWritten::Done(version) if *version == write.version => {
                    tokio::time::sleep(AFTER_NOTHING).await;
                }
                _ => {}
            }
            Ended::Service(write.key, written)
        };
        self.pending.push(request.boxed());
    }

    pub(super) fn block(&self, write: BlockWrite) {
        let client = self.client.clone();
        let request = async move {
            let written = write::block(client, &write).await;
            if matches!(written, BlockWritten::Failed(_)) {
                // The registrar wants it again at once.
                tokio::time::sleep(AFTER_FAILURE).await;
            }
            Ended::Block(write.id, written)
        };
        self.pending.push(request.boxed());
    }

    pub(super) fn pool(&self, status: PoolStatusWrite) {
        let client = self.client.clone();
        let request = async move {
            write::pool(client, status.status, status.since).await;
            Ended::Pool
        };
        self.pending.push(request.boxed());
    }
}
