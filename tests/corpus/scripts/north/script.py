import settings
from asterisk.agi import AGI

agi = AGI()
agi.set_variable("BRANCH", settings.BRANCH)
