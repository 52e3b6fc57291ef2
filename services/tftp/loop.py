"""The event loop of this service."""

import asyncio
import selectors


def make_loop() -> asyncio.AbstractEventLoop:
    """Make a loop on poll(2).

    Sockets that are registered with epoll tell it of every datagram that arrives or has left, one
    by one, and all the time: with batches that costs a tenth of sending. poll listens to the few
    sockets there are only while it waits.
    """
    return asyncio.SelectorEventLoop(selectors.PollSelector())
