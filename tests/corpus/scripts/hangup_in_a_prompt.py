import sys
from asterisk.agi import AGI, AGIAppError, AGIHangup

agi = AGI()
try:
    agi.get_data("leaves-during-this", 5000, 4)
except AGIHangup:
    why = "hangup"
except AGIAppError:
    why = "error"
with open(sys.argv[1], "w") as file:
    file.write(why)
