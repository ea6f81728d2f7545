import asterisk.agi

agi = asterisk.agi.AGI()


def speak(text):
    agi.appexec("Festival", text.replace(",", "\\,").replace('"', '\\"'))


speak("Good morning, caller")
speak('She said "hello", and left')
agi.appexec("MSet", "A=\\\"one, two\\\",B=three")
agi.set_variable("SAID", "a\\\"b")
agi.appexec("Set", "X=a\\,b")
