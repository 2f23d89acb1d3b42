//! From one to all others.

use std::time::Instant;

use str0m::rtp::RtpPacket;

use super::{News, Relay};
use crate::{
    observability::Dropped,
    voice::{leg::Written, seats::Claim},
};

impl Relay {
    /// Passes a packet on to everybody in the room who has a slot for whoever sent it.
    ///
    /// The payload is shared by all of them, and nothing here is allocated for a packet.
    pub(super) fn forward(&mut self, who: usize, packet: &RtpPacket, now: Instant) {
        let Some(number) = self.admit(who, packet, now) else { return };
        let Self { people, rooms, outlet, next, .. } = self;
        let Some(room) = rooms.get(&people[who].room) else { return };
        for &listener in room.members.iter().filter(|listener| **listener != who) {
            let person = &mut people[listener];
            match person.leg.write(who, number, packet) {
                Written::Done => {
                    person.leg.pass_time(now);
                    outlet.drain(listener, person, next, now);
                }
                Written::NoSlot => outlet.tally.dropped(Dropped::NoSlot),
                Written::Late => outlet.tally.dropped(Dropped::Discarded),
            }
        }
    }

    /// The number that a packet is passed on under, if it is.
    fn admit(&mut self, who: usize, packet: &RtpPacket, now: Instant) -> Option<u64> {
        let person = &mut self.people[who];
        let source = &mut person.source;
        let (ssrc, number) = (*packet.header.ssrc, *packet.seq_no);
        let room = self.rooms.get_mut(&person.room);
        let Some(room) = room.filter(|_| person.is_connected && source.admits(ssrc, now)) else {
            self.outlet.tally.dropped(Dropped::Discarded);
            return None;
        };
        if source.is_muted {
            source.hold(number);
            self.outlet.tally.dropped(Dropped::Muted);
            return None;
        }
        let begins = source.speech.hear(packet.header.ext_vals.audio_level, now);
        let claim = room.seats.claim(who, source.speech.is_heard(), now);
        if claim == Claim::Refused {
            source.hold(number);
            self.outlet.tally.dropped(Dropped::NoSeat);
        } else if claim != Claim::Held || source.sent_as().is_none() {
            let from = if let Claim::Taken(from) = claim { from } else { None };
            self.introduce(who, from, now);
        }
        if begins {
            self.tell(News::Talks(self.people[who].session, true));
        }
        if claim == Claim::Refused {
            return None;
        }
        let number = self.people[who].source.pass(number);
        if number.is_none() {
            self.outlet.tally.dropped(Dropped::Discarded);
        }
        number
    }

    /// Somebody has a seat from here on, perhaps that of another: all others are sent that
    /// stream, under its own identifier where that is of use.
    fn introduce(&mut self, who: usize, from: Option<usize>, now: Instant) {
        if let Some(from) = from.and_then(|from| self.people.get_mut(from)) {
            from.source.unseat();
        }
        let room = self.people[who].room;
        let Some(members) = self.rooms.get(&room).map(|room| &room.members) else { return };
        let is_taken = |ssrc| {
            let mut others = members.iter().filter(|other| **other != who);
            others.any(|other| self.people[*other].source.sent_as() == Some(ssrc))
        };
        let own = self.people[who].source.own_ssrc().filter(|ssrc| !is_taken(*ssrc));
        let ssrc = own.or_else(|| {
            let leg = &mut self.people[who].leg;
            std::iter::repeat_with(|| leg.new_ssrc()).find(|ssrc| *ssrc != 0)
        });
        if let Some(ssrc) = ssrc {
            self.people[who].source.send_as(ssrc);
        }
        self.settle(room, now);
    }

    /// Gives everybody in a room slots for all who have seats, as far as there are.
    pub(super) fn settle(&mut self, room: i64, now: Instant) {
        let Some(room) = self.rooms.get(&room) else { return };
        let sent: Vec<(usize, u32)> = room
            .seats
            .holders()
            .filter_map(|who| Some((who, self.people.get(who)?.source.sent_as()?)))
            .collect();
        let mut seated = Vec::new();
        for &listener in &room.members {
            let Some(person) = self.people.get_mut(listener) else { continue };
            if person.leg.seat(sent.iter().copied().filter(|(who, _)| *who != listener)) {
                seated.push(listener);
                person.leg.pass_time(now);
                self.outlet.drain(listener, person, &mut self.next, now);
            }
        }
        for listener in seated {
            let Some(person) = self.people.get(listener) else { continue };
            let session = |who: usize| self.people.get(who).map(|person| person.session);
            let lines = person.leg.seated();
            let lines = lines.filter_map(|(line, who)| Some((line.to_owned(), session(who)?)));
            self.tell(News::Seated(person.session, lines.collect()));
        }
    }
}
