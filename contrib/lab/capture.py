"""What reaches a phone, on the wire: RTP in a growing capture file.

A phone's own recording stops growing, or stops for good, when a call is held; the packets do not lie. Each
carries the time of its arrival, so sound from before the moment of interest is told apart exactly, and a phone
that is sent nothing is silent without any guess.

The file is libpcap's, written by tcpdump packet by packet. Read forward only; a packet that is not yet
complete is left for the next look.
"""

from __future__ import annotations

import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from contrib.lab.endpoints import endpoint_of_rtp_port
from contrib.lab.errors import LabError
from contrib.lab.sound import ulaw_to_linear

FILE_HEADER = struct.Struct("<IHHiIII")
PACKET_HEADER = struct.Struct("<IIII")
MAGIC_MICROSECONDS = 0xA1B2C3D4
LINK_ETHERNET = 1
ETHERNET_BYTES = 14
UDP_BYTES = 8
RTP_BYTES = 12
LONGEST_PACKET_BYTES = 262_144
"""tcpdump's own limit; more means that the file is not what it should be."""
PAYLOAD_ULAW = 0
PAYLOAD_TELEPHONE_EVENT = 101
KEPT_SECONDS = 30.0
"""Packets older than this are forgotten; no measurement looks back further."""


@dataclass(frozen=True)
class RtpPacket:
    """One packet of sound or of a typed digit."""

    arrived: float
    """Seconds since 1970."""
    source_port: int
    destination_port: int
    payload_type: int
    timestamp: int
    source: int
    """The SSRC: one number for each stream."""
    payload: bytes


class RtpCapture:
    """The packets of one laboratory, as they come.

    :param path: the file that tcpdump writes
    :param decrypt: takes a packet and the length of its header, and returns the payload; None where it cannot be
        read, and the packet counts as none. Without it sound is taken as it is
    """

    def __init__(self, path: Path, decrypt: Callable[[bytes, int], bytes | None] | None = None) -> None:
        self.path = path
        self._decrypt = decrypt
        self.unreadable = 0
        """Packets that could not be decrypted."""
        self._offset = 0
        self._packets: deque[RtpPacket] = deque()
        self._lock = threading.Lock()

    def packets_since(self, moment: float) -> list[RtpPacket]:
        """List what arrived at or after a moment (seconds since 1970), in order.

        :raises LabError: the file is not a capture
        """
        with self._lock:
            self._read_on()
            return [packet for packet in self._packets if packet.arrived >= moment]

    def sound_at(self, moment: float, seconds: float) -> dict[str, list[list[int]]]:
        """Give the sound that each phone was sent in a stretch of time.

        :param moment: its begin, seconds since 1970
        :param seconds: its length
        :returns: phone -> one list of samples for each stream; phones that were sent nothing are absent
        """
        streams: dict[tuple[str, int], list[int]] = {}
        for packet in self.packets_since(moment):
            phone = endpoint_of_rtp_port(packet.destination_port)
            if phone is not None and packet.payload_type == PAYLOAD_ULAW and packet.arrived < moment + seconds:
                streams.setdefault((phone, packet.source), []).extend(ulaw_to_linear(packet.payload))
        sounds: dict[str, list[list[int]]] = {}
        for (phone, _), samples in streams.items():
            sounds.setdefault(phone, []).append(samples)
        return sounds

    def digits_sent(self, phone: str, moment: float) -> str:
        """Tell which keys a phone has finished pressing since a moment (seconds since 1970)."""
        finished: dict[tuple[int, int], str] = {}
        for packet in self.packets_since(moment):
            if packet.payload_type != PAYLOAD_TELEPHONE_EVENT or len(packet.payload) < 2:
                continue
            event, ended = packet.payload[0], bool(packet.payload[1] & 0x80)
            if ended and event < 16 and endpoint_of_rtp_port(packet.source_port) == phone:
                finished[packet.source, packet.timestamp] = "0123456789*#ABCD"[event]  # the end is sent three times
        return "".join(finished.values())

    def all_packets(self) -> Iterator[RtpPacket]:
        """Read the whole file again from its beginning, for a post-mortem."""
        again = RtpCapture(self.path, self._decrypt)
        with self.path.open("rb") as file:
            yield from again._parse(file.read())

    def _read_on(self) -> None:
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        for packet in self._parse(data):
            self._packets.append(packet)
        while self._packets and self._packets[0].arrived < self._packets[-1].arrived - KEPT_SECONDS:
            self._packets.popleft()

    def _parse(self, data: bytes) -> Iterator[RtpPacket]:
        at = 0
        if self._offset == 0:
            if len(data) < FILE_HEADER.size:
                return
            magic, *_, link = FILE_HEADER.unpack_from(data)
            if magic != MAGIC_MICROSECONDS or link != LINK_ETHERNET:
                raise LabError(f"{self.path} is no Ethernet capture in microseconds ({magic:#x}, link {link})")
            at = FILE_HEADER.size
        while len(data) - at >= PACKET_HEADER.size:
            seconds, microseconds, length, _ = PACKET_HEADER.unpack_from(data, at)
            if length > LONGEST_PACKET_BYTES:
                raise LabError(f"{self.path} is damaged at byte {self._offset + at}: a packet of {length} bytes")
            end = at + PACKET_HEADER.size + length
            if end > len(data):
                break
            packet = self._rtp(seconds + microseconds / 1e6, data[at + PACKET_HEADER.size : end])
            if packet is not None:
                yield packet
            at = end
        self._offset += at

    def _rtp(self, arrived: float, frame: bytes) -> RtpPacket | None:
        found = _udp(frame)
        if found is None:
            return None
        source_port, destination_port, rtp, header = found
        payload: bytes | None = rtp[header:]
        if self._decrypt is not None:
            payload = self._decrypt(rtp, header)
        if payload is None:
            self.unreadable += 1
            return None
        timestamp, source = struct.unpack_from(">II", rtp, 4)
        return RtpPacket(arrived, source_port, destination_port, rtp[1] & 0x7F, timestamp, source, payload)


def _udp(frame: bytes) -> tuple[int, int, bytes, int] | None:
    """Take an Ethernet frame apart: the ports, the packet of RTP and the length of its header; None when there is no
    RTP in it (RTCP shares the ports)."""
    ip = frame[ETHERNET_BYTES:]
    if len(ip) < 20 or ip[0] >> 4 != 4 or ip[9] != 17:
        return None
    udp = ip[(ip[0] & 0x0F) * 4 :]
    if len(udp) < UDP_BYTES + RTP_BYTES:
        return None
    source_port, destination_port, length = struct.unpack_from(">HHH", udp)
    rtp = udp[UDP_BYTES:length]
    if len(rtp) < RTP_BYTES or rtp[0] >> 6 != 2 or destination_port % 2:
        return None
    header = RTP_BYTES + (rtp[0] & 0x0F) * 4
    if rtp[0] & 0x10:  # an extension, its length in words
        if len(rtp) < header + 4:
            return None
        header += 4 + struct.unpack_from(">H", rtp, header + 2)[0] * 4
    return source_port, destination_port, rtp, header
