//! The shell texts that run on machines, and how they are wrapped. Nothing here does I/O.
//!
//! Three rules. A text that changes something is idempotent, so that running it again after any interruption
//! is right. Secrets come by standard input. What `lbctl` puts on a machine is noted in
//! `/var/lib/lbctl/ledger` first, so that `reset` finds it without help.

mod node;
mod probe;
mod takeover;
mod text;

pub use node::*;
pub use probe::*;
pub use takeover::*;

use crate::remote::Script;

/// Programs that every script may expect on the PATH, whatever the login shell says.
const PRELUDE: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; LC_ALL=C; export PATH LC_ALL\n";

/// Runs `$1` as the machine's only step. Its output goes to a file first, so that the step goes on
/// unharmed when the connection, or `lbctl` itself, is gone. 127 is kept for "the shell was not found".
const STEP: &str = r#"umask 077
mkdir -p /run/lbctl /run/lock || exit 73
exec 8>>/run/lock/lbctl-step.lock
flock 8 || exit 70
output=$(mktemp /run/lbctl/output.XXXXXX) || exit 73
body=$1; shift
umask 022
sh -c "$body" lbctl "$@" >"$output" 2>&1 8>&-
status=$?
cat "$output"
rm -f "$output"
[ "$status" -ne 127 ] || status=126
exit "$status"
"#;

/// The argument vector that runs `script` on a machine, where the login user is root or has sudo.
pub fn wrapped(script: &Script, root: bool) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    if !root {
        words.extend(["sudo", "-n", "--"].map(str::to_owned));
    }
    words.extend(["sh".to_owned(), "-c".to_owned()]);
    let body = format!("{PRELUDE}{}", script.body);
    if script.exclusive {
        words.extend([format!("{PRELUDE}{STEP}"), "lbctl".to_owned(), body]);
    } else {
        words.extend([body, "lbctl".to_owned()]);
    }
    words.extend(script.args.iter().cloned());
    words
}

#[cfg(test)]
mod tests;
