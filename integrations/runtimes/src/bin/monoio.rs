//! monoio: a runtime of this thread's, on io_uring; feature `sync`, since others wake its tasks.

fn main() {
    smpcall_runtimes::drive("monoio", || {
        let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build().expect("io_uring");
        runtime.block_on(async {
            monoio::spawn(async { smpcall_runtimes::turn() });
            smpcall_runtimes::cpu().await;
        });
    });
}
