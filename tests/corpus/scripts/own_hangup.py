import sys
from asterisk.agi import AGI, AGIHangup

agi = AGI()
agi.answer()
agi.record_file("/tmp/message", "wav", "#", 60000)
agi.hangup()
total = sum(number * number for number in range(20000))
with open(sys.argv[1], "w") as file:
    file.write("total %d" % total)
try:
    agi.stream_file("nobody-hears-this")
except AGIHangup:
    with open(sys.argv[1], "a") as file:
        file.write(", told")
