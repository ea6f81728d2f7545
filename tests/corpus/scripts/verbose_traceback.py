import traceback
from asterisk.agi import AGI

agi = AGI()
try:
    {}["no such key"]
except KeyError:
    agi.verbose(traceback.format_exc().splitlines()[-1])
agi.verbose("first line\nsecond line")
agi.set_variable("AFTER", "yes")
