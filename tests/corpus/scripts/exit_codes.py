import sys
from asterisk.agi import AGI

agi = AGI()
if agi.get_variable("ALLOWED") != "yes":
    agi.verbose("not allowed")
    sys.exit(3)
