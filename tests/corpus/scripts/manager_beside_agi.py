import socket
import sys
from asterisk.agi import AGI

agi = AGI()
manager = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
with manager, manager.makefile("rw", newline="\r\n") as lines:
    greeting = lines.readline().strip()
    lines.write("Action: QueueStatus\nQueue: sales\n\n")
    lines.flush()
    answer = lines.readline().strip()
agi.set_variable("GREETING", greeting.split("/")[0])
agi.set_variable("ANSWER", answer.partition(": ")[2])
