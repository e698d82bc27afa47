//! Why a session ended.

/// Why a session ended. The two letters are those of HAProxy's TCP log: who ended it, and in which phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Termination {
    /// Both sides finished.
    Completed,
    /// The client reset it, or vanished.
    ClientAborted,
    /// The server reset it, or vanished.
    ServerAborted,
    /// The client left before a server had answered.
    ClientLeftEarly,
    /// No server may be used.
    NoServer,
    /// Every server that was tried refused.
    ConnectFailed,
    /// No server answered in time.
    ConnectTimedOut,
    /// Waited too long for a server with room.
    QueueTimedOut,
    /// Too many waited already.
    QueueFull,
    /// No byte for too long.
    Idle,
    /// One side had finished, and no byte for too long.
    HalfClosedTooLong,
    /// Its server went down.
    ServerDown,
    /// Its server is no longer in the configuration.
    ServerRemoved,
    /// Its server is a backup, and another one came up.
    BackupRelieved,
    /// Somebody asked for it.
    Killed,
    /// The proxy stops, and the time to drain is over.
    Stopping,
    /// The client's address is not among the allowed ones.
    SourceNotAllowed,
    /// The client has too many connections, or opens them too quickly.
    SourceLimited,
    /// The PROXY header was wrong, missing or late.
    BadProxyHeader,
    /// Out of descriptors or memory.
    OutOfResources,
}

impl Termination {
    /// Every reason.
    pub(crate) const ALL: [Self; 20] = [
        Self::Completed,
        Self::ClientAborted,
        Self::ServerAborted,
        Self::ClientLeftEarly,
        Self::NoServer,
        Self::ConnectFailed,
        Self::ConnectTimedOut,
        Self::QueueTimedOut,
        Self::QueueFull,
        Self::Idle,
        Self::HalfClosedTooLong,
        Self::ServerDown,
        Self::ServerRemoved,
        Self::BackupRelieved,
        Self::Killed,
        Self::Stopping,
        Self::SourceNotAllowed,
        Self::SourceLimited,
        Self::BadProxyHeader,
        Self::OutOfResources,
    ];

    /// The letters of HAProxy's log.
    pub(crate) fn letters(self) -> &'static str {
        match self {
            Self::Completed => "--",
            Self::ClientAborted => "CD",
            Self::ServerAborted => "SD",
            Self::ClientLeftEarly => "CC",
            Self::NoServer | Self::ConnectFailed => "SC",
            Self::ConnectTimedOut => "sC",
            Self::QueueTimedOut => "sQ",
            Self::QueueFull => "PQ",
            Self::Idle => "cD",
            Self::HalfClosedTooLong => "cL",
            Self::ServerDown | Self::ServerRemoved => "D-",
            Self::BackupRelieved => "U-",
            Self::Killed | Self::Stopping => "K-",
            Self::SourceNotAllowed | Self::SourceLimited | Self::BadProxyHeader => "PR",
            Self::OutOfResources => "RC",
        }
    }

    /// One word, for metrics and the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::ClientAborted => "client_aborted",
            Self::ServerAborted => "server_aborted",
            Self::ClientLeftEarly => "client_left_early",
            Self::NoServer => "no_server",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimedOut => "connect_timed_out",
            Self::QueueTimedOut => "queue_timed_out",
            Self::QueueFull => "queue_full",
            Self::Idle => "idle",
            Self::HalfClosedTooLong => "half_closed_too_long",
            Self::ServerDown => "server_down",
            Self::ServerRemoved => "server_removed",
            Self::BackupRelieved => "backup_relieved",
            Self::Killed => "killed",
            Self::Stopping => "stopping",
            Self::SourceNotAllowed => "source_not_allowed",
            Self::SourceLimited => "source_limited",
            Self::BadProxyHeader => "bad_proxy_header",
            Self::OutOfResources => "out_of_resources",
        }
    }

    /// Position in [`Self::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_holds_every_reason_at_its_index() {
        for (i, reason) in Termination::ALL.iter().enumerate() {
            assert_eq!(reason.index(), i, "{}", reason.name());
        }
    }
}
