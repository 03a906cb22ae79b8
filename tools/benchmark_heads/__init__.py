"""Parts of ``make_albedo_benchmark.py``: heads of scanned people, their skins and pictures."""
