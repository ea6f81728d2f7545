import socket
import sys
from asterisk.agi import AGI

agi = AGI()
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20) as manager:
    lines = manager.makefile("rw", newline="\r\n")
    greeting = lines.readline().strip()
    lines.write("Action: QueueStatus\nQueue: sales\n\n")
    lines.flush()
    answer = lines.readline().strip()
agi.set_variable("GREETING", greeting.split("/")[0])
agi.set_variable("ANSWER", answer.partition(": ")[2])
