//! Set-up, build, run, test, kernel matrix, benchmarks and tidiness of this workspace.
fn main() {}
