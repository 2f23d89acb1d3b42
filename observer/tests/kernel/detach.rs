//! What stays behind when the observer goes: nothing.

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
};

use observer::source::ebpf::probe::PROBES;

use crate::support::{
    attachment::attached,
    observation::{Observation, await_some},
};

/// Set for the child that is to be killed.
const HOLD: &str = "OBSERVER_TEST_HOLD";

/// Ids of the programs, as the kernel knows them.
fn programs(observation: &mut Observation) -> Vec<u32> {
    let names: Vec<_> = observation.kernel.probes().iter().map(|probe| probe.program).collect();
    let ebpf = &observation.kernel.loaded_mut().ebpf;
    let id = |name| ebpf.program(name).unwrap().info().unwrap().id();
    names.into_iter().map(id).collect()
}

fn await_detached(programs: &[u32]) {
    await_some("the end of the attachment", || {
        let attached = attached();
        programs.iter().all(|program| !attached.contains(program)).then_some(())
    });
}

#[test]
fn nothing_is_attached_after_the_observer_goes() {
    let mut observation = Observation::start();
    let programs = programs(&mut observation);
    let before = attached();
    assert_eq!(programs.len(), PROBES.len());
    assert!(programs.iter().all(|program| before.contains(program)));
    drop(observation);
    await_detached(&programs);
}

#[test]
fn nothing_is_attached_after_a_panic() {
    let outcome = thread::spawn(|| {
        let mut observation = Observation::start();
        let programs = programs(&mut observation);
        std::panic::resume_unwind(Box::new(programs));
    })
    .join();
    let programs = outcome.unwrap_err().downcast::<Vec<u32>>().unwrap();
    await_detached(&programs);
}

#[test]
fn nothing_is_attached_after_a_kill() {
    if env::var_os(HOLD).is_some() {
        hold();
    }
    let name = thread::current().name().unwrap().to_owned();
    // Until it executes, the child has a copy of every socket: no other test's may be open.
    let turn = Observation::shared();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "kernel::detach::nothing_is_attached_after_a_kill", "--nocapture"])
        .env(HOLD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(turn);
    let output = BufReader::new(child.stdout.take().unwrap());
    let line = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("attached:").map(|(_, programs)| programs.to_owned()));
    let programs: Vec<u32> = line
        .unwrap_or_else(|| panic!("{name}: the child says what it attached"))
        .split_whitespace()
        .map(|id| id.parse().unwrap())
        .collect();
    let before = attached();
    let all_there = programs.len() == PROBES.len() && programs.iter().all(|id| before.contains(id));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(all_there, "{programs:?} of {before:?}");
    await_detached(&programs);
}

/// The child's part: to hold the programs until it is killed.
fn hold() -> ! {
    let mut observation = Observation::start();
    let ids: Vec<_> = programs(&mut observation).iter().map(u32::to_string).collect();
    println!("attached: {}", ids.join(" "));
    loop {
        thread::park();
    }
}
