from asterisk.agi import AGI

agi = AGI()
agi.send_command("CHANNEL STATUS")
state = agi.get_result()["result"][0]
agi.send_command("SET VARIABLE", "STATE", state)
agi.get_result()
agi.execute("NOOP\n")
