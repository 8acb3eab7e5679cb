"""A ProxyCommand that carries so many bytes each way and then cuts the connection, or holds it still.

python relay.py PORT UP DOWN cut|stall [MARK]: MARK is made when the limit is reached.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
from pathlib import Path


def main(port: int, limits: tuple[int, int], how: str, mark: str) -> None:
    """Until either side has gone, or a limit is reached."""
    far = socket.create_connection(("127.0.0.1", port))
    ways = {0: (far.fileno(), limits[0]), far.fileno(): (1, limits[1])}
    carried = dict.fromkeys(ways, 0)
    selector = selectors.DefaultSelector()
    for source in ways:
        selector.register(source, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            target, limit = ways[key.fd]
            data = os.read(key.fd, min(65536, limit - carried[key.fd]))
            if not data:
                return
            carried[key.fd] += len(data)
            left = memoryview(data)
            while left:
                left = left[os.write(target, left) :]
            if carried[key.fd] == limit:
                if mark:
                    Path(mark).touch()
                if how == "stall":
                    signal.pause()
                return


if __name__ == "__main__":
    main(int(sys.argv[1]), (int(sys.argv[2]), int(sys.argv[3])), sys.argv[4], "".join(sys.argv[5:6]))
