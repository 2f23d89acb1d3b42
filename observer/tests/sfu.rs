//! Browsers that talk by way of the chat server's SFU: what the observer counts of each leg, at
//! the page and at the server, against what the pages say of themselves (`getStats()`) and
//! against the firewall's counters.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod peers {
    pub(crate) mod cache;
    pub(crate) mod ends;
    pub(crate) mod firewall;
    pub(crate) mod folder;
    pub(crate) mod namespace;
    #[expect(dead_code, reason = "nobody asks it for connections here")]
    pub(crate) mod observer;
    pub(crate) mod pages;
    pub(crate) mod patience;
    #[expect(dead_code, reason = "a server is killed, and says what it has to in its log")]
    pub(crate) mod process;
    pub(crate) mod room;
    pub(crate) mod sfu;
    pub(crate) mod tool;
}

use std::{
    cmp::Ordering,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    thread::{panicking, sleep},
    time::Duration,
};

use observer::export::snapshot::{Snapshot, Voice};
use peers::{
    ends::{DEVICE, Ends},
    firewall::Firewall,
    observer::{Observer, PATIENCE},
    pages::{Browser, Page},
    patience::until,
    room::{Counts, Heard, Room},
    sfu::Sfu,
    tool,
};

const TOOLS: [&str; 4] = ["ip", "nft", "node", "chromium"];
/// How long people talk.
const TALK: Duration = Duration::from_secs(12);
/// From the last packet to the moment when everybody has taken it, and the observer has looked.
const SETTLE: Duration = Duration::from_millis(1_500);
/// How long audio may go one way, from one who is not mute to one who is.
const ONE_WAY: Duration = Duration::from_secs(3);
/// Packets a second of Opus in a browser.
const RATE: f64 = 50.0;
/// The most that the SFU of two keeps packets at the median, in s: a bound of the histogram's.
const HOP: f64 = 0.005;

/// One call at a time: browsers would take each other the time in which packets are to go.
static ALONE: Mutex<()> = Mutex::new(());

/// A flow in few words.
fn brief(flow: &Voice) -> String {
    format!(
        "{} {} to {}, {:#010x}: {} of {}, {} lost, {} twice, jitter {:.2} ms, round trip {:?} ms \
         by {:?}, hop {:?} ms (most {:?}), {:?}",
        flow.direction.as_deref().unwrap_or("?"),
        flow.src,
        flow.dst,
        flow.ssrc,
        flow.packets,
        flow.expected,
        flow.lost,
        flow.duplicates,
        flow.jitter_ms,
        flow.rtt_ms,
        flow.path.as_ref().and_then(|path| path.rtt_source.as_deref()),
        flow.hop_delay_ms,
        flow.hop_delay_max_ms,
        flow.process.as_ref().map(|process| process.comm.as_str()),
    )
}

/// What was known when nothing was sent any more. Said in full where a test fails.
struct Rest {
    snapshot: Snapshot,
    counts: Vec<Counts>,
    pages: Vec<SocketAddr>,
    media: SocketAddr,
}

impl Drop for Rest {
    fn drop(&mut self) {
        if panicking() {
            let media = self.media.to_string();
            let ours =
                self.snapshot.voice.iter().filter(|flow| [&flow.src, &flow.dst].contains(&&media));
            ours.for_each(|flow| println!("{}", brief(flow)));
            println!("{:#?}\n{:#?}", self.counts, self.snapshot.ledger);
        }
    }
}

/// Both ends of a leg: what left one and what came to the other.
struct Leg<'a> {
    sent: &'a Voice,
    received: &'a Voice,
}

impl Rest {
    /// Of one microphone, between the server and one page.
    fn leg(&self, ssrc: u32, from: SocketAddr, to: SocketAddr) -> Leg<'_> {
        let (from, to) = (from.to_string(), to.to_string());
        let end = |direction: &str| {
            let is_it = |flow: &&Voice| {
                (flow.ssrc, &flow.src, &flow.dst) == (ssrc, &from, &to)
                    && flow.direction.as_deref() == Some(direction)
            };
            let found: Vec<_> = self.snapshot.voice.iter().filter(is_it).collect();
            assert_eq!(found.len(), 1, "{direction} {ssrc:#x} {from} to {to}: {found:#?}");
            found[0]
        };
        Leg { sent: end("transmit"), received: end("receive") }
    }

    /// From the page of one to the server.
    fn up(&self, talker: usize) -> Leg<'_> {
        self.leg(self.counts[talker].ssrc, self.pages[talker], self.media)
    }

    /// What one says, from the server to the page of another.
    fn down(&self, talker: usize, listener: usize) -> (Leg<'_>, &Heard) {
        let ssrc = self.counts[talker].ssrc;
        let heard = self.counts[listener].heard.iter().find(|heard| heard.ssrc == ssrc);
        let heard = heard.expect("everybody hears everybody");
        (self.leg(ssrc, self.media, self.pages[listener]), heard)
    }

    /// One who talks and one who listens, each with each other one.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let all = 0..self.pages.len();
        all.clone()
            .flat_map(move |one| all.clone().map(move |other| (one, other)))
            .filter(|(one, other)| one != other)
    }

    /// Whether each page's round trip is the browser's, who sends a check a little before the
    /// kernel does, takes the answer a little later, and tells whole milliseconds. Checks go on
    /// while nobody talks, so one may come between the two looks.
    fn do_round_trips_agree(&self) -> bool {
        self.counts.iter().enumerate().all(|(talker, said)| {
            let ours = self.up(talker).sent.rtt_ms;
            let Some((ours, theirs)) = ours.zip(said.round_trip_ms) else { return false };
            (-1.0..5.0).contains(&(theirs - ours))
        })
    }

    /// The counts of a way to the server, of which the firewall has taken so many packets.
    fn up_agrees(&self, talker: usize, dropped: u64) {
        let (Leg { sent, received }, said) = (self.up(talker), &self.counts[talker]);
        println!("{}\n{}\ngetStats: {said:?}", brief(sent), brief(received));
        assert_eq!((sent.packets, sent.lost), (said.sent, 0), "sent, ours and getStats");
        assert_eq!(received.packets + dropped, said.sent, "received and dropped, and sent");
        // What is lost behind the last packet that came, nobody misses.
        let behind = said.sent - received.expected;
        assert_eq!(received.lost + behind, dropped, "lost, and nft's");
        // The server's report is of a moment ago.
        let reported = said.reported_lost.expect("the server reports");
        assert!((0..=received.lost as i64).contains(&reported), "lost, by the server's report");
    }

    /// The counts of a way from the server.
    fn down_agrees(&self, talker: usize, listener: usize, dropped: u64) {
        let (Leg { sent, received }, heard) = self.down(talker, listener);
        let come = self.up(talker).received;
        println!("{}\n{}\ngetStats: {heard:?}", brief(sent), brief(received));
        // What went missing before the server, its numbers show behind it. Who came later does
        // not get what was said before.
        assert_eq!(sent.lost, come.lost, "lost before the server");
        match talker.cmp(&listener) {
            Ordering::Less => assert!(sent.packets <= come.packets, "sent on, and received"),
            _ => assert_eq!(sent.packets, come.packets, "sent on, and received"),
        }
        assert_eq!(received.packets, heard.received, "received, ours and getStats");
        assert_eq!(received.lost as i64, heard.lost, "lost, ours and getStats");
        assert_eq!(received.packets + dropped, sent.packets, "received and dropped, and sent");
        let behind = sent.expected - received.expected;
        assert_eq!(received.lost + behind, sent.lost + dropped, "lost, and nft's");
        // A browser tells whole milliseconds, and looks at the time after the kernel has.
        let apart = (received.jitter_ms - heard.jitter_ms).abs();
        assert!(apart <= (heard.jitter_ms * 0.5).max(3.0), "jitter, ours and getStats");
    }

    /// Both ends of every path know its round trip, and the flows at the server are its own,
    /// and passed on as they are.
    fn server_is_seen(&self, service: &str) {
        let ups = (0..self.pages.len()).map(|talker| self.up(talker));
        let downs = self.pairs().map(|(talker, listener)| self.down(talker, listener).0);
        for (leg, is_up) in ups.map(|leg| (leg, true)).chain(downs.map(|leg| (leg, false))) {
            for flow in [leg.sent, leg.received] {
                let source = flow.path.as_ref().and_then(|path| path.rtt_source.as_deref());
                assert_eq!(source, Some("stun"), "{}", brief(flow));
                let round_trip = flow.rtt_ms.expect("it has a source");
                assert!(round_trip > 0.0, "{}", brief(flow));
            }
            let at_server = if is_up { leg.received } else { leg.sent };
            let process = at_server.process.as_ref().expect("its process is found");
            assert_eq!(process.comm, "vc-server", "{}", brief(at_server));
            assert_eq!(at_server.service.as_deref(), Some(service), "{}", brief(at_server));
            assert_eq!(at_server.codec, None, "a dynamic payload type");
            assert_eq!(at_server.hop_delay_ms.is_some(), !is_up, "{}", brief(at_server));
            // Who is mute answers checks all the same.
            let interruptions =
                at_server.interruptions.as_ref().expect("somebody watches for them");
            let count = (interruptions.silence, interruptions.one_way);
            assert_eq!(count, (0, 0), "{}: {interruptions:?}", brief(at_server));
        }
    }
}

/// The bound of the histogram of hop delays below which half of the points are, in s, and how
/// many points there are. Somebody who comes in takes the server's time from all others, so
/// a mean would be that of the machine.
fn hop_delay(observer: &Observer, service: &str) -> (f64, u64) {
    let text = observer.get("/metrics");
    let label = format!("service_name=\"{service}\"");
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    for line in text.lines().filter(|line| line.contains(&label)) {
        let Some(line) = line.strip_prefix("observer_voice_hop_delay_seconds_bucket{") else {
            continue;
        };
        let bound = line.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
        let bound = bound.and_then(|bound| bound.parse().ok()).expect("a bucket has a bound");
        let count = line.rsplit(' ').next().and_then(|count| count.parse().ok());
        buckets.push((bound, count.expect("a bucket has a count")));
    }
    let all = buckets.iter().map(|(_, count)| *count).max().unwrap_or_default();
    let half = buckets.iter().find(|(_, count)| count * 2 >= all);
    (half.expect("the last has all").0, all)
}

/// Counts of one stream, and loses about three in a hundred of it and the next for certain.
fn losing(ssrc: u32) -> Vec<String> {
    // RTP (RFC 3550 section 5.1) behind 8 bytes of UDP.
    let rtp = format!("meta l4proto udp @th,64,2 == 2 @th,128,32 == {ssrc}");
    vec![
        format!("{rtp} counter name seen"),
        format!("{rtp} numgen inc mod 65536 < 1 jump lose"),
        format!("{rtp} numgen random mod 100 < 3 jump lose"),
    ]
}

/// People talk for a while, by a path that loses packets or does not, and every leg is judged.
fn talk(name: &str, names: &[&str], time: Duration, is_lossy: bool) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !tool::all_there(name, &TOOLS) {
        return;
    }
    let ends = Ends::by_cable();
    let observer = Observer::start(&["--voice-one-way-after", "1s"]);
    let sfu = Sfu::start(&ends.far, ends.far_v4);
    let log = Log(&sfu);
    let Some(browser) = Browser::start(name, &ends.near, &sfu.url) else { return };
    let room = Room::open(&browser, &sfu.url, names);

    let before = room.counts();
    // A stream each, on its way out of one end or into the other one.
    let egress = format!("egress device {DEVICE}");
    let [up, down] = if is_lossy {
        let [ada, bob] = [0, 1].map(|one: usize| losing(before[one].ssrc));
        [
            vec![
                Firewall::new(&ends.near, &egress, &ada),
                Firewall::new(&ends.far, "prerouting", &bob),
            ],
            vec![
                Firewall::new(&ends.far, &egress, &ada),
                Firewall::new(&ends.near, "prerouting", &bob),
            ],
        ]
    } else {
        [Vec::new(), Vec::new()]
    };
    sleep(time);
    let after = room.counts();
    let (first, others) = room.people.split_first().expect("somebody talks");
    first.mute();
    // Once is enough, for it takes time.
    if names.len() == 2 && !is_lossy {
        sleep(ONE_WAY);
    }
    others.iter().for_each(Page::mute);
    sleep(SETTLE);
    let look = || {
        let (counts, snapshot) = (room.counts(), observer.snapshot());
        let pages = counts.iter().map(|page| SocketAddr::new(ends.near_v4, page.port)).collect();
        Rest { snapshot, counts, pages, media: sfu.media }
    };
    let mut rest = look();
    until(PATIENCE, "round trips, ours and getStats", || {
        rest.do_round_trips_agree() || {
            rest = look();
            false
        }
    });

    let dropped = |of: &[Firewall<'_>], talker: usize| {
        of.get(talker).map_or(0, |firewall| {
            let dropped = firewall.count("dropped");
            println!("{name}: nft: {} seen, {dropped} dropped", firewall.count("seen"));
            assert!(dropped > 0, "some are lost for certain");
            dropped
        })
    };
    for talker in 0..names.len() {
        rest.up_agrees(talker, dropped(&up, talker));
    }
    for (talker, listener) in rest.pairs() {
        rest.down_agrees(talker, listener, dropped(&down, talker));
        let ssrc = rest.counts[talker].ssrc;
        let [before, after] = [&before, &after].map(|of| {
            of[listener].heard.iter().find(|heard| heard.ssrc == ssrc).expect("it is heard")
        });
        let all = (after.received - before.received) as i64 + after.lost - before.lost;
        let most = time.as_secs_f64() * RATE;
        assert!(all as f64 > most * 0.9, "{all} packets: {before:?}, {after:?}");
        assert!(after.energy > before.energy, "sound: {before:?}, {after:?}");
    }
    rest.server_is_seen(&sfu.service);
    let (hop, points) = hop_delay(&observer, &sfu.service);
    println!("{name}: half of {points} hop delays up to {:.1} ms", hop * 1e3);
    // More browsers take a small machine's time from the server, which then keeps packets.
    let is_short = hop <= HOP || names.len() > 2;
    assert!(points > 0 && is_short, "{name}: {hop} s at the median of {points}");
    drop(log);
}

/// Tells what a server said where a test fails.
struct Log<'a>(&'a Sfu);

impl Drop for Log<'_> {
    fn drop(&mut self) {
        if panicking() {
            println!("{}", self.0.log());
        }
    }
}

#[test]
fn two_pages_and_the_observer_count_the_same() {
    talk("two_pages_and_the_observer_count_the_same", &["ada", "bob"], TALK, false);
}

#[test]
fn four_pages_and_the_observer_count_the_same() {
    talk("four_pages_and_the_observer_count_the_same", &["ada", "bob", "cyd", "dan"], TALK, false);
}

#[test]
fn losses_before_the_server_and_behind_it_are_told_apart() {
    talk("losses_before_the_server_and_behind_it_are_told_apart", &["ada", "bob"], TALK / 2, true);
}
