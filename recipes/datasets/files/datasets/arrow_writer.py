"""Programs that prepare data import ArrowWriter from here."""

from . import _Missing

ArrowWriter = _Missing("ArrowWriter", (), {"__module__": __name__, "__doc__": "Needs pyarrow."})
