//! What a listener makes of a stream: bursts of loss, packets too late to be played, and a
//! score that says which model it is of.

pub mod emodel;

pub mod codec;

pub mod delay;

pub mod burst;

pub mod lateness;

pub mod score;
