"""One read transfer as a state machine: datagrams and the time in, datagrams and a timer out.

RFC 1350 (lockstep), RFC 2347 (OACK), RFC 7440 §4 (windows), RFC 1123 §4.2.3.1 (Sorcerer's
Apprentice). No sockets, clock or files: `now` is an argument, content comes from a BlockSource.

Blocks are counted with as many bits as it takes; the wire has the low 16. 65535 is followed by 0:
EDK2, iPXE, GRUB and U-Boot all expect that. An OACK is block 0 here, as its ACK says.
"""

from bootyard.model.errors import MalformedPacket, TFTPErrorCode
from bootyard.model.events import TransferOutcome
from services.tftp.options import Negotiated
from services.tftp.packet import Error, Opcode, OptionAck, error, parse
from services.tftp.retransmission import (
    FIRST_INTERVAL,
    MAX_INTERVAL,
    UNKNOWN_ROUND_TRIP,
    RetransmissionTimer,
)
from services.tftp.source import BlockSource, read_blocks

UNPROVEN_REPEATS = 3
"""Timed repeats for a peer that acknowledged nothing yet: its address may be forged."""

SILENCE_LIMIT = 60.0
"""A transfer ends when nothing new was acknowledged for this many seconds.

GRUB stops acknowledging while 50 packets wait for its reader, which can take more than 30 s.
"""

FINAL_ACK_LIMIT = 10.0
"""How long the last ACK is waited for. ROMs close their port behind it and do not repeat it when
it is lost: after that the transfer counts as complete."""

RESTARTED_AFTER = 1.0
"""An RRQ that comes again this long after the last new ACK is from a client that began anew."""

UNSETTLED_ROUND_TRIPS = 2
MEASURED_EVERY = 256
"""So many round trips are measured at first and after a repeat; then those of windows that end at a
multiple of so many blocks: thousands a second tell no more."""

_ACK = Opcode.ACK.to_bytes(2, "big")


class ReadTransfer:
    """The server's side of one RRQ, from its answer to an outcome."""

    def __init__(self, source: BlockSource, terms: Negotiated, now: float) -> None:
        self._source = source
        self._terms = terms
        shortest = terms.retry_s
        if shortest is None and terms.tries is not None:
            # Tries are counted by hand: measured intervals would use them up in milliseconds.
            shortest = FIRST_INTERVAL
        self._clock = RetransmissionTimer(terms.timeout_s or MAX_INTERVAL, shortest)
        self._acknowledged = -1 if terms.accepted else 0
        self._newest = self._acknowledged  # the newest block that was ever sent
        self._window_end = self._acknowledged
        self._due: int | None = None  # first of the blocks up to the window's end to be sent
        self._window_sent = self._timer_start = now
        self._measures = True  # its last block was sent once: the ACK of it is a round trip
        self._unsettled = UNSETTLED_ROUND_TRIPS
        self._is_undisturbed = True  # no block of it was sent before, no ACK came twice
        self._repeat_means_loss = True
        self._peer_proven = False
        self._repeats = 0
        self._progress = self._heard = now
        self._farewell: bytes | None = None
        self.started = self.ended = now
        self.retransmits = 0
        self.outcome: TransferOutcome | None = None
        """Set once the transfer is over; datagrams may still be waiting to be sent."""
        self._start_window(now)

    @property
    def blocks(self) -> int:
        """Blocks that the client has acknowledged."""
        return max(self._acknowledged, 0)

    @property
    def bytes_delivered(self) -> int:
        """Bytes of content that the client has acknowledged."""
        return min(self.blocks * self._terms.block_size, self._source.size)

    @property
    def peer_proven(self) -> bool:
        """The client has acknowledged something, so its address is no forgery."""
        return self._peer_proven

    @property
    def last_progress(self) -> float:
        """When the client last acknowledged something new."""
        return self._progress

    @property
    def last_block(self) -> int:
        """The number of the block that ends the transfer."""
        return self._source.size // self._terms.block_size + 1

    @property
    def is_steady(self) -> bool:
        """It goes its usual way: the ACK of the newest block, and of no other, sends the next
        window and changes nothing else than `run_ahead` does.

        Not so where the last block leaves that window shorter, and where the round trip is
        measured.
        """
        return (
            self.outcome is None
            and self._peer_proven
            and self._measures
            and self._is_undisturbed
            and self._repeat_means_loss
            and self._window_end - self._acknowledged == self._terms.window_size
            and not (self._unsettled or self._repeats)
        )

    @property
    def newest_block(self) -> int:
        """The newest block that was ever sent."""
        return self._newest

    def run_ahead(self, block: int, now: float) -> None:
        """Be where a steady transfer is once the window up to `block` was sent, now."""
        self._acknowledged = block - self._terms.window_size
        self._newest = self._window_end = block
        self._progress = self._heard = self._window_sent = self._timer_start = now

    def receive(self, datagram: bytes, now: float) -> None:
        """Take a datagram from the client's port."""
        if self.outcome is not None:
            return
        if datagram[:2] == _ACK and len(datagram) >= 4:
            self.receive_ack(int.from_bytes(datagram[2:4], "big"), now)
            return
        try:
            packet = parse(datagram)
        except MalformedPacket:
            return
        if isinstance(packet, Error):
            self._end_by_client(now)

    def repeat_request(self, now: float) -> bool:
        """Take the RRQ again; False when it is that of a client that began anew.

        One that acknowledged nothing has missed our first datagram, and one that is busy
        acknowledging sees its own RRQ delayed. The address cannot tell a machine that was reset:
        Intel's ROMs always use ports 2070 and 2071.
        """
        if self._peer_proven:
            return now - self._progress < RESTARTED_AFTER
        self._start_window(now)
        return True

    def supersede(self, now: float) -> None:
        """End the transfer because its client began anew: an ERROR would reach the new one."""
        self._end_by_client(now)

    def datagrams_to_send(self) -> list[bytes]:
        """Take what is to be sent now."""
        datagrams: list[bytes] | None = []
        due = self.take_due()
        if due is not None and due[0] == 0:
            datagrams = [self.option_ack()]
        elif due is not None:
            datagrams = read_blocks(self._source, *due, self._terms.block_size)
            if datagrams is None:
                self.source_changed(self._timer_start)
        farewell = self.take_farewell()
        return (datagrams or []) + ([] if farewell is None else [farewell])

    def take_due(self) -> tuple[int, int] | None:
        """Take which blocks are to be sent now, as the first and their number: 0 is the OACK."""
        first, self._due = self._due, None
        if first is None or self.outcome is not None:
            return None
        return first, self._window_end - first + 1

    def take_farewell(self) -> bytes | None:
        """Take the ERROR that ends the transfer, once."""
        farewell, self._farewell = self._farewell, None
        return farewell

    def option_ack(self) -> bytes:
        """Make the OACK (RFC 2347)."""
        return OptionAck(self._terms.accepted).to_bytes()

    def source_changed(self, now: float) -> None:
        """End the transfer: what its client has so far is not what the file is."""
        self.abort(TransferOutcome.SOURCE_CHANGED, "the file changed while it was being sent", now)

    def timer(self) -> float | None:
        """When `handle_timer` is to be called; None: never."""
        return None if self.outcome is not None else self._timer_start + self._clock.interval

    def handle_timer(self, now: float) -> None:
        """Send the window again, or give up."""
        due = self.timer()
        if due is None or now < due:
            return
        silence = now - self._progress
        is_hopeless = self._is_hopeless(silence)
        # One whose last ACK came again since then is there, and misses blocks.
        is_gone = now - self._heard >= FINAL_ACK_LIMIT or (
            is_hopeless and self._heard == self._progress
        )
        if self._peer_proven and self._sent_all and is_gone:
            self._acknowledged = self.last_block
            self._end(TransferOutcome.COMPLETE, self._progress)
        elif is_hopeless:
            self._end(TransferOutcome.TIMEOUT, now)
        else:
            self._repeats += 1
            self._unsettled = UNSETTLED_ROUND_TRIPS
            self._clock.expired()
            self._start_window(now)

    def abort(self, outcome: TransferOutcome, message: str, now: float) -> None:
        """End the transfer for a reason of ours, and tell the client."""
        if self.outcome is None:
            self._farewell = error(TFTPErrorCode.NOT_DEFINED, message)
            self._end(outcome, now)

    def _is_hopeless(self, silence: float) -> bool:
        """Tell whether what was sent has been repeated, or waited for, long enough."""
        if not self._peer_proven and self._repeats == UNPROVEN_REPEATS:
            return True
        if self._terms.tries is not None:
            return self._repeats + 1 >= self._terms.tries
        return silence >= SILENCE_LIMIT

    @property
    def _sent_all(self) -> bool:
        return self._window_end == self.last_block

    def receive_ack(self, wire_block: int, now: float) -> None:
        """Take an ACK from the client's port, by its 16-bit number."""
        if self.outcome is not None:
            return
        ahead = (wire_block - self._acknowledged) & 0xFFFF
        if ahead > self._window_end - self._acknowledged:
            return  # an ACK of the past, or of what was not sent
        if ahead == 0:
            self._heard = now
            self._receive_repeated_ack(now)
            return
        self._acknowledged += ahead
        self._peer_proven = True
        if self._repeats:
            self._repeats = 0
            self._clock.answered(now - self._timer_start)
        self._progress = self._heard = self._timer_start = now
        if self._acknowledged == self.last_block:
            self._end(TransferOutcome.COMPLETE, now)
        elif self._acknowledged == self._window_end:
            if self._measures:
                self._measure(now)
            self._start_window(now)
        elif self._concerns_window(now):
            # RFC 7440 §4: an ACK below the window's end names the last block before a gap.
            self._start_window(now)
        else:
            self._extend_window()

    def _measure(self, now: float) -> None:
        if self._unsettled:
            self._unsettled -= 1
        elif self._acknowledged % MEASURED_EVERY:
            return
        self._clock.measured(now - self._window_sent)

    def _receive_repeated_ack(self, now: float) -> None:
        """Treat the same ACK again as a lost first block of a window, or as nothing at all.

        In lockstep a duplicate ACK never sends DATA (RFC 1123 §4.2.3.1). With windows it is all
        that tells of a lost first block, so one per window may. Blocks that reach the client
        twice make it repeat ACKs in the next window too: only a window that went through once
        and undisturbed restores the right.
        """
        if not self._concerns_window(now):
            return
        may_restart = self._repeat_means_loss
        self._repeat_means_loss = self._is_undisturbed = False
        if may_restart:
            self._start_window(now)

    def _concerns_window(self, now: float) -> bool:
        """Tell whether an ACK can be an answer to the window that was sent last.

        One that arrives within half a round trip of it was on its way before.
        """
        return (
            self._terms.window_size > 1
            and self._peer_proven
            and now - self._window_sent >= (self._clock.round_trip or UNKNOWN_ROUND_TRIP) / 2
        )

    def _start_window(self, now: float) -> None:
        """Make the blocks behind the last ACK due: again those that were sent before."""
        if self._is_undisturbed and self._acknowledged == self._window_end:
            self._repeat_means_loss = True
        first = self._acknowledged + 1
        count = self._terms.window_size if first else 1
        last = min(first + count - 1, self.last_block)
        self._is_undisturbed = first > self._newest
        self._measures = last > self._newest
        self.retransmits += max(0, min(self._newest, last) - first + 1)
        self._window_end = last
        self._newest = max(self._newest, last)
        self._window_sent = self._timer_start = now
        self._due = first

    def _extend_window(self) -> None:
        """Send the blocks that an ACK from before the window was sent leaves room for.

        Clients count the window from the last ACK they sent: without these blocks one that still
        had to acknowledge an earlier window would wait for the timer, in every window from now on.
        """
        first = self._window_end + 1
        last = min(self._acknowledged + self._terms.window_size, self.last_block)
        if last >= first:
            self._measures = self._is_undisturbed = False
            self._window_end = last
            self._newest = max(self._newest, last)
            self._due = first if self._due is None else min(first, self._due)

    def _end_by_client(self, now: float) -> None:
        # EDK2 asks for the size and stops with ERROR 8, GRUB opens each configuration once to see
        # whether it is there, the Raspberry Pi 3 stops after the first block.
        probing = self._acknowledged <= 1
        self._end(TransferOutcome.PROBE if probing else TransferOutcome.CLIENT_ABORT, now)

    def _end(self, outcome: TransferOutcome, now: float) -> None:
        self.outcome = outcome
        self.ended = now
