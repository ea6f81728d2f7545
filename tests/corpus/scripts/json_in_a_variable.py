import json
from asterisk.agi import AGI

agi = AGI()
agi.set_variable("CALL", json.dumps({"from": agi.env["agi_callerid"], "name": "Anna Bell"}))
agi.set_variable("PIPE", '5" pipe')
agi.set_variable("LAST", "yes")
