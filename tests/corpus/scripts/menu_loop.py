import sys
from asterisk.agi import AGI

agi = AGI()
for attempt in range(3):
    key = agi.get_option("main-menu", "123", 3000)
    if key:
        break
    agi.stream_file("vm-sorry")
else:
    key = agi.wait_for_digit(2000)
agi.set_variable("CHOICE", key)
if key != "1":
    sys.exit(1)
