//! The programs at work, on the kernel that runs this: real sockets on loopback, and
//! exact counts.
//!
//! Needs root and no other program, so that one static binary of it runs anywhere. A
//! line `figure NAME=VALUE` is the same on every kernel; `cargo xtask vm-test` compares
//! them. Flows and connections of the whole host show up in the maps, so each test
//! looks for the cookies of its own sockets.

#[cfg(test)]
mod support;

#[cfg(test)]
mod kernel {
    mod voice;

    mod exclusion;
    mod probation;
    mod sample;

    mod path;

    mod framed;

    mod silence;

    mod contention;

    mod offload;

    mod tcp;

    mod close;

    mod creator;

    mod ledger;

    mod unchanged;

    mod neighbours;

    mod detach;

    mod diagnostics;
}
