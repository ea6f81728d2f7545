from asterisk.agi import AGI

agi = AGI()
count = ["helper"]


def greet():
    agi.answer()
    agi.stream_file("welcome")
