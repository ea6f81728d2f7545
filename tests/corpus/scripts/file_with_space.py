from asterisk.agi import AGI

agi = AGI()
agi.stream_file("my own prompt")
agi.set_context("my context")
