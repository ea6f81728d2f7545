import signal
import sys
from asterisk.agi import AGI

gone = []
agi = AGI()
signal.signal(signal.SIGHUP, lambda number, frame: gone.append(number))
agi.hangup()
for _ in range(20000):
    pass
with open(sys.argv[1], "w") as file:
    file.write("still here")
