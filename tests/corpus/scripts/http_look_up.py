import json
import sys
import urllib.request
from asterisk.agi import AGI

agi = AGI()
with urllib.request.urlopen(sys.argv[1] + "?number=" + agi.env["agi_callerid"], timeout=20) as answer:
    found = json.load(answer)
agi.set_variable("CUSTOMER", found["name"])
agi.set_variable("VIP", int(found["vip"]))
