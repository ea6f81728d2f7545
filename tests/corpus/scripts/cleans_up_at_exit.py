import atexit
import sys
from asterisk.agi import AGI

agi = AGI()


@atexit.register
def clean_up():
    with open(sys.argv[1], "w") as file:
        file.write("cleaned")


agi.answer()
