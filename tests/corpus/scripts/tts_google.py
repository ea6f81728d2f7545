from asterisk.agi import AGI

agi = AGI()
name = agi.env["agi_calleridname"]
agi.appexec("AGI", 'googletts.agi,\\"Hello %s\\",en,any' % name)
agi.appexec("AGI", "googletts.agi,'It is late',en")
agi.appexec("Read", "PIN,beep,4,,1,5")
agi.get_variable("PIN")
