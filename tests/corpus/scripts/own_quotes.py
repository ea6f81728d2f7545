from asterisk.agi import AGI

agi = AGI()
agi.stream_file('"my own prompt"')
agi.get_data('"enter your number"', 4000, 6)
agi.set_callerid('"Front-Desk<100>"')
agi.set_context("internal")
agi.set_extension("700")
agi.set_priority(1)
