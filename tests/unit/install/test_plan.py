"""What an install would change, and that an uninstall brings back what was there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.install import plan as plans
from agi_monitor.install.include_lines import BEGIN, with_include
from agi_monitor.install.manifest import BrokenManifest, Manifest, sha256
from agi_monitor.install.plan import HOSTS, MANIFEST, Change, Plan, diff

RENDERED = {"agi-monitor.conf": "[agi-monitor]\n", "manager.conf.include": "[agi-monitor]\nsecret = x\n"}
DIALPLAN = "agi-monitor/agi-monitor.conf"
Files = dict[str, bytes]


def installed(files: Files, rendered: dict[str, str] = RENDERED, *, has_folder: bool = False) -> Plan:
    """The plan for these files."""
    manifest = Manifest.from_bytes(files[MANIFEST]) if MANIFEST in files else None
    return plans.install(rendered, files, manifest, "/etc/asterisk", has_folder=has_folder)


def uninstalled(files: Files) -> Plan:
    """The plan to take it out."""
    return plans.uninstall(files, Manifest.from_bytes(files[MANIFEST]))


def done(files: Files, plan: Plan) -> Files:
    """The files after a plan."""
    after = dict(files)
    for change in (*plan.changes, *plan.books):
        assert after.get(change.path) == change.before
        if change.after is None:
            del after[change.path]
        else:
            after[change.path] = change.after
    return after


UNMARKED = st.binary(max_size=60).filter(lambda content: b"; agi-monitor" not in content)
SITES = st.fixed_dictionaries(
    dict.fromkeys(HOSTS, UNMARKED),
    optional={f"agi-monitor/{name}": st.binary(max_size=20) for name in RENDERED},
)
TEXTS = st.dictionaries(st.sampled_from(list(RENDERED)), st.sampled_from(["[a]\n", "[b]\n"])).map(
    lambda texts: {"agi-monitor.conf": "[c]\n", **texts}
)


@given(SITES, st.lists(TEXTS, min_size=1, max_size=3))
def test_uninstall_brings_back_every_byte(site: Files, renderings: list[dict[str, str]]) -> None:
    """After any number of installs with other outcomes, an uninstall leaves what was there before the first."""
    files = dict(site)
    for rendered in renderings:
        files = done(files, installed(files, rendered))
        assert not installed(files, rendered).changes
        assert not installed(files, rendered).books
    plan = uninstalled(files)
    assert (plan.conflicts, plan.notes) == ((), ())
    assert done(files, plan) == site


def test_a_change_by_hand_is_a_conflict() -> None:
    """A file that is not as the last install wrote it is told, by install and by uninstall."""
    files = done(dict.fromkeys(HOSTS, b""), installed(dict.fromkeys(HOSTS, b"")))
    files[DIALPLAN] += b"; mine\n"
    for plan in (installed(files), uninstalled(files)):
        (conflict,) = plan.conflicts
        assert conflict.text.startswith(f"{DIALPLAN}: was changed")
        assert not conflict.is_final
    # With force the change is kept beside.
    assert done(files, installed(files))[plans.previous(DIALPLAN)] == files[DIALPLAN]


def test_the_same_text_by_hand_is_no_conflict() -> None:
    """Who has rendered the same by hand has nothing to lose."""
    files = dict.fromkeys(HOSTS, b"") | {f"agi-monitor/{name}": text.encode() for name, text in RENDERED.items()}
    assert installed(files).conflicts == ()


def test_a_site_file_that_was_changed_loses_only_the_include() -> None:
    """Lines that were added since the install stay, and it is said."""
    site = {"extensions.conf": b"[a]\n", "manager.conf": b"[general]\n"}
    files = done(site, installed(site))
    files["extensions.conf"] += b"[b]\n"
    assert not installed(files).changes
    plan = uninstalled(files)
    assert done(files, plan) == {**site, "extensions.conf": b"[a]\n[b]\n"}
    (note,) = plan.notes
    assert note.startswith("extensions.conf: was changed by hand")


def test_an_include_by_hand_is_enough() -> None:
    """A file that reads ours already gets no second include, and loses the one of an earlier install."""
    site = {"extensions.conf": b'#include "agi-monitor/*.conf"\n', "manager.conf": b""}
    assert "extensions.conf" not in {change.path for change in installed(site).changes}
    earlier = with_include(b"", DIALPLAN) + site["extensions.conf"]
    plan = installed({**site, "extensions.conf": earlier})
    (change,) = [change for change in plan.changes if change.path == "extensions.conf"]
    assert change.after == site["extensions.conf"]


def test_without_an_account_manager_conf_is_left_alone() -> None:
    """A site without ami has no include in manager.conf; one that had it loses it."""
    site = {"extensions.conf": b"", "manager.conf": b"[general]\n"}
    files = done(site, installed(site))
    files = done(files, installed(files, {"agi-monitor.conf": "[c]\n"}))
    assert files["manager.conf"] == site["manager.conf"]
    assert "agi-monitor/manager.conf.include" not in files


def test_a_missing_site_file_is_made_only_by_force() -> None:
    """Without extensions.conf this may be the wrong folder; with force it is made, and goes again."""
    plan = installed({})
    assert [one.text.partition(":")[0] for one in plan.conflicts] == ["extensions.conf", "manager.conf"]
    files = done({}, plan)
    files = done(files, installed(files))
    assert done(files, uninstalled(files)) == {}


FREEPBX = {
    "extensions.conf": b"; auto-generated by FreePBX\n#include extensions_custom.conf\n",
    "manager.conf": b"; auto-generated by FreePBX\n#include manager_custom.conf\n",
    "extensions_custom.conf": b"[from-internal-custom]\n",
    "manager_custom.conf": b"",
}


def on_freepbx(files: Files) -> Plan:
    """The plan for a PBX whose files FreePBX writes."""
    manifest = Manifest.from_bytes(files[MANIFEST]) if MANIFEST in files else None
    return plans.install(RENDERED, files, manifest, "/etc/asterisk", has_folder=False, hosts=plans.FREEPBX_HOSTS)


def test_freepbx_keeps_its_own_files() -> None:
    """Only those that it leaves alone are changed, and everything goes again."""
    plan = on_freepbx(FREEPBX)
    assert (plan.conflicts, plan.notes) == ((), ())
    assert {change.path for change in plan.changes} == {
        "agi-monitor/agi-monitor.conf",
        "agi-monitor/manager.conf.include",
        "extensions_custom.conf",
        "manager_custom.conf",
    }
    files = done(FREEPBX, plan)
    assert on_freepbx(files).changes == ()
    assert done(files, uninstalled(files)) == FREEPBX


@pytest.mark.parametrize("name", ["FreePBX", "IssabelPBX"])
def test_files_of_freepbx_are_refused_elsewhere(name: str) -> None:
    """It would write them again, and nobody would notice; no force helps. The same for what is made from it."""
    files = {path: (content or b"").replace(b"FreePBX", name.encode()) for path, content in FREEPBX.items()}
    plan = installed(files)
    assert f"is written by {name}" in plan.conflicts[0].text
    assert [one.text.partition(":")[0] for one in plan.conflicts] == ["extensions.conf", "manager.conf"]
    assert all(one.is_final for one in plan.conflicts)
    assert not {"extensions.conf", "manager.conf"} & {change.path for change in plan.changes}


def test_a_file_that_nothing_reads_is_told() -> None:
    """FreePBX's include was taken out."""
    plan = on_freepbx({**FREEPBX, "extensions.conf": b"[from-internal]\n"})
    assert plan.notes == (f"extensions.conf: does not read extensions_custom.conf, so nothing loads {DIALPLAN}",)


def test_a_change_of_flavour_moves_the_include() -> None:
    """What was in extensions.conf goes, or everything would be loaded twice."""
    plain = {"extensions.conf": b"[a]\n#include extensions_custom.conf\n", "manager.conf": b"[general]\n"}
    files = done(plain, installed(plain)) | {"extensions_custom.conf": b"", "manager_custom.conf": b""}
    moved = done(files, on_freepbx(files))
    assert moved["extensions.conf"] == plain["extensions.conf"]
    assert DIALPLAN.encode() in moved["extensions_custom.conf"]


@pytest.mark.parametrize("content", [b"[2001](phone)\n", b"", b"\xef\xbb\xbf[2001]\r\n", b"[2001]"])
def test_templates_come_first(content: bytes) -> None:
    """Asterisk refuses a pjsip.conf in which a section is made from what stands below it."""
    rendered = {**RENDERED, "pjsip.conf.include": "[agi-monitor-endpoint](!)\n"}
    before = {"extensions.conf": b"", "manager.conf": b"", "pjsip.conf": content}
    files = done(before, installed(before, rendered))
    assert files["pjsip.conf"].endswith(content.removeprefix(b"\xef\xbb\xbf"))
    assert b"#tryinclude" in files["pjsip.conf"].splitlines()[1]
    assert installed(files, rendered).changes == ()
    assert done(files, installed(files))["pjsip.conf"] == content
    assert done(files, uninstalled(files)) == before


def test_broken_markers_are_final() -> None:
    """No force guesses what broken markers mean."""
    plan = installed({"extensions.conf": BEGIN + b"\n", "manager.conf": b""})
    assert [one.is_final for one in plan.conflicts] == [True]


def test_an_include_that_was_changed_is_a_conflict() -> None:
    """Another file was put between the markers."""
    plan = installed({"extensions.conf": with_include(b"", "other.conf"), "manager.conf": b""})
    assert any("between the markers was changed" in one.text for one in plan.conflicts)


def test_the_difference_is_a_unified_diff() -> None:
    """New and removed files, bytes of another encoding and a missing last line end can all be shown."""
    assert "".join(diff(Change("a", None, b"x\xe4"))) == (
        "--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+x\\xe4\n\\ No newline at end of file\n"
    )
    assert "".join(diff(Change("a", b"x\n", None))) == "--- a/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        replace(Manifest()).to_bytes().replace(b'"version": 1', b'"version": 2'),
        Manifest({"a": sha256(b"")}).to_bytes().replace(b'"' + sha256(b"").encode() + b'"', b"1"),
        Manifest().to_bytes().replace(b"false", b"0"),
    ],
    ids=range(8),
)
def test_a_broken_manifest_is_refused(content: bytes) -> None:
    """A manifest of another version or form is not a manifest."""
    with pytest.raises(BrokenManifest):
        Manifest.from_bytes(content)


LINES = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n"]), max_size=12).map(b"".join)


@given(LINES, LINES, LINES, LINES)
def test_a_difference_is_that_of_the_whole_files(front: bytes, left: bytes, right: bytes, back: bytes) -> None:
    """What both begin and end with is left out, and what is shown is where it says, whether compared or not."""
    before, after = front + left + back, front + right + back
    for limit in (plans.MAX_COMPARED, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plans, "MAX_COMPARED", limit)
            shown = list(diff(Change("a.conf", before, after)))
        assert patched(before.decode().splitlines(keepends=True), shown) == after.decode().splitlines(keepends=True)


def patched(lines: list[str], shown: list[str]) -> list[str]:
    """The lines behind a unified diff, read strictly."""
    done: list[str] = []
    at = 0
    for line in shown[2:]:
        if found := plans.HUNK.match(line):
            begin = int(found[2]) - (found[3] != ",0 +")
            done += lines[at:begin]
            at = begin
            assert len(done) == int(found[4]) - (",0 @@" not in line)
        elif line[0] == "+":
            done.append(line[1:])
        else:
            assert lines[at] == line[1:]
            at += 1
            done += [line[1:]] * (line[0] == " ")
    return done + lines[at:]


def test_a_difference_of_large_files_ends() -> None:
    """Comparing lines one by one has no end soon where a file holds much of a few lines; nothing is left out."""
    before = b"".join(b"%d\n" % (number % 5000) for number in range(60_000))
    after = b"".join(b"%d\n" % (number * 7 % 5000) for number in range(60_000))
    shown = "".join(diff(Change("a.conf", before, after)))
    assert shown.count("\n-") + shown.count("\n+") >= 100_000


def test_the_summary_says_what_becomes_of_each_file() -> None:
    """One line for a file; of one of the site's own, that the rest stays."""
    site = {"extensions.conf": b"[phones]\n", "manager.conf": b"[general]\n"}
    first = installed(site)
    assert list(plans.summary(first)) == [
        "agi-monitor/agi-monitor.conf: new, 1 line",
        "agi-monitor/manager.conf.include: new, 2 lines",
        "extensions.conf: our include into it, 3 lines; the rest stays",
        "manager.conf: our include into it, 3 lines; the rest stays",
    ]
    files = done(site, first)
    later = installed(files, {**RENDERED, "agi-monitor.conf": "[agi-monitor]\nexten => 1,1,NoOp()\n"})
    assert list(plans.summary(later)) == ["agi-monitor/agi-monitor.conf: changed, +1 -0 lines"]
    assert list(plans.summary(uninstalled(files))) == [
        "agi-monitor/agi-monitor.conf: removed",
        "agi-monitor/manager.conf.include: removed",
        "extensions.conf: our include out of it, 3 lines; the rest stays",
        "manager.conf: our include out of it, 3 lines; the rest stays",
    ]
