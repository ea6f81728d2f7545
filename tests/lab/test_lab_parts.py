"""The parts of the laboratory that need no PBX: tones, levels, the capture file, netstrings, image names."""

from __future__ import annotations

import struct
from itertools import combinations, permutations
from pathlib import Path
from urllib.parse import unquote

import pytest

from contrib.lab.agi_commands import waits_for_keys
from contrib.lab.capture import FILE_HEADER, MAGIC_MICROSECONDS, PACKET_HEADER, RtpCapture
from contrib.lab.endpoints import ENDPOINTS, TONES_HZ, endpoint_of_rtp_port
from contrib.lab.errors import LabError, PhoneError, Unclear, WaitTimeout
from contrib.lab.phone import parse_netstrings
from contrib.lab.sip import LONGEST_USER, escaped
from contrib.lab.sound import BIN_HZ, FLOOR_DBFS, Hearing, measure, sine, tone_level, tones_in, ulaw_to_linear
from contrib.lab.waiting import wait_until

HANN_WIDTH_HZ = 3 * BIN_HZ


def folded(hz: float) -> float:
    """Where a frequency ends up at 8 kHz."""
    hz %= 8000
    return 8000 - hz if hz > 4000 else hz


def test_tones_are_whole_bins() -> None:
    assert all(hz % BIN_HZ == 0 for hz in TONES_HZ.values())


def test_no_tone_is_near_a_product_of_others() -> None:
    tones = TONES_HZ.values()
    products = {folded(n * hz) for hz in tones for n in range(2, 10)}
    products |= {folded(one + sign * two) for one, two in combinations(tones, 2) for sign in (1, -1)}
    products |= {folded(2 * one + sign * two) for one, two in permutations(tones, 2) for sign in (1, -1)}
    assert all(abs(hz - product) >= HANN_WIDTH_HZ for hz in tones for product in products)


def test_a_tone_measures_what_it_is() -> None:
    sound = sine(1648, 0.6)
    assert tone_level(sound, 1648) == pytest.approx(-12.04, abs=0.01)
    assert all(tone_level(sound, hz) < -100 for hz in TONES_HZ.values() if hz != 1648)


def test_less_than_a_window_is_silence() -> None:
    assert tone_level(sine(1648, 0.2), 1648) == FLOOR_DBFS


@pytest.mark.parametrize("speakers", [(), ("1001",), ("2001", "3001"), ("1001", "1001-mobile", "3002")])
def test_a_packet_names_its_tones(speakers: tuple[str, ...]) -> None:
    """In 20 ms every tone is found, alone and together, and no other one."""
    tones = [sine(TONES_HZ[speaker], 0.02, 0.25) for speaker in speakers]
    assert tones_in([sum(parts) for parts in zip([0] * 160, *tones, strict=True)], TONES_HZ) == frozenset(speakers)


def test_a_packet_of_speech_names_nobody() -> None:
    """A voice has harmonics, some of which are as loud as a tone and in its place."""
    voice = [sine(hz, 0.02, 0.1) for hz in range(206, 2500, 206)]
    assert tones_in([sum(parts) for parts in zip(*voice, strict=True)], TONES_HZ) == frozenset()


def test_mulaw_decodes_to_the_known_values() -> None:
    assert ulaw_to_linear(b"\x00\x7f\x80\xff") == [-32124, 0, 32124, 0]


def test_a_level_between_is_unclear() -> None:
    hearing = measure({"1001": [sine(2320, 0.6, amplitude=0.01)]}, TONES_HZ, 0.6)
    with pytest.raises(Unclear, match="1001 hears 3001 at -40"):
        hearing.heard_by("1001")


def test_half_the_time_is_unclear() -> None:
    hearing = measure({"1001": [sine(2320, 0.3)]}, TONES_HZ, 0.6)
    with pytest.raises(Unclear, match="50% of the time"):
        hearing.heard_by("1001")


def test_nothing_sent_is_silence() -> None:
    hearing = measure({"1001": []}, TONES_HZ, 0.6)
    assert hearing.heard_by("1001") == frozenset()
    assert "nothing was sent to: 1001" in hearing.table()


def test_the_loudest_leak_leaves_out_what_is_expected() -> None:
    hearing = Hearing({"1001": {"3001": -12.0, "2001": -60.0}}, {"1001": 1.0})
    assert hearing.loudest_leak({"1001": {"3001"}}) == -60.0


def test_every_phone_has_ports_of_its_own() -> None:
    ports = [endpoint.rtp_ports for endpoint in ENDPOINTS.values()]
    assert sum(len(one) for one in ports) == len({port for one in ports for port in one})
    assert all(endpoint_of_rtp_port(one.rtp_ports[-1]) == one.name for one in ENDPOINTS.values())
    assert endpoint_of_rtp_port(10000) is None


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_netstrings_come_out_of_any_pieces(size: int) -> None:
    wire, buffer, seen = b'2:{},11:{"a":"b,:"},0:,', bytearray(), []
    for start in range(0, len(wire), size):
        buffer += wire[start : start + size]
        seen += list(parse_netstrings(buffer))
    assert seen == [b"{}", b'{"a":"b,:"}', b""]
    assert not buffer


@pytest.mark.parametrize("wire", [b"x", b":{}", b"99999999:", b"70000:x", b"2:{}x", b"-1:,"])
def test_what_is_no_netstring_is_refused(wire: bytes) -> None:
    with pytest.raises(PhoneError):
        list(parse_netstrings(bytearray(wire)))


def packet(at: float, source: int, destination: int, payload_type: int, payload: bytes, timestamp: int = 0) -> bytes:
    """One packet as tcpdump writes it."""
    rtp = struct.pack(">BBHII", 0x80, payload_type, 1, timestamp, 7) + payload
    udp = struct.pack(">HHHH", source, destination, 8 + len(rtp), 0) + rtp
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\1\2\3\4", b"\1\2\3\5") + udp
    frame = bytes(12) + b"\x08\x00" + ip
    return PACKET_HEADER.pack(int(at), round(at % 1 * 1e6), len(frame), len(frame)) + frame


HEADER = FILE_HEADER.pack(MAGIC_MICROSECONDS, 2, 4, 0, 0, 262144, 1)


def test_only_sound_from_after_the_moment_counts(tmp_path: Path) -> None:
    path = tmp_path / "rtp.pcap"
    port = ENDPOINTS["1001"].rtp_ports[0]
    path.write_bytes(
        HEADER
        + packet(10.0, 10000, port, 0, b"\x00" * 160)
        + packet(11.0, 10000, port, 0, b"\xff" * 160)
        + packet(12.0, 10000, port, 0, b"\x00" * 160)
    )
    assert RtpCapture(path).sound_at(10.5, 1.0) == {"1001": [[0] * 160]}


def test_a_packet_that_is_still_being_written_is_read_later(tmp_path: Path) -> None:
    path = tmp_path / "rtp.pcap"
    whole = HEADER + packet(10.0, 10000, ENDPOINTS["1001"].rtp_ports[0], 0, b"\xff" * 160)
    capture = RtpCapture(path)
    for end in (0, 10, len(HEADER) + 5, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert capture.packets_since(0) == []
    path.write_bytes(whole)
    assert len(capture.packets_since(0)) == 1
    assert len(capture.packets_since(0)) == 1


def test_keys_are_counted_once_though_their_end_is_sent_three_times(tmp_path: Path) -> None:
    path = tmp_path / "rtp.pcap"
    port = ENDPOINTS["3001"].rtp_ports[0]

    def end_of(key: int, timestamp: int) -> bytes:
        return packet(10.0, port, 10000, 101, bytes([key, 0x8A, 3, 32]), timestamp) * 3

    path.write_bytes(HEADER + end_of(1, 1) + end_of(1, 2) + end_of(11, 3))
    assert RtpCapture(path).digits_sent("3001", 0) == "11#"
    assert RtpCapture(path).digits_sent("1001", 0) == ""


def test_another_file_is_no_capture(tmp_path: Path) -> None:
    path = tmp_path / "rtp.pcap"
    path.write_bytes(bytes(100))
    with pytest.raises(LabError, match="no Ethernet capture"):
        RtpCapture(path).packets_since(0)


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(WaitTimeout, match=r"waited 0\.05 s for the moon, in vain.*None"):
        wait_until(lambda: None, 0.05, "the moon")


@pytest.mark.parametrize("text", ["1001", "5\r\n\r\nEvent: x", "a@b;c=%0D", "é", "x" * LONGEST_USER])
def test_any_text_is_a_user_part(text: str) -> None:
    """No character of it ends the address, and what is decoded is the text."""
    written = escaped(text)
    assert written.replace("%", "").isalnum()
    assert unquote(written) == text


def test_a_user_part_is_not_cut() -> None:
    with pytest.raises(ValueError, match="80 characters"):
        escaped("x" * (LONGEST_USER + 1))


@pytest.mark.parametrize(
    ("command", "reads"),
    [
        ('GET DATA "agent-pass" 8000 12', True),
        ("WAIT FOR DIGIT 5000", True),
        ('EXEC "ChanSpy" "PJSIP/1001-00000001,qE"', True),
        ("exec ConfBridge 1", True),
        ('EXEC "Originate" "Local/1@x,app,Wait,1"', False),
        ('STREAM FILE "vm-sorry" "0123456789*#"', False),
        ('GET FULL VARIABLE "${UNIQUEID}"', False),
        ("", False),
    ],
)
def test_a_command_that_waits_for_keys(command: str, reads: bool) -> None:
    """A sentence is not waited in: between its words Asterisk reads no key."""
    assert waits_for_keys(command) is reads
