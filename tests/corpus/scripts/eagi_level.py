import os
import struct
from asterisk.agi import AGI

agi = AGI()
if agi.env["agi_enhanced"] == "1.0":
    data = os.read(3, 320)
    samples = struct.unpack("<%dh" % (len(data) // 2), data)
    agi.set_variable("LEVEL", max(samples))
else:
    agi.set_variable("LEVEL", "no sound")
