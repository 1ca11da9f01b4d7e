"""The report: one self-contained HTML file of a run, read from its lineage file.

* `writing`: `write_report`, the way in.
* `findings`: the run's numbers; `archive_map`: its map.
* `page`, `winners`, `sections`, `repeating`: what stands where; `style`: how it looks.
* `plain_words`: operators as people say them.
* `charts`, `sound`, `shelf`: pictures, clips, and which clips fit.
* `markup`: HTML that foreign text cannot break.
"""

from experiments.report.writing import Report, write_report

__all__ = ["Report", "write_report"]
