"""A chip on a board, at the end of a serial port: the line that `sim.host.remote` speaks over."""

from typing import Self

from model.contract.refusal import Refusal

BAUD = 1_000_000
PATIENCE_SECONDS = 0.5  #: of silence, after which nothing more is expected


class SerialLine:
    """A serial port as a line. Twin: `sim.host.line.SimulatedLine`.

    Parameters: `port`, such as /dev/ttyUSB1 or COM3; `baud`, that of the board.
    Raises `Refusal` where pyserial is missing or the port cannot be opened or is lost.
    """

    def __init__(self, port: str, baud: int = BAUD) -> None:
        try:
            import serial
        except ImportError as error:
            raise Refusal(
                'serial ports need pyserial; run `pip install "drtp-kit[serial]"`'
            ) from error
        self._lost = serial.SerialException
        self.port = port
        self.cycles: int | None = None  #: nobody counts a board's
        self.bytes_sent = self.bytes_received = 0
        try:
            self._serial = serial.Serial(port, baud, timeout=PATIENCE_SECONDS)
        except (serial.SerialException, ValueError) as error:
            raise Refusal(
                f"the serial port {port} cannot be opened: {error}; check name and rights"
            ) from error

    def close(self) -> None:
        """Give the port back."""
        self._serial.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self._serial.write(data)
        except self._lost as error:
            raise Refusal(f"the serial port {self.port} was lost: {error}") from error
        self.bytes_sent += len(data)

    def receive(self) -> bytes:
        """The bytes that came, at least one unless the line stays silent."""
        try:
            first = self._serial.read(1)
            data = first + self._serial.read(self._serial.in_waiting) if first else b""
        except self._lost as error:
            raise Refusal(f"the serial port {self.port} was lost: {error}") from error
        self.bytes_received += len(data)
        return bytes(data)
