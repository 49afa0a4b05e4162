"""Progress bars in log files: a stream that writes a bar's line now and then, not every version of it.

A bar draws its line again and again, from a carriage return on. On a terminal that is one line that moves; in a file it
is one line of thousands of characters. Knows text and time; does not know which library draws the bar.
"""

from __future__ import annotations

import io
import re
import time
from typing import TextIO

SECONDS = 30.0


class ProgressLines(io.TextIOBase):
    """Passes text on. Of a line that is drawn again and again: a version every so many seconds, and the last one.

    Args:
        stream: Where the text goes; no terminal.
        seconds: Least time between two versions of one line.
    """

    def __init__(self, stream: TextIO, seconds: float = SECONDS) -> None:
        self._stream, self._seconds = stream, seconds
        self._line = ""  # the newest version of a line that was drawn again
        self._redrawn = False
        self._written = 0.0

    def write(self, text: str) -> int:
        """Take text, whole lines or not; return its number of characters."""
        for part in re.split(r"([\r\n])", text):
            if part == "\r":
                self._write_version(time.monotonic() - self._written >= self._seconds)
                self._redrawn = True
            elif part == "\n":
                self._write_version(True)
                if not self._redrawn:
                    self._stream.write("\n")
                self._redrawn = False
            elif self._redrawn:
                self._line += part
            else:
                self._stream.write(part)
        return len(text)

    def flush(self) -> None:
        """Flush the stream below."""
        self._stream.flush()

    def finish(self) -> None:
        """Write the last version of an unfinished line, at the end of a command."""
        self._write_version(True)
        self._redrawn = False
        self.flush()

    def isatty(self) -> bool:
        """Return False: bars in colour and terminal widths make no sense here."""
        return False

    def fileno(self) -> int:
        """Return the file descriptor below; programs that are started write there."""
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding below."""
        return self._stream.encoding

    def _write_version(self, wanted: bool) -> None:
        if wanted and self._line.strip():
            self._stream.write(f"{self._line.rstrip()}\n")
            self._stream.flush()
            self._written = time.monotonic()
        self._line = ""
