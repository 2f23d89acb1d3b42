//! What a person reads in a terminal: a table once, or a view that lives.

pub mod table;
pub mod top;

mod grade;
mod grid;
mod number;
mod owner;
mod socket;
mod voice;
