//! People on the chat server's page who talk in one room, and what their browsers count.

use std::{cell::RefCell, time::Duration};

use serde::Deserialize;

use super::{
    pages::{Browser, Page},
    patience::until,
};

/// Longest wait for people to be connected and to hear each other.
const PATIENCE: Duration = Duration::from_secs(30);

/// People on one page each.
pub(crate) struct Room<'a> {
    pub(crate) people: Vec<Page<'a>>,
}

/// What a browser says of its call (`getStats()`).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Counts {
    /// Port of its end of the path in use.
    pub(crate) port: u16,
    /// Synchronisation source of its microphone.
    pub(crate) ssrc: u32,
    /// Packets sent.
    pub(crate) sent: u64,
    /// What the server last reported as lost of them.
    pub(crate) reported_lost: Option<i64>,
    /// Round trip of the last answer to a STUN request.
    pub(crate) round_trip_ms: Option<f64>,
    pub(crate) heard: Vec<Heard>,
}

/// What a browser hears of one other.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Heard {
    pub(crate) ssrc: u32,
    pub(crate) received: u64,
    pub(crate) lost: i64,
    pub(crate) jitter_ms: f64,
    /// Of the sound that was played (`totalAudioEnergy`).
    pub(crate) energy: f64,
}

const COUNT: &str = "(async () => {
    const stats = await talk.peer.getStats();
    const all = (kind) => [...stats.values()].filter(({ type }) => type === kind);
    const pair = stats.get(all('transport')[0].selectedCandidatePairId);
    const [sent] = all('outbound-rtp');
    const [reported] = all('remote-inbound-rtp');
    const heard = all('inbound-rtp').filter((one) => one.packetsReceived > 0).map((one) => ({
        ssrc: one.ssrc, received: one.packetsReceived, lost: one.packetsLost,
        jitter_ms: one.jitter * 1e3, energy: one.totalAudioEnergy,
    }));
    return {
        port: stats.get(pair.localCandidateId).port, ssrc: sent.ssrc, sent: sent.packetsSent,
        reported_lost: reported?.packetsLost ?? null,
        round_trip_ms: (pair.currentRoundTripTime ?? null) && pair.currentRoundTripTime * 1e3,
        heard,
    };
})()";

impl<'a> Room<'a> {
    /// The first one makes the room, and the others come by the link that the first one gets.
    pub(crate) fn open(browser: &'a RefCell<Browser>, url: &str, names: &[&'a str]) -> Self {
        let mut people: Vec<Page<'a>> = Vec::new();
        for name in names {
            let link = people.first().map_or_else(
                || format!("{url}/talk"),
                |first| {
                    let link = first.evaluate("document.querySelector('#link').value");
                    link.as_str().expect("it is text").to_owned()
                },
            );
            let page = Page::open(browser, name, &link);
            page.fill("#name", name);
            page.fill("#password", "a good password");
            page.click("#entrance button");
            page.wait("!document.querySelector('#room').hidden", PATIENCE);
            people.push(page);
        }
        let room = Self { people };
        let others = names.len() - 1;
        let stands = format!(
            "talk.state().phase === 'talking' && Object.keys(talk.state().slots).length === {others}"
        );
        for page in &room.people {
            page.wait(&stands, PATIENCE);
            until(PATIENCE, "each to hear each other one", || counts(page).heard.len() == others);
        }
        room
    }

    /// What each counts at this moment.
    pub(crate) fn counts(&self) -> Vec<Counts> {
        self.people.iter().map(counts).collect()
    }
}

impl Page<'_> {
    /// From here on this one says nothing.
    pub(crate) fn mute(&self) {
        self.click("#mute");
    }
}

fn counts(page: &Page<'_>) -> Counts {
    serde_json::from_value(page.evaluate(COUNT)).expect("it says what it was asked for")
}
