//! A room with people in it, and what their browsers count.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    browser::{Browser, Page},
    namespace::Namespace,
    server::{self, Server},
};

/// Where the server is, in a network that nobody else is in.
const ADDRESS: &str = "127.0.0.1:8080";
/// Everybody's.
pub(crate) const PASSWORD: &str = "a good password";
/// Longest wait for people to be connected and to have heard of each other.
const CONNECT: Duration = Duration::from_secs(30);

/// A server in a network of its own. What is kept outlives the program.
pub(crate) struct House {
    server: Option<Server>,
    pub(crate) namespace: Namespace,
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// Whose house stands. Several browsers at once would take each other the time in which
/// packets are to be taken.
static ALONE: Mutex<()> = Mutex::new(());

impl House {
    pub(crate) fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().expect("a folder can be made");
        let namespace = Namespace::new();
        let mut house = Self { server: None, namespace, folder, _alone: alone };
        house.open();
        house
    }

    /// Starts the server.
    pub(crate) fn open(&mut self) {
        let mut program: Command = server::program();
        let mut program = self.namespace.inside(program.arg("run"));
        let database = self.folder.path().join("vc.db");
        // So that a gateway that is lost is missed soon.
        let variables = [("VC_LISTEN", ADDRESS), ("VC_HEARTBEAT_INTERVAL", "1s")];
        self.server = Some(Server::launch(&mut program, &database, &variables));
    }

    /// Somebody's page, before they come in.
    pub(crate) fn come<'a>(
        &self,
        browser: &'a RefCell<Browser>,
        name: &'a str,
        fragment: &str,
    ) -> Page<'a> {
        Page::open(browser, name, &format!("http://{ADDRESS}/talk{fragment}"))
    }

    /// Somebody who comes in, by an invitation or into a room of their own.
    pub(crate) fn enter<'a>(
        &self,
        browser: &'a RefCell<Browser>,
        name: &'a str,
        fragment: &str,
    ) -> Page<'a> {
        let page = self.come(browser, name, fragment);
        page.fill("#name", name);
        page.fill("#password", PASSWORD);
        page.click("#entrance button");
        page.wait("!document.querySelector('#room').hidden", CONNECT);
        page
    }

    /// People in one room: the first one makes it, and the others come by the link that the
    /// first one gets.
    pub(crate) fn room<'a>(&self, browser: &'a RefCell<Browser>, names: &[&'a str]) -> Room<'a> {
        let mut room = Room { people: Vec::new() };
        let mut fragment = String::new();
        for name in names {
            let page = self.enter(browser, name, &fragment);
            let link = page.evaluate("new URL(document.querySelector('#link').value).hash");
            link.as_str().expect("it is text").clone_into(&mut fragment);
            room.people.push(page);
        }
        room.connected();
        room.hear_each_other();
        room
    }

    /// From here on the network does not take what this rule of nftables says.
    pub(crate) fn refuse(&self, rule: &str) {
        let chain = "type filter hook output priority 0;";
        let rules = format!("table inet house {{ chain out {{ {chain}\n{rule}\n}}\n}}\n");
        let file = self.folder.path().join("rules.nft");
        fs::write(&file, rules).expect("the folder is ours");
        self.namespace.run(&["nft", "-f", &file.display().to_string()]);
    }

    /// From here on it takes everything again.
    pub(crate) fn let_through(&self) {
        self.namespace.run(&["nft", "delete", "table", "inet", "house"]);
    }

    /// Ends the server.
    pub(crate) fn close(&mut self) {
        let ended = self.server.take().expect("it runs").stop();
        assert!(ended.status.success(), "{}", ended.errors);
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if thread::panicking() {
            // What the server said, for whoever reads that a test failed.
            for line in self.server.iter().flat_map(Server::lines) {
                println!("{line}");
            }
        }
    }
}

/// People on one page each.
pub(crate) struct Room<'a> {
    pub(crate) people: Vec<Page<'a>>,
}

/// What is heard of somebody.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Heard {
    pub(crate) received: u64,
    pub(crate) lost: i64,
    /// Of the sound that was played (`totalAudioEnergy`).
    pub(crate) energy: f64,
    /// When this was counted, in ms.
    pub(crate) at_ms: f64,
}

/// What a page says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Counts {
    pub(crate) connection: String,
    /// By user, as the server says who is on which line.
    pub(crate) heard: BTreeMap<i64, Heard>,
    /// Packets lost on all lines together.
    pub(crate) lost: i64,
    /// Players that play.
    pub(crate) players: usize,
}

const COUNT: &str = "(async () => {
    const { slots } = talk.state();
    const all = [...(await talk.peer.getStats()).values()];
    const heard = {};
    let lost = 0;
    for (const one of all.filter(({ type }) => type === 'inbound-rtp')) {
        lost += one.packetsLost;
        if (!(one.mid in slots)) continue;
        heard[slots[one.mid]] = {
            received: one.packetsReceived, lost: one.packetsLost,
            energy: one.totalAudioEnergy, at_ms: one.timestamp,
        };
    }
    const plays = (one) => !one.paused && one.currentTime > 0 && !one.srcObject.getTracks()[0].muted;
    const players = [...document.querySelectorAll('audio')].filter(plays).length;
    return { connection: talk.peer.connectionState, heard, lost, players };
})()";

impl Room<'_> {
    /// Waits until everybody is connected, knows everybody, and hears each other one.
    pub(crate) fn connected(&self) {
        let all = self.people.len();
        for page in &self.people {
            let names: Vec<_> = self.people.iter().map(|other| other.name).collect();
            let script = format!(
                "(() => {{ const {{ phase, participants, slots }} = talk.state(); \
                const names = participants.map((one) => one.name).sort(); \
                return phase === 'talking' && Object.keys(slots).length === {} \
                    && names.join() === {:?}.split(',').sort().join() }})()",
                all - 1,
                names.join(",")
            );
            page.wait(&script, CONNECT);
        }
    }

    /// Number of the user whose page it is.
    pub(crate) fn user(&self, index: usize) -> i64 {
        self.people[index].evaluate("talk.state().user_id").as_i64().expect("it has one")
    }

    /// Number of everybody else.
    pub(crate) fn others(&self, index: usize) -> Vec<i64> {
        (0..self.people.len()).filter(|&one| one != index).map(|one| self.user(one)).collect()
    }

    /// Waits until something of each other one has come to each.
    pub(crate) fn hear_each_other(&self) {
        for (index, page) in self.people.iter().enumerate() {
            let others = self.others(index);
            let what = format!("each of {others:?} is heard");
            until(page, &what, |now| others.iter().all(|user| now.heard.contains_key(user)));
        }
    }

    /// What each page counts after a while of talk, in which each is to hear each other one
    /// without a loss.
    pub(crate) fn listen(&self, time: Duration) {
        let before: Vec<_> = self.people.iter().map(counts).collect();
        thread::sleep(time);
        for (index, page) in self.people.iter().enumerate() {
            let (before, after) = (&before[index], counts(page));
            println!("{} hears {:?}", page.name, after.heard);
            assert_eq!(after.connection, "connected", "{}", page.name);
            for user in self.others(index) {
                let story = || format!("{} hears {user}: {before:#?}, {after:#?}", page.name);
                let (Some(then), Some(now)) = (before.heard.get(&user), after.heard.get(&user))
                else {
                    panic!("nothing of one: {}", story())
                };
                let seconds = (now.at_ms - then.at_ms) / 1e3;
                let rate = (now.received - then.received) as f64 / seconds;
                assert!((45.0..55.0).contains(&rate), "{rate} packets a second: {}", story());
                assert!(now.energy > then.energy, "no sound: {}", story());
                assert_eq!(now.lost, then.lost, "{}", story());
            }
            // A line that somebody has left may play on, and plays silence.
            assert!(after.players >= self.people.len() - 1, "{} plays {after:#?}", page.name);
        }
    }
}

/// What a page counts at this moment.
pub(crate) fn counts(page: &Page<'_>) -> Counts {
    serde_json::from_value(page.evaluate(COUNT)).expect("it says what it was asked for")
}

/// Asks again and again, until it is as it should be.
pub(crate) fn until(page: &Page<'_>, what: &str, is_so: impl Fn(&Counts) -> bool) {
    let begun = Instant::now();
    loop {
        let counts = counts(page);
        if is_so(&counts) {
            return;
        }
        assert!(begun.elapsed() < CONNECT, "{}: {what}: {counts:#?}", page.name);
        thread::sleep(Duration::from_millis(100));
    }
}
