//! A fake upstream MCP server as a program; see `bailiwick_testkit::upstream::main`.

fn main() -> std::process::ExitCode {
    match bailiwick_testkit::upstream::main(std::env::args().skip(1)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fake-upstream: {error}");
            std::process::ExitCode::from(2)
        }
    }
}
