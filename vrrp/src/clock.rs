//! The router's clock.

use std::time::Duration;

use l2::linux::clock;

use crate::proto::Moment;

/// Now, on a clock that counts time asleep and that nobody can set.
pub(crate) fn now() -> Moment {
    Moment::from(clock::boottime())
}

/// When a packet arrived that the kernel stamped with the wall clock. Somebody may have set that clock
/// between the stamp and now, so the answer is kept between `earliest` and now.
pub(crate) fn arrival(stamped: Option<Duration>, earliest: Moment) -> Moment {
    stamped.map_or_else(now, |stamped| {
        between(now(), clock::wall(), stamped, earliest)
    })
}

fn between(now: Moment, wall: Duration, stamped: Duration, earliest: Moment) -> Moment {
    now.before(wall.saturating_sub(stamped))
        .max(earliest)
        .min(now)
}

/// Wall-clock time of a moment, for people.
pub(crate) fn timestamp(moment: Moment) -> String {
    let age = now().since(moment);
    let wall = clock::wall().saturating_sub(age);
    let nanos = i128::try_from(wall.as_nanos()).unwrap_or(i128::MAX);
    jiff::Timestamp::from_nanosecond(nanos)
        .map_or_else(|_| String::new(), |stamp| format!("{stamp:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t08_a_wall_clock_that_was_set_moves_no_arrival() {
        let hour = Duration::from_secs(3600);
        let (now, wall) = (
            Moment::from_nanos(5_000_000_000),
            Duration::from_secs(1_000_000),
        );
        let earliest = now.before(Duration::from_millis(20));
        let age = Duration::from_millis(3);
        assert_eq!(between(now, wall, wall - age, earliest), now.before(age));
        assert_eq!(between(now, wall + hour, wall - age, earliest), earliest);
        assert_eq!(between(now, wall - hour, wall - age, earliest), now);
    }
}
