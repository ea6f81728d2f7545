from asterisk.agi import AGI

agi = AGI()
agi.say_datetime(0, "#", "ABdY")
key = agi.record_file("greeting", "wav", "#*", 10000, 0, "beep", 3)
agi.set_variable("KEY", key)
agi.control_stream_file("greeting", "5", 3000, "6", "4", "8")
