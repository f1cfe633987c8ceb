"""How the launcher and the warm processes talk: JSON objects, one a line, over local sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

Message = dict[str, Any]

_CHUNK = 1 << 16


class Channel:
    """One end of a conversation.

    Args:
        sock: A connected stream socket, which belongs to the channel from now on.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._unread = b""

    def send(self, message: Mapping[str, Any]) -> bool:
        """Send a message; return whether anybody is there to read it."""
        try:
            self.sock.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return False
        return True

    def receive(self) -> list[Message] | None:
        """Wait for something to arrive; return the messages that are whole, or None at the end.

        Whatever is not a JSON object ends the conversation too.
        """
        try:
            came = self.sock.recv(_CHUNK)
        except OSError:
            return None
        if not came:
            return None
        *lines, self._unread = (self._unread + came).split(b"\n")
        try:
            messages = [json.loads(line) for line in lines]
        except ValueError:
            return None
        return messages if all(isinstance(message, dict) for message in messages) else None

    def next(self) -> Message | None:
        """Wait for one message where no more than one is on its way; None at the end."""
        while True:
            messages = self.receive()
            if messages is None:
                return None
            if messages:
                return messages[0]

    def close(self) -> None:
        """End the conversation."""
        self.sock.close()


def pair() -> tuple[Channel, Channel]:
    """Return both ends of a new conversation."""
    ours, theirs = socket.socketpair()
    return Channel(ours), Channel(theirs)
