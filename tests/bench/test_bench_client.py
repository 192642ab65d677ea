from bench.client import ANSWERS, measure_hits
from bench.report import Measured
from devcluster.step import Progress


def test_each_answer_is_measured_for_async_functions_and_others() -> None:
    bed = Measured(Progress("test"), is_quick=True)

    rows = measure_hits(bed)

    asked = [row.measure for row in rows if row.asked]
    assert len(asked) == len(set(asked)) == 2 * len(ANSWERS)
    assert all(len(samples) == 1000 for samples in bed.raw.values())
