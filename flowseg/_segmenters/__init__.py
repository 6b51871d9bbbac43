"""The two estimators (`flow`, `boundary`), what they learn (`fitted`) and the way to masks (`pipeline`)."""

from flowseg._nets import backends

backends.check_others()
