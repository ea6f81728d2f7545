import re
import sys

while input():
    pass
print("STREAM FILE welcome 12", flush=True)
match = re.match(r"200 result=(-?[0-9]+)", input())
print("SET VARIABLE KEY %s" % match.group(1), flush=True)
sys.stdin.readline()
print("NO SUCH COMMAND", flush=True)
print("SET VARIABLE UNKNOWN %s" % input()[:3], flush=True)
input()
