import queue
from asterisk.agi import AGI

agi = AGI()
agi.set_variable("QUEUE", queue.name_for(agi.env["agi_extension"]))
