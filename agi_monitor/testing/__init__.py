"""Test AGI stories without a PBX.

::

    def test_greets():
        fake = FakeAsterisk()
        fake.keys("1234#")
        fake.run(my_story)
        assert fake.played == ["agent-pass", "auth-thankyou"]

``FakeAsterisk`` speaks real AGI bytes to the real ``FastAGIProtocol``, on a clock of its own: no socket, no reactor.
``FakeManager`` does the same for ``AMIClient``.
"""

from agi_monitor.testing.fake_asterisk import FakeAsterisk
from agi_monitor.testing.fake_channel import FakeChannel
from agi_monitor.testing.fake_manager import FakeManager
from agi_monitor.testing.fake_pbx import BLOCKS

__all__ = ["BLOCKS", "FakeAsterisk", "FakeChannel", "FakeManager"]
