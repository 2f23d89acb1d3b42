//! vc-server.

use std::process::ExitCode;

fn main() -> ExitCode {
    vc_server::cli::main()
}
