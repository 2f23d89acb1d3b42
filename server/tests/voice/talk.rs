//! What people do on the page, and what the others hear of it.

use std::{thread::sleep, time::Duration};

use serde_json::json;

use crate::{
    browser::{Browser, Page},
    room::{House, PASSWORD, counts, until},
};

/// How long people talk while it is counted what is heard.
const TALK: Duration = Duration::from_secs(10);
/// From a button to its effect on what others count.
const SETTLE: Duration = Duration::from_millis(700);
/// How long it is looked whether something stays away.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest wait for the effect of a button, or for a way back.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn two_people_hear_each_other_until_one_is_mute_or_leaves() {
    let test = "two_people_hear_each_other_until_one_is_mute_or_leaves";
    let house = House::new();
    let Some(browser) = Browser::start(test, &house.namespace) else { return };
    let room = house.room(&browser, &["ada", "bob"]);
    let [ada, bob] = &room.people[..] else { unreachable!("two came") };
    room.listen(TALK);

    let is_mute = |mute: bool| {
        format!("talk.state().participants.find((one) => one.name === 'ada').muted === {mute}")
    };
    ada.click("#mute");
    bob.wait(&is_mute(true), PATIENCE);
    sleep(SETTLE);
    let user = room.user(0);
    let (before, heard) = (counts(bob), counts(ada).heard);
    sleep(PAUSE);
    let (after, hears) = (counts(bob), counts(ada).heard);
    assert_eq!(
        before.heard.get(&user).map(|of| of.received),
        after.heard.get(&user).map(|of| of.received)
    );
    let other = room.user(1);
    assert!(hears[&other].received > heard[&other].received + 80, "one who is mute still hears");

    ada.click("#mute");
    bob.wait(&is_mute(false), PATIENCE);
    let mute = after.heard.get(&user).map_or(0, |of| of.received);
    until(bob, "ada is heard again", |now| {
        now.heard.get(&user).is_some_and(|of| of.received > mute + 10)
    });
    room.listen(PAUSE);
    assert_eq!([counts(ada).lost, counts(bob).lost], [0, 0], "silence is no loss");

    bob.click("#leave");
    ada.wait("talk.state().participants.length === 1", PATIENCE);
    assert_eq!(bob.evaluate("talk.state().phase"), "left");
    assert_eq!(bob.evaluate("talk.peer"), json!(null));
    bob.click("#rejoin");
    room.connected();
    room.hear_each_other();
    room.listen(PAUSE);
    for page in &room.people {
        assert_eq!(counts(page).lost, 0, "{}", page.name);
        let said = page.said();
        let is_bad = |line: &String| line.contains("uncaught") || line.contains("Policy");
        assert!(!said.iter().any(is_bad), "{said:?}");
    }
}

#[test]
fn four_people_hear_each_other() {
    let test = "four_people_hear_each_other";
    let house = House::new();
    let Some(browser) = Browser::start(test, &house.namespace) else { return };
    let mut room = house.room(&browser, &["ada", "bob", "cyd", "dan"]);
    room.listen(TALK);
    for page in &room.people {
        assert_eq!(counts(page).lost, 0, "{}", page.name);
    }
    let dan = room.people.pop().expect("four came");
    dan.click("#leave");
    room.connected();
    room.listen(PAUSE);

    // Lines that were somebody's are used again.
    dan.click("#rejoin");
    room.people.push(dan);
    room.connected();
    room.hear_each_other();
    room.listen(PAUSE);
}

#[test]
fn who_loses_the_way_for_sound_finds_another_one() {
    let test = "who_loses_the_way_for_sound_finds_another_one";
    let house = House::new();
    let Some(browser) = Browser::start(test, &house.namespace) else { return };
    let room = house.room(&browser, &["ada", "bob"]);
    let named = "talk.peer.localDescription.sdp.match(/ice-ufrag:(.*)/)[1]";
    for page in &room.people {
        page.evaluate(&format!("void (window.before = [talk.peer, {named}])"));
    }
    house.refuse("meta l4proto udp drop");
    for page in &room.people {
        page.wait("talk.state().phase === 'searching'", PATIENCE);
        // ICE has begun anew, under another name.
        page.wait(&format!("{named} !== window.before[1]"), PATIENCE);
    }
    house.let_through();
    room.connected();
    room.hear_each_other();
    room.listen(PAUSE);
    for page in &room.people {
        assert_eq!(page.evaluate("talk.peer === window.before[0]"), true, "it is the same call");
    }
}

#[test]
fn who_loses_the_gateway_goes_on_talking_and_hears_what_was_missed() {
    let test = "who_loses_the_gateway_goes_on_talking_and_hears_what_was_missed";
    let house = House::new();
    let Some(browser) = Browser::start(test, &house.namespace) else { return };
    let room = house.room(&browser, &["ada", "bob"]);
    let [ada, bob] = &room.people[..] else { unreachable!("two came") };
    bob.evaluate("void (window.before = talk.peer)");
    house.refuse("tcp dport 8080 reject with tcp reset");
    for page in &room.people {
        page.wait("talk.state().phase === 'away'", PATIENCE);
    }
    room.listen(PAUSE);
    ada.click("#mute");
    sleep(PAUSE);
    assert_eq!(bob.evaluate("talk.state().participants.some((one) => one.muted)"), false);
    house.let_through();
    bob.wait("talk.state().participants.find((one) => one.name === 'ada').muted", PATIENCE);
    ada.click("#mute");
    bob.wait("talk.state().participants.every((one) => !one.muted)", PATIENCE);
    room.connected();
    room.listen(PAUSE);
    assert_eq!(bob.evaluate("talk.peer === window.before"), true, "it is the same call");
    assert_eq!(counts(bob).lost, 0);
}

#[test]
fn people_come_back_by_themselves_to_a_server_that_was_started_anew() {
    let test = "people_come_back_by_themselves_to_a_server_that_was_started_anew";
    let mut house = House::new();
    let Some(browser) = Browser::start(test, &house.namespace) else { return };
    let room = house.room(&browser, &["ada", "bob"]);
    house.close();
    for page in &room.people {
        page.wait("talk.state().phase === 'away'", PATIENCE);
    }
    house.open();
    room.connected();
    room.hear_each_other();
    room.listen(PAUSE);
}

#[test]
fn what_goes_wrong_is_said_in_plain_words() {
    let test = "what_goes_wrong_is_said_in_plain_words";
    let mut house = House::new();
    let Some(browser) = Browser::start(test, &house.namespace) else { return };
    let _owner = house.enter(&browser, "ada", "");
    let says = |page: &Page<'_>, words: &str| {
        let is_said = format!("document.querySelector('#error').innerText.includes({words:?})");
        page.wait(&is_said, PATIENCE);
        assert_eq!(page.evaluate("talk.state().phase"), "entrance");
        let address = page.evaluate("location.href").as_str().unwrap().to_owned();
        assert!(!address.contains("password"), "{address}");
    };
    let page = house.come(&browser, "bob", "#made%20up");
    assert_eq!(page.evaluate("document.querySelector('#code').value"), "made up");
    let submit = |name: &str, password: &str| {
        page.fill("#name", name);
        page.fill("#password", password);
        page.click("#entrance button");
    };
    submit("ada", "another password");
    says(&page, "The password is not the one of this name.");
    submit("bob", PASSWORD);
    says(&page, "There is no such invitation.");
    page.fill("#code", "");
    for (error, words) in [
        ("NotAllowedError", "The microphone was refused."),
        ("NotFoundError", "No microphone was found."),
    ] {
        page.evaluate(&format!(
            "navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('', '{error}') }}"
        ));
        submit("bob", PASSWORD);
        says(&page, words);
    }
    house.close();
    submit("bob", PASSWORD);
    says(&page, "Nothing is heard of the server.");
}
