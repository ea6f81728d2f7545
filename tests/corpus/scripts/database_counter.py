from asterisk.agi import AGI, AGIDBError

agi = AGI()
try:
    count = int(agi.database_get("calls", agi.env["agi_callerid"]))
except AGIDBError:
    count = 0
agi.database_put("calls", agi.env["agi_callerid"], count + 1)
agi.database_del("calls", "old")
