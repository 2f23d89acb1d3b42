//! The kernel's work on packets that came in, CPU by CPU: `/proc/net/softnet_stat`.

use std::{fs, path::Path};

use super::{CauseError, growth::Growth};
use crate::model::Softnet;

const FILE: &str = "/proc/net/softnet_stat";
/// Column of the CPU's number, which lines have since 5.7: a CPU that is offline has none.
const CPU: usize = 12;

/// What the CPUs have added. A figure has 32 bits; as it wraps, what it grew by since the
/// last reading goes uncounted.
#[derive(Debug, Default)]
pub struct Cpus(Growth<u64, 2>);

impl Cpus {
    /// Reads them all.
    ///
    /// # Errors
    /// When the file cannot be read or is not what it should be.
    pub fn update(&mut self) -> Result<(), CauseError> {
        let path = Path::new(FILE);
        let text = fs::read_to_string(path).map_err(|source| CauseError::read(path, source))?;
        for (cpu, softnet) in cpus(&text)? {
            self.0.see(cpu, [softnet.drops, softnet.squeezes]);
        }
        Ok(())
    }

    /// What they have added up to.
    #[must_use]
    pub const fn sum(&self) -> Softnet {
        let [drops, squeezes] = self.0.sum();
        Softnet { drops, squeezes }
    }
}

/// Each CPU's number and figures. Where lines have no number, their order gives it.
///
/// # Errors
/// When a line has fewer than three columns, or one of those that are read is not
/// hexadecimal.
pub fn cpus(text: &str) -> Result<Vec<(u64, Softnet)>, CauseError> {
    const MALFORMED: CauseError =
        CauseError::Malformed { file: FILE, what: "a line that is not of hexadecimal counters" };
    let lines = text.lines().enumerate().map(|(index, line)| {
        let number = |word| u64::from_str_radix(word, 16).map_err(|_| MALFORMED);
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [_, drops, squeezes, ..] = words[..] else { return Err(MALFORMED) };
        let cpu = words.get(CPU).map_or(Ok(index as u64), |word| number(word))?;
        Ok((cpu, Softnet { drops: number(drops)?, squeezes: number(squeezes)? }))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 6.18, of which CPU 1 is offline.
    const LATE: &str = "\
02e8e11d 0000000a 00000015 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n\
0ec681e3 00000000 0000001d 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000002 00000000 00000000\n";
    /// Eleven columns, from before lines had the CPU's number.
    const OLD: &str = "\
00000fff 00000001 ffffffff 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n\
00000fff 00000002 00000003 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n";

    #[test]
    fn figures_are_hexadecimal_and_cpus_have_numbers() {
        let told =
            [(0, Softnet { drops: 10, squeezes: 21 }), (2, Softnet { drops: 0, squeezes: 29 })];
        assert_eq!(cpus(LATE).unwrap(), told);
        let told = [
            (0, Softnet { drops: 1, squeezes: u32::MAX.into() }),
            (1, Softnet { drops: 2, squeezes: 3 }),
        ];
        assert_eq!(cpus(OLD).unwrap(), told);
    }

    #[test]
    fn what_is_cut_off_or_nonsense_is_an_error() {
        for text in ["nonsense", "00000001 00000002\n", "1 2 x", "1 -2 3", "\n"] {
            assert!(cpus(text).is_err(), "{text}");
        }
        assert!(cpus("").unwrap().is_empty());
    }

    #[test]
    fn this_kernel_is_understood() {
        assert!(!cpus(&fs::read_to_string(FILE).unwrap()).unwrap().is_empty());
        let mut all = Cpus::default();
        all.update().unwrap();
        assert_eq!(all.sum(), Softnet::default());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([0-9a-f]{0,18}[ \n]|.){0,40}") {
            let _any = cpus(&text);
        }
    }
}
