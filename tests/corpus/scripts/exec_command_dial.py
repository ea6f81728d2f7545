from asterisk.agi import AGI

agi = AGI()
agi.exec_command("Dial", "PJSIP/1001", 20, "tT")
status = agi.get_variable("DIALSTATUS")
if status != "ANSWER":
    agi.exec_command("VoiceMail", "1001@default", "u")
agi.exec_command("Playback", '"vm goodbye"', "noanswer")
