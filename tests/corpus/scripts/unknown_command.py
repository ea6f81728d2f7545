from asterisk.agi import AGI, AGIInvalidCommand, AGIUsageError

agi = AGI()
seen = []
try:
    agi.execute("FLY AWAY")
except AGIInvalidCommand:
    seen.append("invalid")
try:
    agi.execute("WRONG USAGE")
except AGIUsageError:
    seen.append("usage")
agi.set_variable("SEEN", ",".join(seen))
