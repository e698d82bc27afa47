//! The clerk with a packet filter that does what it is told.

use std::net::{IpAddr, Ipv4Addr};

use l2::linux::{
    guard::Guarded,
    handover::Own,
    source_ranges::{Admitted, Endpoint},
};

use super::*;

/// What the packet filter is asked for: a table, or to guard so many addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Table(String),
    Guard(usize),
}

struct Scripted {
    asked: Sender<Asked>,
    /// It fails so often, and then no more.
    failures: usize,
    is_owned: bool,
    /// It cannot hold source ranges.
    has_no_lists: bool,
    slowness: Duration,
}

impl Scripted {
    fn new() -> (Self, Receiver<Asked>) {
        let (asked, seen) = channel();
        let filter = Self {
            asked,
            failures: 0,
            is_owned: true,
            has_no_lists: false,
            slowness: Duration::ZERO,
        };
        (filter, seen)
    }

    fn answer(&mut self, asked: Asked) -> io::Result<()> {
        thread::sleep(self.slowness);
        // The test may have seen enough.
        let _ = self.asked.send(asked);
        if self.failures == 0 {
            return Ok(());
        }
        self.failures -= 1;
        Err(io::Error::other("refused"))
    }
}

impl Filter for Scripted {
    fn change(&mut self, change: &Change) -> io::Result<()> {
        self.answer(Asked::Table(change.table().to_owned()))
    }

    fn watch(&mut self, part: Part, what: &Watch) -> io::Result<()> {
        match part {
            Part::Guard => self.answer(Asked::Guard(what.guarded.addresses.len())),
            Part::SourceRanges if self.has_no_lists => Err(io::Error::other("no such sets")),
            Part::SourceRanges => Ok(()),
        }
    }

    fn is_owned(&self) -> bool {
        self.is_owned
    }
}

fn table(name: &str) -> Asked {
    Asked::Table(name.to_owned())
}

fn pass_on(name: &str) -> Change {
    let what = PassOn {
        interface: 1,
        addresses: Vec::new(),
        predecessor: Ipv4Addr::LOCALHOST.into(),
        predecessor_macs: Vec::new(),
        own: Own::Tracked,
        grace: Duration::from_secs(5),
    };
    Change::PassOn {
        name: name.to_owned(),
        what,
    }
}

fn guarded(addresses: u8, segment: u32) -> Watch {
    let address = |last: u8| IpAddr::from([192, 0, 2, last]);
    let guarded = Guarded {
        addresses: (0..addresses).map(address).collect(),
        segments: [segment].into(),
    };
    Watch {
        guarded,
        ..Watch::default()
    }
}

/// The same, and who may connect to a port of the first one.
fn limited(addresses: u8, source: u8) -> Watch {
    let endpoint = Endpoint {
        address: IpAddr::from([192, 0, 2, 0]),
        protocol: 6,
        port: 443,
    };
    let source = IpAddr::from([192, 0, 2, source]);
    let mut watch = guarded(addresses, 1);
    let admitted = Admitted::from([(endpoint, vec![(source, source)])]);
    watch.source_ranges.admitted = admitted.into();
    watch
}

/// A job, and whoever waits for it.
fn job(task: Task) -> (Job, Receiver<io::Result<()>>) {
    let (done, answer) = channel();
    (Job { task, done }, answer)
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn of_guards_only_the_last_one_counts_and_the_end_takes_it_away() {
    let (filter, seen) = Scripted::new();
    let (jobs, waiting) = channel();
    for task in [
        Task::Watch(guarded(1, 1)),
        Task::Change(pass_on("a")),
        Task::Watch(guarded(2, 1)),
        Task::Change(pass_on("b")),
        Task::Watch(guarded(3, 1)),
    ] {
        jobs.send(job(task).0).unwrap();
    }
    drop(jobs);
    let mut desk = Desk::new(filter, PACE);
    desk.work(&waiting);
    drop(desk);
    let asked: Vec<Asked> = seen.iter().collect();
    let expected = [table("a"), table("b"), Asked::Guard(3), Asked::Guard(0)];
    assert_eq!(asked, expected);
}

#[test]
fn tables_come_before_the_guard_and_the_announcement_after_it() {
    let (filter, seen) = Scripted::new();
    let mut clerk = Clerk::with(filter, PACE).unwrap();
    clerk.watch(guarded(2, 1));
    clerk.carry_out(vec![pass_on("a"), pass_on("b")], LONG);
    let asked: Vec<Asked> = seen.try_iter().collect();
    assert_eq!(asked, [table("a"), table("b"), Asked::Guard(2)]);
    // The same once more is nothing new.
    clerk.watch(guarded(2, 1));
    clerk.carry_out(vec![pass_on("c")], LONG);
    drop(clerk);
    let asked: Vec<Asked> = seen.iter().collect();
    assert_eq!(asked, [table("c"), Asked::Guard(0)]);
}

#[test]
fn who_guards_more_waits_and_who_guards_less_does_not() {
    let (filter, seen) = Scripted::new();
    let mut clerk = Clerk::with(filter, PACE).unwrap();
    for (wanted, waits) in [
        (guarded(2, 1), true),
        (guarded(2, 1), false),
        (guarded(1, 1), false),
        (guarded(1, 2), true),
        (limited(1, 7), true),
        (limited(1, 8), false),
        (guarded(1, 1), false),
        (guarded(0, 1), false),
    ] {
        clerk.watch(wanted.clone());
        let answer = clerk.order_watch();
        assert_eq!(answer.is_some(), waits, "{wanted:?}");
        if let Some(answer) = answer {
            answer.recv_timeout(LONG).unwrap().unwrap();
        }
    }
    drop(clerk);
    assert_eq!(seen.iter().last(), Some(Asked::Guard(0)));
}

#[test]
fn all_is_waited_for_together() {
    const EACH: Duration = Duration::from_millis(150);
    let (mut filter, seen) = Scripted::new();
    filter.slowness = EACH;
    let mut clerk = Clerk::with(filter, PACE).unwrap();
    clerk.watch(guarded(1, 1));
    let begin = now();
    clerk.carry_out(vec![pass_on("a"), pass_on("b"), pass_on("c")], EACH);
    // Four times as long, if each had its own patience.
    assert!(begin.elapsed() < 3 * EACH);
    drop(clerk);
    assert!(seen.iter().any(|asked| asked == Asked::Guard(1)));
}

#[test]
fn a_failure_that_nobody_waits_for_is_told() {
    let (mut filter, _seen) = Scripted::new();
    filter.failures = 2;
    let mut desk = Desk::new(filter, PACE);
    let (awaited, answer) = job(Task::Change(pass_on("a")));
    assert!(desk.make(awaited).is_empty());
    assert!(answer.recv().unwrap().is_err());
    let (late, answer) = job(Task::Change(pass_on("b")));
    drop(answer);
    let told = desk.make(late);
    assert!(matches!(told.as_slice(), [Remark::Late { table, .. }] if table == "b"));
}

#[test]
fn a_guard_that_fails_is_told_once_and_once_that_it_works_again() {
    for is_owned in [true, false] {
        let (mut filter, _seen) = Scripted::new();
        filter.failures = 2;
        filter.is_owned = is_owned;
        let mut desk = Desk::new(filter, PACE);
        let (first, _answer) = job(Task::Watch(guarded(1, 1)));
        let told = desk.make(first);
        assert!(matches!(told.as_slice(), [Remark::Refused(Part::Guard, _)]));
        assert!(desk.set_watch().is_empty());
        assert!(desk.again.is_some());
        let told = desk.set_watch();
        assert!(matches!(told.as_slice(), [Remark::SetAgain(Part::Guard)]));
        assert!(desk.set_watch().is_empty());
        // Where others may remove it, it is set again all the same.
        assert_eq!(desk.again.is_some(), !is_owned);
    }
}

#[test]
fn a_guard_is_set_again_after_a_failure_and_where_others_may_remove_it() {
    let pace = Pace {
        retry: Duration::from_millis(10),
        renewal: Duration::from_millis(10),
    };
    for (is_owned, times) in [(true, 2), (false, 5)] {
        let (mut filter, seen) = Scripted::new();
        filter.failures = 1;
        filter.is_owned = is_owned;
        let mut clerk = Clerk::with(filter, pace).unwrap();
        clerk.watch(guarded(1, 1));
        clerk.carry_out(Vec::new(), LONG);
        for _ in 0..times {
            assert_eq!(seen.recv_timeout(LONG), Ok(Asked::Guard(1)));
        }
        if is_owned {
            let more = seen.recv_timeout(Duration::from_millis(100));
            assert_eq!(more, Err(RecvTimeoutError::Timeout));
        }
    }
}

#[test]
fn what_cannot_be_taken_away_at_the_end_is_told() {
    let (filter, _seen) = Scripted::new();
    let mut desk = Desk::new(filter, PACE);
    assert!(desk.leave().is_empty());
    let (job, _answer) = job(Task::Watch(guarded(1, 1)));
    assert!(desk.make(job).is_empty());
    desk.filter.failures = 1;
    assert!(matches!(desk.leave().as_slice(), [Remark::Left(_)]));
}

#[test]
fn a_kernel_without_lists_of_ranges_guards_all_the_same() {
    let (mut filter, seen) = Scripted::new();
    filter.has_no_lists = true;
    let mut desk = Desk::new(filter, PACE);
    let (first, _answer) = job(Task::Watch(limited(1, 7)));
    let told = desk.make(first);
    assert!(matches!(
        told.as_slice(),
        [Remark::Refused(Part::SourceRanges, _)]
    ));
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [Asked::Guard(1)]);
    assert!(desk.again.is_some(), "it is tried again");
    assert!(desk.set_watch().is_empty(), "and told once");
}
