//! Several reads side by side: over a long line each of them waits much and works little.

use std::future::poll_fn;
use std::task::Poll;

/// What all of them give, in their order.
pub(super) async fn together<F: Future>(reads: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut open: Vec<_> = reads.into_iter().map(|read| (Box::pin(read), None)).collect();
    poll_fn(|cx| {
        let mut waits = false;
        for (read, given) in open.iter_mut().filter(|(_, given)| given.is_none()) {
            match read.as_mut().poll(cx) {
                Poll::Ready(value) => *given = Some(value),
                Poll::Pending => waits = true,
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    open.into_iter().filter_map(|(_, given)| given).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_is_the_whole_wait_and_the_order_is_kept() {
        let begun = Instant::now();
        let seconds = [3, 1, 2];
        let given = together(seconds.map(async |long| {
            sleep(Duration::from_secs(long)).await;
            long
        }))
        .await;
        assert_eq!(given, seconds);
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }
}
