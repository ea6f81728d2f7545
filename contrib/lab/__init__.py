"""The laboratory: a real Asterisk 16 or 22, real SIP phones, and a measure of who hears whom.

    from contrib.lab.pbx import Lab

    with Lab("22") as lab:
        lab.phone("3001").dial("1001")
        lab.phone("1001").answer()
        lab.wait_for_hearing({"3001": {"1001"}, "1001": {"3001"}})

`python -m contrib.lab.images` makes the container images beforehand (minutes once, a moment afterwards).
"""
