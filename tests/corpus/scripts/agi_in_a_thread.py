import threading
from asterisk.agi import AGI

first = AGI()
first.answer()
errors = []


def work():
    try:
        AGI().verbose("from a thread")
    except ValueError as error:
        errors.append(error)


thread = threading.Thread(target=work)
thread.start()
thread.join()
first.set_variable("ERRORS", len(errors))
