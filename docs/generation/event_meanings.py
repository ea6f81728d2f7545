"""What each log event means. A new event needs its sentence here."""

from __future__ import annotations

EVENTS = {
    "serving": "The server accepts calls.",
    "start_failed": "The server could not start; `error` says why.",
    "reload_failed": "A reload broke down; the old configuration stays in force.",
    "reload_refused": "The file has mistakes; the old configuration stays in force. `problems` has one sentence for "
    "each.",
    "reload_needs_restart": "These sections changed in the file; their old values stay in force until a restart.",
    "reloaded": "The new configuration is in force.",
    "stopping": "SIGTERM came; `spies` are running now.",
    "stopped": "The server has let go of everything and exits.",
    "stop_failed": "The stop broke down, which is a fault of this program; the server exits all the same.",
    "stop_timed_out": "The last calls did not end in this time; the stop continues without them.",
    "hangup_command_failed": "`stop.hangup_command` could not end a channel.",
    "systemd_not_told": "The server could not tell systemd how far it is; systemd may end a server that it waits "
    "for.",
    "audit_full": "A call was refused: too many facts already wait for the disk or the database.",
    "audit_write_failed": "The audit cannot be written, so no new spy can begin. `waiting` facts are kept.",
    "audit_caught_up": "All facts that waited are on disk, everywhere.",
    "audit_record_unwritten": "The server exits and this fact is not in the audit, or in one of its places only. "
    "Keep `record` elsewhere: if you put it there by hand, it would be found as inserted.",
    "audit_checkpoint": "A signed record covers all records before it, in the file or the database of `where`. A "
    "copy of `seq` and `hash` on another machine shows later whether the audit is still [the "
    "same](../howto/verify-the-audit.md#keep-checkpoints-elsewhere).",
    "audit_table_changed": "The tables of the audit are not as this server left them. Someone wrote to them, or they "
    "were restored: [verify them](../howto/verify-the-audit.md#in-the-database).",
    "audit_file_changed": "The audit file is not as this server left it. Someone wrote to it or cut it: [verify "
    "it](../howto/verify-the-audit.md).",
    "audit_head_unwritten": "The record is on disk; the state folder could not note that it is the last.",
    "call_started": "A feature code was dialled; `extension` is empty unless it is an agent's: it might be a PIN.",
    "call_ended": "That call is over.",
    "supervisor_identified": "The PIN was correct, or is remembered.",
    "number_prompted": "The number of the supervisor's own phone is asked for, on an unassigned phone.",
    "pin_prompted": "A PIN is asked for.",
    "pin_refused": "What was keyed in was not a correct PIN; `empty` when nothing was keyed in. Never the digits.",
    "pin_locked_out": "Too many wrong PINs in a row. `kind` is what is locked: a supervisor, a phone, or everyone on "
    "the PBX. Without `supervisor`, the phone is not assigned to one.",
    "pin_change_prompted": "The PIN was correct and must be changed: `why` is `expired` or `asked`.",
    "pin_weak": "The new PIN was refused; `why` says what is wrong with it. Never the digits.",
    "pin_changed": "The new PIN is stored, and the old one no longer counts.",
    "pin_record_old": "A correct PIN has a record that differs from what a new one would be. Make a new one with "
    "`agi-monitor pin`. Logged once for each supervisor and start.",
    "pin_record_refused": "The PIN record of a supervisor is of another kind (m, t, p) than others, and there are "
    "already as many kinds as one check may take: the record does not count. Make a new one with `agi-monitor pin`.",
    "pin_record_renewed": "A correct PIN was hashed again, because its record differed from what a new one would be.",
    "extension_prompted": "An extension is asked for.",
    "identifier_unusable": "A call cannot be heard: the `identifier` of its channel, which the PBX makes of "
    "`systemname`, holds `characters` that could change the arguments of ChanSpy. The doctor says which names are "
    "possible.",
    "choice_prompted": "The agent is on several calls; the supervisor is asked for one of them.",
    "reason_prompted": "The rules ask for a reason, and the supervisor is asked for its digit.",
    "reason_given": "The supervisor pressed a digit that stands for this `reason`.",
    "spy_started": "ChanSpy begins; the record is on disk.",
    "spy_ended": "ChanSpy is over; `why` as in the [audit](audit.md#why-a-spy-ended).",
    "refused": "A request was refused, with its [reason](refusal-reasons.md).",
    "prompt_missing": "Asterisk could not play this sound file; it was skipped.",
    "pbx_error": "Asterisk refused a command.",
    "state_unavailable": "The store with the lock-outs could not be used, so no PIN is accepted.",
    "waiting": "A supervisor stays and waits for the next call.",
    "scanned": "The scan comes to this agent.",
    "notice_begun": "The agent on `spyee` is about to be told that a supervisor listens.",
    "notice_given": "The agent has heard the notice to its end.",
    "notice_failed": "The agent could not be told, so the call is not heard.",
    "rogue_spy": "A channel hears a call without a grant. `why` says what is wrong, `action` what is done about it.",
    "spy_exempt": "A channel hears a call without a grant and is allowed to: `why` says by what right.",
    "spy_adopted": "A spy of an earlier run of this server is still on. It continues, or is ended, as `policy` says.",
    "spy_begins_anew": "Another party is on the call, as after a transfer: ChanSpy is started again for them.",
    "spy_revoked": "A spy is being ended from outside; `by` is empty where this server decided it.",
    "joined_call_not_entered": "An event said that a channel entered a joined call, but for a second the PBX, when "
    "asked, did not have it there. It may have left again.",
    "joined_call_moved": "A call that a supervisor has joined is now in another bridge, as after a merge; it is "
    "guarded there.",
    "joined_call_unknown": "The PBX did not say who is on a call that a supervisor has joined; it is asked again.",
    "channel_claimed_twice": "A session claims the channel of a supervisor who is already spying, and is refused: a "
    "channel has one session. Check who can connect to the server (`fastagi.peers`).",
    "grant_not_signed": "The grant is too long to be signed, and is not used: shorten the names of the rule, the "
    "reason or the supervisor.",
    "spy_not_silenced": "A spy is being ended, and one of the steps failed: `mute out` (what the supervisor hears), "
    "`mute in` (what they say), `press` (the key that ends ChanSpy) or `remove` (from a conference). Where both "
    "mutes fail, `res_mutestream` is probably not loaded. The spy ends by another step, or by a hang-up.",
    "spy_watch_failed": "A spy could not be checked or ended, though the PBX answers. It is tried again.",
    "spy_watch_unanswered": "A spy could not be checked or ended: there is no connection to the PBX, or it is being "
    "stopped. It is tried again with the next lists.",
    "party_unreadable": "A name at the other end of a Local channel holds a line break, so it is not known to whom "
    "the channel leads; it counts as the party itself.",
    "plugin_failed": "A plug-in raised, took too long or answered nonsense; what it was asked for is denied.",
    "plugin_loaded": "A plug-in is asked from now on.",
    "plugin_ignored": "An installed plug-in is not named in `plugins` of the configuration. None of its code runs.",
    "people_changed": "People or rules in the store were changed; the changes are in force from now on.",
    "lock_out_ended": "A person or phone with wrong PINs may try again: by `agi-monitor pin unlock`, or a new PIN.",
    "people_changed_by_another_way": "People in the store were changed without a record of who did it.",
    "store_unreadable": "The store, or the plug-in that knows people, cannot be read. The people known last stay in "
    "force; if it is the plug-in, no new spy can begin.",
    "pbx_synced": "The live picture of the PBX is complete: look-ups are answered from it.",
    "pbx_lost": "The live picture is not to be trusted until the next list: look-ups go over AGI.",
    "ami_forged": "The manager interface sent something that Asterisk cannot have written: someone has chosen a "
    "number or a name with a line break in it. The live picture is not believed until a whole list has come. One "
    "line a minute, with how many more there were.",
    "channels_unreadable": "Some channels of the PBX can neither be listed nor asked about by their names, so a spy "
    "among them is not seen.",
    "call_handed_over": "A supervisor's call is at another phone: nothing more is said or heard on it, and it ends.",
    "spy_handed_over": "A spy was found at a phone other than the one it was granted to. That phone was silenced.",
    "conversation_over": "The agent is alone on the call: the spy ends, although the agent's channel lives on.",
    "rogue_spy_not_found": "A rogue spy was to be hung up, but the PBX shows none on its channel.",
    "pbx_failed": "Something went wrong with the live picture, which is a fault of this program.",
    "index_listed": "The PBX gave its lists, and the live picture was compared with them.",
    "index_not_listed": "The PBX did not give all of its lists. They are asked for again: after two seconds, then "
    "after twice as long each time, up to a minute.",
    "index_difference": "A fresh list differed from what events had told; the list counts.",
    "hangup_failed": "A channel could not be hung up over the manager interface.",
    "ami_up": "Logged in to the manager interface of the PBX; `version` is the interface's.",
    "ami_down": "No connection to the manager interface; the next attempt comes in `retry_in` seconds.",
    "ami_refused": "The PBX refused the login to its manager interface. The server does not try again before a "
    "restart.",
    "ami_class_missing": "The account lacks one of these classes in this line (`read` or `write`) of manager.conf. "
    "[What to do](../howto/connect-ami.md#when-a-class-is-missing).",
    "ami_action_missing": "The PBX does not have this action: the module that provides it is not loaded.",
    "ami_action_unanswered": "An action was not answered in time; the PBX may or may not have performed it.",
    "ami_callback_failed": "Part of this program, or a callback of yours, could not use an event.",
    "ami_events_dropped": "A callback of a `BlockingManager` is too slow: `waiting` events wait, and later ones are "
    "lost.",
    "control_reload": "A system user asked for the configuration to be read again; the result is in `reloaded` or "
    "`reload_refused`.",
    "control_kill": "A system user asked for a spy to be ended; `ended` is false when there was no such spy.",
    "control_failed": "A request over the control socket met a fault of this program.",
    "metrics_failed": "The metrics could not be read, which is a fault of this program.",
    "twisted": "Twisted itself has something to report. Its text is left out: it may hold what a peer sent.",
}
"""What the events mean that are logged by a plain name."""
