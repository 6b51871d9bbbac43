from ._runs.job_arrays import finish, run_part
from ._segment import plan, segment

__all__ = ["finish", "plan", "run_part", "segment"]
