import argparse
import sys
from asterisk.agi import AGI

agi = AGI()
sys.argv.pop(0)
assert isinstance(sys.argv, list)
parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("--times", type=int, default=1)
options = parser.parse_args(sys.argv)
for _ in range(options.times):
    agi.verbose("hello %s" % options.name)
agi.set_variable("FIRST", agi.env["agi_arg_1"])
