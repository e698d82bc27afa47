//! `nft` as the judge: what it says is what the kernel does.

use std::process::Command;

use nix::sched::{CloneFlags, unshare};

/// A fresh network namespace for this thread, if this host gives one.
pub(crate) fn alone() -> bool {
    let possible = unshare(CloneFlags::CLONE_NEWNET).is_ok() && nft("list tables").is_some();
    if !possible {
        eprintln!("SKIPPED: needs root and `nft`");
    }
    possible
}

/// What `nft` prints; `None` when it refuses.
pub(crate) fn nft(words: &str) -> Option<String> {
    let output = Command::new("nft").args(words.split(' ')).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() || text.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.status.success().then_some(text)
}

/// A listing with one space between words and without what changes by itself, or depends on who looks (the owner's name).
pub(crate) fn plain(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split(" # ").next().unwrap_or_default());
    let words = lines
        .flat_map(str::split_whitespace)
        .scan(false, |skip, word| {
            let was = std::mem::replace(skip, word == "expires");
            Some((word != "expires" && !was).then_some(word))
        });
    words.flatten().collect::<Vec<_>>().join(" ")
}

/// Spelling of one thing that versions of `nft` differ in.
pub(crate) fn settled(text: &str) -> String {
    text.replace("(syn|ack)", "(syn | ack)")
        .replace(" , ", ", ")
        .replace("syn / syn,ack", "& (syn | ack) == syn")
        .replace(" flags timeout timeout", " timeout")
}
