"""Ctrl-C and SIGTERM: the step at hand is finished and saved, and the message says how to go on."""

import signal
import threading
from types import FrameType, TracebackType

from payattention.errors import PayAttentionError


class Stopped(PayAttentionError):  # noqa: N818 (nothing failed)
    """A run that was stopped by a signal; the exit status is the shell's: 130 for Ctrl-C, 143 for SIGTERM."""

    def __init__(self, message: str, signal_number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number


class Stop:
    """Notes the first Ctrl-C or SIGTERM after `listen`; a second Ctrl-C stops at once.

    As a context manager it gives the signals back at the end.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, patient: bool = False) -> None:
        self.patient = patient  # torchrun passes on a Ctrl-C that has already reached its processes
        self.received: int | None = None

    def __enter__(self) -> "Stop":
        self._before = {number: signal.getsignal(number) for number in self.SIGNALS}
        return self

    def listen(self) -> None:
        if threading.current_thread() is threading.main_thread():  # Python allows it nowhere else
            for number in self.SIGNALS:
                signal.signal(number, self._note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT and not self.patient:
            raise KeyboardInterrupt
        self.received = number
