#!/usr/bin/python3 -I
"""The lab's distance: gives packets back to the router later than they came.

usage: delay.py DIRECTORY

The router sends the packets of slow links into the interface delay0. This program takes them from its other end,
delay1, and puts each back when its time has come, so that the router finds it coming from delay0 and passes it on.
DIRECTORY/delay.table says how long: lines of ``SOURCE DESTINATION SECONDS``. It may be replaced at any time; what is
in force is copied to delay.applied. The program ends by itself when the table is empty, or gone with the lab.
"""

import array
import fcntl
import heapq
import os
import select
import socket
import struct
import sys
import time

SIOCETHTOOL = 0x8946
# Frames are to leave delay0 as they would leave a real card: checksums filled in, and no longer than its MTU.
OFFLOADS = {"checksums": 0x17, "scatter-gather": 0x19, "TCP segments": 0x1F, "segments": 0x24}
ETHERTYPE_IPV4 = 0x0800
# A router that has to keep more than this loses what comes next, as a real one does.
MOST_PACKETS = 20_000
LOOK_AGAIN_MS = 50


def switch_offloads_off() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for what, command in OFFLOADS.items():
            value = array.array("B", struct.pack("II", command, 0))
            try:
                fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP", b"delay0", value.buffer_info()[0]))
            except OSError as error:
                # Not fatal: another kernel may name it otherwise. What goes wrong then is seen at once, as no answer.
                sys.stderr.write(f"delay0: {what} cannot be switched off: {error}\n")


class Table:
    """How long the packets of which link are kept."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, "delay.table")
        self.applied = os.path.join(directory, "delay.applied")
        self.seen: tuple[int, int] | None = None
        self.seconds: dict[bytes, float] = {}

    def read(self) -> bool:
        """Take over what is new. False when there is nothing left to do."""
        try:
            found = os.stat(self.path)
            if (found.st_ino, found.st_mtime_ns) == self.seen:
                return bool(self.seconds)
            with open(self.path, encoding="ascii") as file:
                text = file.read()
            self.seconds = {}
            for line in text.splitlines():
                source, destination, seconds = line.split()
                self.seconds[socket.inet_aton(source) + socket.inet_aton(destination)] = float(seconds)
            with open(self.applied + ".new", "w", encoding="ascii") as file:
                file.write(text)
            os.replace(self.applied + ".new", self.applied)
        except FileNotFoundError:
            return False
        self.seen = (found.st_ino, found.st_mtime_ns)
        return bool(self.seconds)


def relay(table: Table, card: socket.socket) -> None:
    waiting: list[tuple[float, int, bytes]] = []
    number = 0
    poll = select.poll()
    poll.register(card, select.POLLIN)
    while True:
        working = table.read()
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            try:
                card.send(heapq.heappop(waiting)[2])
            except OSError:
                continue  # no room, or the card is going: a packet is lost, as on any road
        if not working and not waiting:
            return
        poll.poll(min(LOOK_AGAIN_MS, max(0.0, (waiting[0][0] - now) * 1000)) if waiting else LOOK_AGAIN_MS)
        now = time.monotonic()
        for _ in range(256):
            try:
                frame, (_, _, kind, *_) = card.recvfrom(65536)
            except BlockingIOError:
                break
            if kind == socket.PACKET_OUTGOING or len(waiting) >= MOST_PACKETS:
                continue
            number += 1
            # Bytes 26 to 33 of the frame are the addresses. A link that is slow no more keeps nothing.
            heapq.heappush(waiting, (now + table.seconds.get(frame[26:34], 0.0), number, frame))


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    switch_offloads_off()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_IPV4)) as card:
        card.bind(("delay1", ETHERTYPE_IPV4))
        card.setblocking(False)
        card.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        relay(Table(sys.argv[1]), card)


if __name__ == "__main__":
    main()
