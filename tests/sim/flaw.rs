//! Deliberate mistakes: the checks are worth something only if they catch them.

/// A deliberate mistake, made around the router and not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Every Backup's timer runs out without the skew that keeps them apart.
    NoSkew,
    /// The loser goes without an advert, so the winner does not announce again.
    NoLastWord,
    /// Adverts of another cluster with the same VRID are obeyed.
    ObeysForeign,
    /// A sick Active only lowers its priority.
    LowersPriority,
    /// A take-over is announced when the addresses are asked for, and not when they are there.
    AnnouncesEarly,
    /// A take-over is announced once, although the loser's kernel may still answer for a while.
    AnnouncesOnce,
}

impl Flaw {
    pub(crate) const ALL: [Self; 6] = [
        Self::NoSkew,
        Self::NoLastWord,
        Self::ObeysForeign,
        Self::LowersPriority,
        Self::AnnouncesEarly,
        Self::AnnouncesOnce,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NoSkew => "no-skew",
            Self::NoLastWord => "no-last-word",
            Self::ObeysForeign => "obeys-foreign",
            Self::LowersPriority => "lowers-priority",
            Self::AnnouncesEarly => "announces-early",
            Self::AnnouncesOnce => "announces-once",
        }
    }
}
