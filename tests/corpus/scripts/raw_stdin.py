import sys

env = {}
while 1:
    line = sys.stdin.readline().strip()
    if line == "":
        break
    key, data = line.split(":", 1)
    env[key.strip()] = data.strip()


def command(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    return sys.stdin.readline().strip()


command("ANSWER")
answer = command('GET DATA enter-number 5000 4')
digits = answer.split("result=")[1].split(" ")[0]
command("SET VARIABLE NUMBER %s" % digits)
command('VERBOSE "%s called" 1' % env["agi_callerid"])
