//! `build-ebpf`: the eBPF object, and what its programs cost.

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use crate::artifact;
use crate::command::{cargo, root_is_to_be_had};
use crate::place::Places;
use crate::setup::{self, Part};
use crate::terminal::table;
use crate::vm::Check;

/// Bytes of one eBPF instruction.
const INSTRUCTION: u64 = 8;

/// One program of the object.
#[derive(Debug, PartialEq)]
struct Program {
    name: String,
    kind: String,
    instructions: u64,
}

/// Builds the object as the observer's own build does, and describes it.
pub(crate) fn main(places: &Places) -> Result<ExitCode> {
    setup::ensure(places, &[Part::Rust, Part::Linker], false)?;
    let mut build = cargo();
    build.args(["build", "--release", "-p", "observer"]).current_dir(&places.root);
    // The stub is an empty object: nothing to describe.
    let built = artifact::build(build.env_remove("OBSERVER_EBPF"))?;
    let out = built
        .out_dirs
        .get("observer")
        .context("observer has no build script: it should build the object")?;
    let path = out.join("observer-ebpf");
    let bytes = fs::read(&path).with_context(|| {
        format!("{} is missing: observer/build.rs should write it", path.display())
    })?;
    let programs = programs(&bytes)?;
    ensure!(
        !programs.is_empty(),
        "{} holds no program: look at observer-ebpf/src/main.rs",
        path.display()
    );
    println!(
        "{}\n{} bytes, {} programs, and {} instructions in functions that they share\n",
        path.display(),
        bytes.len(),
        programs.len(),
        shared(&bytes)?
    );

    let verified = if root_is_to_be_had() {
        let check = Check::ask(built.executable("observer", "bin")?)?;
        Ok((check.kernel.clone(), check.verified()))
    } else {
        Err("verified instructions need root: start this with sudo to see them")
    };
    print!("{}", describe(&programs, verified.as_ref().ok().map(|(_, by_program)| by_program)));
    match verified {
        Ok((kernel, _)) => {
            println!("\nverified: what the verifier of this kernel ({kernel}) walked through")
        }
        Err(reason) => println!("\n{reason}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(programs: &[Program], verified: Option<&BTreeMap<String, u64>>) -> String {
    let rows: Vec<Vec<String>> = programs
        .iter()
        .map(|program| {
            let mut row =
                vec![program.name.clone(), program.kind.clone(), program.instructions.to_string()];
            if let Some(verified) = verified {
                row.push(verified.get(&program.name).map_or_else(|| "-".into(), u64::to_string));
            }
            row
        })
        .collect();
    let head = ["program", "kind", "instructions", "verified"];
    table(&head[..if verified.is_some() { 4 } else { 3 }], &rows)
}

/// The programs of an object: its functions outside `.text`, which holds what they call.
fn programs(bytes: &[u8]) -> Result<Vec<Program>> {
    let file = object::File::parse(bytes)
        .context("the object is no ELF file: run `cargo clean -p observer` and build again")?;
    let mut programs = Vec::new();
    for symbol in
        file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_global())
    {
        let Some(index) = symbol.section_index() else { continue };
        let kind = file.section_by_index(index)?.name()?.to_owned();
        if kind != ".text" {
            programs.push(Program {
                name: symbol.name()?.to_owned(),
                kind,
                instructions: symbol.size() / INSTRUCTION,
            });
        }
    }
    programs.sort_by(|a, b| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)));
    Ok(programs)
}

/// Instructions of `.text`: the loader appends to each program what it calls of them.
fn shared(bytes: &[u8]) -> Result<u64> {
    let file = object::File::parse(bytes).context("the object is no ELF file: build it again")?;
    Ok(file.section_by_name(".text").map_or(0, |text| text.size() / INSTRUCTION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_not_loaded_has_no_figure() {
        let program =
            |name: &str| Program { name: name.into(), kind: "sockops".into(), instructions: 20 };
        let verified = BTreeMap::from([("a".to_owned(), 31)]);
        let text = describe(&[program("a"), program("b")], Some(&verified));
        assert!(text.contains("a        sockops            20        31"), "{text}");
        assert!(text.contains("b        sockops            20         -"), "{text}");
    }

    #[test]
    fn what_is_no_elf_file_is_an_error() {
        assert!(programs(b"hello").is_err());
    }
}
