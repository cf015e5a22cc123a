//! compio: a runtime of this thread's, on io_uring.

fn main() {
    smpcall_runtimes::drive("compio", || {
        compio::runtime::Runtime::new().expect("io_uring").block_on(async {
            compio::runtime::spawn(async { smpcall_runtimes::turn() }).detach();
            smpcall_runtimes::cpu().await;
        });
    });
}
