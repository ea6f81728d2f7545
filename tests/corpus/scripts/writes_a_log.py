import logging
import sys
from asterisk.agi import AGI

log = logging.getLogger("writes_a_log")
handler = logging.FileHandler(sys.argv[1])
handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
log.addHandler(handler)
agi = AGI()
log.warning("call from %s", agi.env["agi_callerid"])
handler.close()
log.removeHandler(handler)
agi.noop()
