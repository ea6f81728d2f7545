import asterisk.agi
import asterisk.agitb

agi = asterisk.agi.AGI()
asterisk.agitb.enable(agi, False)
agi.answer()
raise RuntimeError("on purpose")
