//! Reports what the segment does through the API, when that changes and now and then.

use std::time::Duration;

use kube::Client;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::bulletin::Bulletin;
use crate::k8s::{crd::SpeakerStatus, write};

/// Between two reports at least, and after one that was not taken.
const PAUSE: Duration = Duration::from_millis(250);
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Told again then, though nothing changed: somebody may have removed it.
const AGAIN: Duration = Duration::from_secs(60);

/// Reports until `token` is cancelled, and once more then.
pub(super) async fn write(
    client: Client,
    node: String,
    bulletin: Bulletin,
    token: CancellationToken,
) {
    let tell = |status| {
        let (client, node) = (client.clone(), node.clone());
        async move { write::speaker(client, &node, status).await }
    };
    keep_told(bulletin, token, tell).await;
}

/// Calls `tell`, which says whether that worked.
async fn keep_told<T: Future<Output = bool>>(
    bulletin: Bulletin,
    token: CancellationToken,
    tell: impl Fn(SpeakerStatus) -> T,
) {
    let mut told = None;
    loop {
        // Before the look at what there is to tell: the last word is told, whatever was under way.
        let is_last = token.is_cancelled();
        let current = bulletin.current();
        let done = told.as_ref() == Some(&current) || tell(current.clone()).await;
        let pause = if done { PAUSE } else { AFTER_FAILURE };
        if done {
            told = Some(current);
        }
        if is_last {
            return;
        }
        let next = async {
            sleep(pause).await;
            done && timeout(AGAIN, bulletin.changed()).await.is_err()
        };
        tokio::select! {
            is_old = next => if is_old {
                told = None;
            },
            () = token.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use daemon::metrics::SharedRegistry;
    use tokio::time::Instant;

    use super::*;

    /// Somebody deletes the object, or the API server is restored from a backup.
    #[tokio::test(start_paused = true)]
    async fn what_was_told_is_told_again_each_minute() {
        let bulletin = Bulletin::new(&SharedRegistry::default());
        let token = CancellationToken::new();
        let times = Arc::new(Mutex::new(Vec::new()));
        let start = Instant::now();
        let tell = |_: SpeakerStatus| {
            let mut times = times.lock().unwrap();
            times.push(start.elapsed().as_secs());
            // The second time the API server does not take it.
            std::future::ready(times.len() != 2)
        };
        let change = async {
            sleep(Duration::from_secs(150)).await;
            let status = SpeakerStatus {
                count: 1,
                ..bulletin.current()
            };
            bulletin.tell(status, 0, 0);
            sleep(Duration::from_secs(10)).await;
            token.cancel();
        };
        tokio::join!(keep_told(bulletin.clone(), token.clone(), tell), change);
        assert_eq!(*times.lock().unwrap(), [0, 60, 65, 125, 150]);
    }
}
