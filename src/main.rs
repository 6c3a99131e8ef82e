//! The binary: the TLS provider, the runtime, the exit code. All else is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One provider for all of TLS, chosen before anything makes a connection. A second choice cannot come.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    else {
        return ExitCode::FAILURE;
    };
    let code = runtime.block_on(local_cluster::commands::run(std::env::args_os()));
    // A read of standard input that nobody waits for any more must not keep the process.
    runtime.shutdown_background();
    ExitCode::from(code)
}
