//! The program `bailiwick`: reads the process's arguments and environment once and hands them to the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    bailiwick_server::main()
}
