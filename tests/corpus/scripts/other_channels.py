from asterisk.agi import AGI

agi = AGI()
if agi.channel_status("PJSIP/1002-00000001") == 6:
    agi.hangup("PJSIP/1002-00000001")
agi.get_full_variable("${CHANNEL(state)}", "PJSIP/1003-00000001")
agi.get_full_variable("${CALLERID(num)}")
agi.send_text("hello")
agi.tdd_mode("off") if False else agi.noop()
