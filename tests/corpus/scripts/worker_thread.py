import threading
from asterisk.agi import AGI

agi = AGI()
found = []


def look_up():
    found.append(sum(range(1000)))


thread = threading.Thread(target=look_up)
thread.start()
agi.stream_file("please-wait")
thread.join()
agi.set_variable("FOUND", found[0])
