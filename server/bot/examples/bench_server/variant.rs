//! What the servers differ in.

/// How much a server tells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Nothing is exported.
    Off,
    /// Traces, metrics and logs.
    Whole,
    /// The same, but a tenth of the traces.
    Tenth,
}

impl Variant {
    /// The first is what the others are compared with.
    pub(crate) const ALL: [Self; 3] = [Self::Off, Self::Tenth, Self::Whole];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Tenth => "on, a tenth of traces",
            Self::Whole => "on, all traces",
        }
    }

    /// Of traces that are exported; nothing where nothing is.
    pub(crate) const fn ratio(self) -> Option<&'static str> {
        match self {
            Self::Off => None,
            Self::Tenth => Some("0.1"),
            Self::Whole => Some("1"),
        }
    }
}
