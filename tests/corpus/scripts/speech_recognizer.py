from asterisk.agi import AGI, AGIError

agi = AGI()
try:
    agi.execute("SPEECH CREATE", '"unimrcp"')
    agi.execute("SPEECH SET", "name", "value")
    result = agi.execute("SPEECH RECOGNIZE", '"en-us/please speak"', 10, 0)
    agi.set_variable("HEARD", result["result"][1])
    agi.execute('EXEC MRCPSynth "Please wait\\, caller" "v=male"')
finally:
    agi.execute("SPEECH DESTROY")
