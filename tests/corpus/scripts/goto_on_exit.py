from asterisk.agi import AGI

agi = AGI()
agi.goto_on_exit("support", "100", "1")
agi.goto_on_exit()
