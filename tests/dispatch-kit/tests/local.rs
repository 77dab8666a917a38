//! The in-process dispatcher passes the conformance suite.

use longhaul_dispatch::LocalDispatch;

#[tokio::test]
async fn the_local_dispatcher_keeps_every_promise() {
    longhaul_dispatch_kit::check_dispatcher(async || LocalDispatch::new()).await;
}
