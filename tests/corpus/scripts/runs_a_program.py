import subprocess
import sys
from asterisk.agi import AGI

agi = AGI()
done = subprocess.run([sys.executable, "-S", "-c", "print(6 * 7)"], stdout=subprocess.PIPE, text=True)
agi.set_variable("ANSWER", done.stdout.strip())
