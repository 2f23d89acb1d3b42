//! What the tests stand on: traffic, the sockets it goes through, and what was seen of it.

pub(crate) mod rtp;

pub(crate) mod beside;

pub(crate) mod socket;

pub(crate) mod path;

pub(crate) mod stream;

pub(crate) mod observation;

pub(crate) mod attachment;

pub(crate) mod machine;
