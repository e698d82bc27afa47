//! Reports what the segment does through the API, when that changes.

use std::time::Duration;

use kube::Client;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::bulletin::Bulletin;
use crate::k8s::write;

/// Between two reports at least, and after one that was not taken.
const PAUSE: Duration = Duration::from_millis(250);
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Reports until `token` is cancelled, and once more then.
pub(super) async fn write(
    client: Client,
    node: String,
    bulletin: Bulletin,
    token: CancellationToken,
) {
    let mut told = None;
    loop {
        let current = bulletin.current();
        let done = told.as_ref() == Some(&current)
            || write::speaker(client.clone(), &node, current.clone()).await;
        let pause = if done { PAUSE } else { AFTER_FAILURE };
        if done {
            told = Some(current);
        }
        if token.is_cancelled() {
            return;
        }
        let next = async {
            sleep(pause).await;
            if done {
                bulletin.changed().await;
            }
        };
        tokio::select! {
            () = next => {}
            () = token.cancelled() => {}
        }
    }
}
