"""The whole tree of what can go wrong. A *refusal* is not in it: an expected no is a value (``model.Refusal``).

::

    AgiMonitorError
    ├── ConfigError            the configuration file cannot be used
    ├── RenderError            a dialplan file cannot be written from this configuration
    ├── InstallFailed          files of Asterisk cannot be changed, or the PBX did not load them
    ├── AuditUnavailable       a record cannot be written, so no spy may begin
    │   └── AuditInDoubt           not known whether it was: the answer was lost
    ├── StateUnavailable       the store cannot be read or written, so no PIN is accepted
    ├── ProtocolError
    │   ├── LocalProtocolError     we were about to break the protocol; nothing was sent
    │   └── RemoteProtocolError    the peer broke it; the session is over
    ├── CommandFailed          Asterisk answered a command with an error
    │   ├── InvalidCommand         510: this Asterisk does not know the command
    │   └── WrongUsage             520: it knows the command, not these arguments
    ├── CallEnded              the caller is gone; ends a handler, not a fault
    ├── ActionFailed           Asterisk answered an AMI action with an error
    │   └── PermissionDenied       the AMI account lacks a class
    ├── Disconnected           there is no AMI connection, or it was lost before the answer
    ├── ForgedAnswer           the answer to an AMI action holds text that Asterisk cannot have written
    ├── CertificateRefused     the certificate of the PBX is not to be trusted; nothing was sent
    ├── NoAnswer               an AMI action was not answered in time
    ├── EventsLost             events came faster than they were read
    ├── LoginRefused           the AMI account cannot be used; not tried again
    ├── Unavailable            the picture of the PBX cannot be trusted now
    └── ControlFailed          the control socket cannot be used, or the server said no

What a script of pyst2 meets is of these and of pyst2's at once, so that its ``except AGIHangup`` still works:
``agi.pyst2`` and ``ami.blocking`` raise subclasses that are both.
"""

from __future__ import annotations


class AgiMonitorError(Exception):
    """Anything this package raises on purpose."""


class ConfigError(AgiMonitorError):
    """The configuration file cannot be used; each problem names its key and line.

    Parameters:
        problems: one sentence per problem, in the order of the file.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RenderError(AgiMonitorError):
    """A dialplan file cannot be written safely from this configuration or with this template."""


class InstallFailed(AgiMonitorError):
    """Asterisk's files cannot be changed, or the PBX did not load what was written. The text says what holds now."""


class AuditUnavailable(AgiMonitorError):
    """A record could not be written to disk. Without a record there is no spying."""


class AuditInDoubt(AuditUnavailable):
    """The database was told to keep a record, and its answer was lost: the record may be there or not."""


class StateUnavailable(AgiMonitorError):
    """The store could not be read or written. Without its lock-outs a PIN could be guessed, so none is accepted."""


class ProtocolError(AgiMonitorError):
    """The conversation with Asterisk cannot continue. Always one of the two below."""


class LocalProtocolError(ProtocolError):
    """We were about to send something that Asterisk would misread. Nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that is not AGI or AMI, or more than the limits allow."""


class CommandFailed(AgiMonitorError):
    """Asterisk answered a command with an error.

    Parameters:
        verb: the command's name only: its arguments may be secrets.
        code: the reply's code (510, 520), or 200 where the result itself means failure.
        text: what Asterisk said.
    """

    def __init__(self, verb: str, code: int, text: str) -> None:
        super().__init__(f"{verb}: Asterisk answered {code} {text}".rstrip())
        self.verb = verb
        self.code = code
        self.text = text


class InvalidCommand(CommandFailed):
    """510: this Asterisk does not know the command."""


class WrongUsage(CommandFailed):
    """520: Asterisk knows the command, but not with these arguments."""


class CallEnded(AgiMonitorError):
    """The caller hung up, or the connection to Asterisk is gone. Ends a handler; no fault of anyone."""


class ActionFailed(AgiMonitorError):
    """Asterisk answered an AMI action with an error.

    Parameters:
        action: the action's name only: its headers may be secrets.
        text: what Asterisk said.
        has_begun: the answer had begun, with a list that is not whole: there is something to be listed.
    """

    def __init__(self, action: str, text: str, *, has_begun: bool = False) -> None:
        super().__init__(f"{action}: Asterisk answered {text or 'with an error'}")
        self.action = action
        self.text = text
        self.has_begun = has_begun


class PermissionDenied(ActionFailed):
    """The AMI account may not do this. Give it one of the classes in ``write=`` of manager.conf, and log in again:
    a session keeps the permissions it began with.

    Parameters:
        action: the action's name.
        text: what Asterisk said.
        classes: any one of them will do; empty when it is not known which.
    """

    def __init__(self, action: str, text: str, classes: tuple[str, ...]) -> None:
        super().__init__(action, text)
        self.classes = classes
        if classes:
            self.args = (f"{self.args[0]}: the account needs write={' or '.join(classes)}",)


class Disconnected(AgiMonitorError):
    """There is no AMI connection, it was lost before the answer came, or the PBX is being stopped and says no to
    everything: an action may have been done or not."""


class ForgedAnswer(AgiMonitorError):
    """The answer to an AMI action holds text that Asterisk cannot have written there, such as a number with a line
    break in it. Nothing of it is believed.

    Parameters:
        action: the action's name.
    """

    def __init__(self, action: str) -> None:
        super().__init__(f"{action}: the answer holds text that Asterisk cannot have written")
        self.action = action


class CertificateRefused(AgiMonitorError):
    """The certificate of the PBX is expired, signed by an untrusted party, or for another host. Nothing was
    sent. The connection is tried again: a certificate can be replaced while we run."""


class NoAnswer(AgiMonitorError):
    """An AMI action was not answered in time: it may have been done or not.

    Parameters:
        action: the action's name.
        seconds: how long was waited.
    """

    def __init__(self, action: str, seconds: float) -> None:
        super().__init__(f"{action}: no answer within {seconds:g} s")
        self.action = action
        self.seconds = seconds


class EventsLost(AgiMonitorError):
    """Events came faster than they were read, and the queue for them was full. Raised where they are missing: those
    before have been read, those after it can be.

    Parameters:
        number: how many are missing.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"{number} events are missing: they came faster than they were read")
        self.number = number


class LoginRefused(AgiMonitorError):
    """The AMI account cannot be used: Asterisk refused it, or its secret is one that anyone would guess."""


class Unavailable(AgiMonitorError):
    """What was asked needs the live picture of the PBX, which cannot be trusted now."""


class ControlFailed(AgiMonitorError):
    """The control socket cannot be made or used, or the server refused.

    Parameters:
        text: what, where, and how to fix it.
        problem: the server's slug, or empty when no server answered.
    """

    def __init__(self, text: str, problem: str = "") -> None:
        super().__init__(text)
        self.problem = problem
