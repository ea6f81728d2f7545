import sqlite3
import sys
from asterisk.agi import AGI

agi = AGI()
database = sqlite3.connect(sys.argv[1])
database.execute("create table if not exists people (number text, name text)")
database.execute("delete from people")
database.execute("insert into people values (?, ?)", (agi.env["agi_callerid"], "Anna Bell"))
database.commit()
row = database.execute("select name from people where number = ?", (agi.env["agi_callerid"],)).fetchone()
agi.execute("SET CALLERID", '"%s<%s>"' % (row[0].split()[0], agi.env["agi_callerid"]))
agi.set_variable("CUSTOMER", row[0])
database.close()
