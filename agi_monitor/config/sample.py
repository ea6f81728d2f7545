"""The commented configuration that ``agi-monitor init`` writes."""

SAMPLE = """\
# agi-monitor: who may listen to, whisper to or barge into whose calls.
# Check it after every change with:  agi-monitor check-config
# Every key and its default:         docs/reference/configuration.md

fastagi:
  listen: 127.0.0.1          # the address of this server; Asterisk on the same machine needs no other
  port: 4573
  peers: [127.0.0.0/8]       # who may connect; FastAGI has no login, so keep this short

codes:                       # what a supervisor dials before the agent's extension
  listen: "*222"             # hears agent and customer; *222 alone asks for the extension
  whisper: "*223"            # the agent hears the supervisor as well
  barge: "*224"              # agent and customer hear the supervisor

supervisors:
  anna:                      # the id that rules and the audit use
    name: Anna Example
    endpoints: [PJSIP/2001]  # her phones: she is known by the phone, never by the caller id
    pin: REPLACE-ME          # the output of:  agi-monitor pin
    groups: [leads]          # also the dialplan context agi-monitor-group-leads

agents:
  1001:                      # the extension
    name: Ben Example
    endpoints: [PJSIP/1001]  # his phones; without this line the hint of 1001 says which
    groups: [sales]
  1002:
    name: Carla Example
    endpoints: [PJSIP/1002, PJSIP/1002-mobile]
    groups: [sales, protected]

rules:                       # deny beats allow; nothing is allowed without a rule
  - name: leads-supervise-sales
    allow: [listen, whisper, barge]   # and take_over
    supervisors: [leads]     # groups, ids, or all
    agents: [sales]          # groups, extensions, or all
  - name: never-the-protected
    deny: [listen, whisper, barge, take_over]
    supervisors: [all]
    agents: [protected]

pins:
  attempts: 3                # in one call
  lock_after: 3              # wrong ones in a row, over all calls
  lock_seconds: 60           # doubles with every further one

# ami:                       # the live picture of all calls: docs/howto/connect-ami.md
#   host: 127.0.0.1
#   secret: REPLACE-ME       # the output of:  openssl rand -hex 16
#
# spies:
#   rogue: hang_up           # an unauthorized spy; alarm only records it
#   follow: agent            # after a call: wait for the agent's next one; or customer, or none
#   mode_mark: tone          # beeps tell the supervisor, alone, which mode begins
#
# waiting:                   # stay on the line until the agent has a call, in place of these refusals
#   reasons: [no_call, ringing, on_hold]

dialplan:
  hint_context: default      # where the hints of the agents' extensions are

audit:
  file: /var/log/agi-monitor/audit.jsonl

state:
  directory: /var/lib/agi-monitor

log:
  level: info
  format: console            # or json
"""
