//! glommio: an executor of this thread's, on io_uring.

fn main() {
    smpcall_runtimes::drive("glommio", || {
        let executor = glommio::LocalExecutorBuilder::default().make().expect("io_uring");
        executor.run(async {
            glommio::spawn_local(async { smpcall_runtimes::turn() }).detach();
            smpcall_runtimes::cpu().await;
        });
    });
}
