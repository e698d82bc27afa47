//! Keeps a key for the heartbeats of the speakers in the cluster while this process leads.

use std::time::Duration;

use kube::Client;
use tokio::{task::JoinHandle, time::sleep};

use crate::{k8s::write, speaker::KEYS};

/// Between two looks. A look is a creation that is refused because the Secret is there: so this process need not be
/// allowed to read it.
const LOOK: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// Works until it is dropped.
pub(super) struct KeyKeeper(JoinHandle<()>);

impl KeyKeeper {
    pub(super) fn start(client: Client, namespace: String) -> Self {
        Self::looking(client, namespace, LOOK)
    }

    fn looking(client: Client, namespace: String, every: Duration) -> Self {
        Self(tokio::spawn(async move {
            let mut pause = FIRST_PAUSE.min(every);
            loop {
                if write::speaker_keys(&client, &namespace, KEYS).await {
                    sleep(every).await;
                } else {
                    sleep(pause).await;
                    pause = (pause * 2).min(every);
                }
            }
        }))
    }
}

impl Drop for KeyKeeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    };

    use serde_json::json;

    use super::*;
    use crate::k8s::fake;

    const LITTLE: Duration = Duration::from_millis(5);

    async fn until(made: &AtomicU32, count: u32) {
        let waiting = async {
            while made.load(SeqCst) != count {
                sleep(LITTLE).await;
            }
        };
        let made = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        made.expect("it is made");
    }

    #[tokio::test]
    async fn a_secret_that_is_deleted_is_made_again_while_this_process_leads() {
        let (there, made) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU32::new(0)),
        );
        let (exists, count) = (Arc::clone(&there), Arc::clone(&made));
        let client = fake::client(move |request| {
            assert_eq!(request.method(), "POST", "it is never read");
            if exists.swap(true, SeqCst) {
                return (409, fake::refusal(409, "AlreadyExists"));
            }
            count.fetch_add(1, SeqCst);
            let secret =
                json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": KEYS } });
            (201, secret)
        });
        let keeper = KeyKeeper::looking(client, "lb-system".to_owned(), LITTLE);
        until(&made, 1).await;
        sleep(LITTLE * 20).await;
        assert_eq!(made.load(SeqCst), 1, "it is there");
        there.store(false, SeqCst);
        until(&made, 2).await;
        drop(keeper);
        sleep(LITTLE).await;
        there.store(false, SeqCst);
        sleep(LITTLE * 20).await;
        assert_eq!(made.load(SeqCst), 2, "another process leads");
    }
}
