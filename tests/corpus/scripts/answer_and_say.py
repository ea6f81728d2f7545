from asterisk.agi import AGI

agi = AGI()
agi.answer()
agi.stream_file("hello-world")
agi.say_number(1234)
agi.say_digits("5678", [1, 2])
agi.say_alpha("abc")
agi.say_phonetic("xyz", "#")
agi.say_date(0)
agi.say_time(86400)
agi.noop()
