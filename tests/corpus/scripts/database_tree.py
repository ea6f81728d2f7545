from asterisk.agi import AGI, AGIDBError

agi = AGI()
try:
    agi.database_deltree("calls", "today")
    agi.verbose("deleted")
except AGIDBError:
    agi.verbose("nothing there")
