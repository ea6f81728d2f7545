#!/usr/bin/env python3
from asterisk.agi import *

agi = AGI()
agi.answer()
tries = 0
while tries < 3:
    pin = agi.get_data("agent-pass", 5000, 4)
    if pin == "4242":
        agi.set_variable("OK", 1)
        break
    tries += 1
    agi.verbose("wrong pin, try %d" % tries, 2)
else:
    agi.set_variable("OK", 0)
agi.set_autohangup(30)
